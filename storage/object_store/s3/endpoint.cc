#include "storage/object_store/s3/endpoint.h"

#include <algorithm>
#include <initializer_list>

namespace trawl::storage {
namespace {

std::string FirstSet(std::initializer_list<std::string> values) {
  for (const std::string& value : values)
    if (!value.empty()) return value;
  return {};
}

bool IsRegionName(const std::string& region) {
  return !region.empty() && std::all_of(region.begin(), region.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool IsDnsLabel(const std::string& bucket) {
  return std::all_of(bucket.begin(), bucket.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool PutsBucketInHost(const S3Endpoint& endpoint, const std::string& bucket) {
  if (endpoint.addressing != Addressing::kAuto) return endpoint.addressing == Addressing::kVirtual;
  return endpoint.is_aws && IsDnsLabel(bucket);
}

}  // namespace

Result<S3Endpoint> ResolveEndpoint(const Settings& settings, const Environment& environment) {
  S3Endpoint endpoint;
  endpoint.region = FirstSet({settings.s3_region, environment("AWS_REGION"),
                              environment("AWS_DEFAULT_REGION"), "us-east-1"});
  if (!IsRegionName(endpoint.region))
    return Error(Code::kInvalidArgument, "s3-region: '{}' is no region's name",
                 Printable(endpoint.region, 80));
  endpoint.addressing = settings.s3_addressing == "path"      ? Addressing::kPath
                        : settings.s3_addressing == "virtual" ? Addressing::kVirtual
                                                              : Addressing::kAuto;
  const std::string configured = FirstSet(
      {settings.s3_endpoint, environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL")});
  if (configured.empty()) {
    const std::string suffix =
        endpoint.region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    TRAWL_ASSIGN(endpoint.base, ParseHttpUrl("https://s3." + endpoint.region + "." + suffix));
  } else {
    auto base = ParseHttpUrl(configured);
    if (!base) return Annotate(base.error(), "s3-endpoint");
    if (!base->query.empty())
      return Error(Code::kInvalidArgument, "s3-endpoint: a URL with a query is no endpoint");
    endpoint.base = std::move(*base);
    endpoint.is_aws = endpoint.base.host.ends_with(".amazonaws.com") ||
                      endpoint.base.host.ends_with(".amazonaws.com.cn");
    endpoint.addresses = AddressPolicy::ForConfiguredEndpoint(endpoint.base.host);
  }
  while (endpoint.base.path.ends_with('/')) endpoint.base.path.pop_back();
  return endpoint;
}

S3Location Locate(const S3Endpoint& endpoint, const std::string& bucket, const std::string& key) {
  S3Location location;
  const bool in_host = PutsBucketInHost(endpoint, bucket);
  location.host = (in_host ? bucket + "." : "") + endpoint.base.authority;
  location.path = endpoint.base.path + "/";
  if (!in_host) location.path += bucket + (key.empty() ? "" : "/");
  location.path += PercentEncodePath(key);
  location.url = endpoint.base.scheme + "://" + location.host + location.path;
  return location;
}

}  // namespace trawl::storage
