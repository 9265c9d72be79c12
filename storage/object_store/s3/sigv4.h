#pragma once
// AWS Signature Version 4 by hand: curl 7.88's own leaves out a header that S3 servers require, and
// orders and encodes queries differently from version to version.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "storage/object_store/s3/credentials.h"

namespace trawl::storage {

/// What a signature covers.
struct SignedRequest {
  std::string method = "GET";
  std::string path;                                        // percent-encoded once, as it is sent
  std::vector<std::pair<std::string, std::string>> query;  // decoded names and values, any order
  std::vector<std::pair<std::string, std::string>>
      headers;               // lower-case names, trimmed values, any order
  std::string payload_hash;  // sha-256 in hex, or "UNSIGNED-PAYLOAD"
};

struct SigningScope {
  std::string region;
  std::string service = "s3";
};

/// name=value&…, sorted and encoded: what is signed, and therefore also what must be sent.
std::string CanonicalQuery(const std::vector<std::pair<std::string, std::string>>& query);

/// "20130524T000000Z"
std::string AmzDate(int64_t unix_ms);

/// The value of the Authorization header. `headers` of the request must hold host and x-amz-date (=
/// `amz_date`).
std::string Authorization(const SignedRequest& request, const SigningScope& scope,
                          const std::string& amz_date, const Credentials& credentials);

/// For an S3 request without a body: the request's own `headers` with host, x-amz-date,
/// x-amz-content-sha256, x-amz-security-token when there is one, and Authorization, each as "name:
/// value".
std::vector<std::string> SignS3(SignedRequest request, const std::string& host,
                                const std::string& region, int64_t unix_ms,
                                const Credentials& credentials);

}  // namespace trawl::storage
