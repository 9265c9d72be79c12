#include "storage/object_store/s3/instance_metadata.h"

#include <fmt/format.h>

#include <utility>

#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

using std::chrono::seconds;

constexpr const char* kInstanceAddress = "http://169.254.169.254";
constexpr seconds kSessionLife{300};
/// Sooner than it ends.
constexpr seconds kSessionUse{240};

}  // namespace

InstanceMetadata::InstanceMetadata(std::string base, std::string service,
                                   const ServiceTimeouts& timeouts, const Clock& clock)
    : base_(std::move(base)), service_(std::move(service)), timeouts_(timeouts), clock_(clock) {}

Result<InstanceMetadata> InstanceMetadata::Find(const Environment& environment,
                                                const ServiceTimeouts& timeouts,
                                                const Clock& clock) {
  std::string base = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base.empty()) base = kInstanceAddress;
  while (base.ends_with('/')) base.pop_back();
  const auto url = ParseHttpUrl(base);
  if (!url) return Annotate(url.error(), "reading AWS_EC2_METADATA_SERVICE_ENDPOINT");
  return InstanceMetadata(base, "asking the instance's metadata at " + url->ToPublicString(),
                          timeouts, clock);
}

Status InstanceMetadata::BeginSession() {
  HttpRequest request{base_ + "/latest/api/token", {}, kOperatorsOwn, 0};
  request.method = "PUT";
  request.headers = {fmt::format("X-aws-ec2-metadata-token-ttl-seconds: {}", kSessionLife.count())};
  const auto now = clock_.Now();
  auto token = AskService(std::move(request), service_, timeouts_);
  // A service without sessions is not the one that was asked for, whatever it has at other paths.
  if (!token && token.error().code() == Code::kNotFound)
    return Status(Code::kPermissionDenied, token.error().message());
  if (!token) return token.error();
  if (token->empty() || token->find_first_of("\r\n") < token->size())
    return Error(Code::kPermissionDenied, "{}: no session token came", service_);
  session_ = Secret(std::move(*token));
  session_began_ = now;
  return OkStatus();
}

Result<std::string> InstanceMetadata::Get(const std::string& path) {
  const bool had_session = !session_.empty() && clock_.Now() - session_began_ < kSessionUse;
  if (!had_session) TRAWL_TRY(BeginSession());
  auto value = AskService({base_ + "/latest/meta-data/" + path,
                           {"X-aws-ec2-metadata-token: " + session_.Reveal()},
                           kOperatorsOwn,
                           0},
                          service_, timeouts_);
  if (value || value.error().code() != Code::kPermissionDenied) return value;
  // Of an instance that was asleep, no clock tells when it ended.
  session_ = Secret();
  return had_session ? Get(path) : value;
}

}  // namespace trawl::storage
