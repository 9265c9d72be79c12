#pragma once
// Where a bucket lives: endpoint, region, and whether its name goes into the host or into the path.

#include <string>

#include "config/settings.h"
#include "config/status.h"
#include "storage/object_store/environment.h"
#include "storage/object_store/http/address_policy.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {

enum class Addressing { kAuto, kPath, kVirtual };

struct S3Endpoint {
  HttpUrl base;
  std::string region;
  bool is_aws = true;
  Addressing addressing = Addressing::kAuto;
  AddressPolicy addresses;
};

/// A bucket or object on the wire.
struct S3Location {
  std::string host;  // of the Host header, as it is signed
  std::string path;  // percent-encoded, from the root of the host
  std::string url;   // without a query
};

/// Endpoint: --s3-endpoint, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS. Region: --s3-region,
/// AWS_REGION, AWS_DEFAULT_REGION, else us-east-1. Errors: kInvalidArgument.
Result<S3Endpoint> ResolveEndpoint(const Settings& settings, const Environment& environment);

/// Auto: the bucket is part of the host on AWS, unless it is no single DNS label (TLS certificates
/// cover one), and part of the path anywhere else. An empty key means the bucket itself.
S3Location Locate(const S3Endpoint& endpoint, const std::string& bucket, const std::string& key);

}  // namespace trawl::storage
