#include "storage/object_store/s3/credential_services.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <utility>

#include "config/json_reader.h"
#include "config/utc_time.h"
#include "storage/object_store/s3/instance_metadata.h"
#include "storage/object_store/s3/profile.h"
#include "storage/object_store/s3/service_call.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;

constexpr size_t kTokenBytesMax = 64 << 10;
constexpr const char* kContainerAddress = "http://169.254.170.2";

Result<std::string> ReadToken(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error(Code::kPermissionDenied, "the token file {} cannot be read", path);
  std::string token{std::istreambuf_iterator<char>(file), {}};
  token = TrimBlank(token);
  if (token.empty() || token.size() > kTokenBytesMax || token.find_first_of("\r\n") < token.size())
    return Error(Code::kPermissionDenied, "the token file {} does not hold one token", path);
  return token;
}

Result<TimedCredentials> Checked(Credentials credentials, const std::string& expiration) {
  if (credentials.access_key.empty() || credentials.secret_key.empty())
    return Error(Code::kPermissionDenied, "the answer holds no credentials");
  // "2026-01-31T23:59:59Z", with a fraction or without.
  const auto expires = ParseUtc(expiration.substr(0, 19) + ".000Z");
  if (!expires || !expiration.ends_with('Z'))
    return Error(Code::kPermissionDenied, "the answer does not say when its credentials expire");
  return TimedCredentials{std::move(credentials), *expires};
}

std::string SecurityService(const Environment& environment) {
  if (const std::string own = environment("AWS_ENDPOINT_URL_STS"); !own.empty()) return own;
  std::string region = environment("AWS_REGION");
  if (region.empty()) region = environment("AWS_DEFAULT_REGION");
  return region.empty() ? "https://sts.amazonaws.com"
                        : "https://sts." + region + ".amazonaws.com" +
                              (region.starts_with("cn-") ? ".cn" : "");
}

Result<TimedCredentials> ParseAssumedRole(const std::string& text) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size()))
    return Error(Code::kPermissionDenied, "the answer is no XML");
  const pugi::xml_node node = document.child("AssumeRoleWithWebIdentityResponse")
                                  .child("AssumeRoleWithWebIdentityResult")
                                  .child("Credentials");
  return Checked({node.child_value("AccessKeyId"), Secret(node.child_value("SecretAccessKey")),
                  Secret(node.child_value("SessionToken"))},
                 node.child_value("Expiration"));
}

// Plain http is for the machine itself and for the two addresses that container services have.
bool IsContainerUrl(const HttpUrl& url) {
  const AddressPolicy without{.loopback = false, .link_local = true};
  const AddressPolicy with{.loopback = true, .link_local = true};
  const bool loopback =
      url.host == "localhost" || (with.Allows(url.host) && !without.Allows(url.host));
  return url.scheme == "https" || loopback || url.host == "169.254.170.2" ||
         url.host == "169.254.170.23" || url.host == "fd00:ec2::23";
}

Result<std::string> ContainerUrl(const Environment& environment) {
  const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) {
    if (relative.front() != '/')
      return Error(Code::kPermissionDenied,
                   "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
    return kContainerAddress + relative;
  }
  const auto url = ParseHttpUrl(environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
  if (!url || !IsContainerUrl(*url))
    return Error(Code::kPermissionDenied,
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine");
  return url->ToString();
}

}  // namespace

Result<TimedCredentials> ParseCredentialsJson(std::string_view text) {
  auto json = ParseJsonObject(text, kServiceAnswerBytesMax, 4);
  if (!json) return Error(Code::kPermissionDenied, "the answer is no JSON object");
  Status status;
  JsonReader reader(*json, status);
  Credentials credentials{reader.TextOr("AccessKeyId", ""),
                          Secret(reader.TextOr("SecretAccessKey", "")),
                          Secret(reader.TextOr("Token", ""))};
  const std::string expiration = reader.TextOr("Expiration", "");
  if (!status.ok()) return Error(Code::kPermissionDenied, "the answer holds no credentials");
  return Checked(std::move(credentials), expiration);
}

Result<TimedCredentials> AssumeRole(const WebIdentity& identity, const Environment& environment) {
  TRAWL_ASSIGN(const std::string token, ReadToken(identity.token_file));
  TRAWL_ASSIGN(const HttpUrl endpoint, ParseHttpUrl(SecurityService(environment)));
  HttpRequest request{endpoint.ToString(), {}, kOperatorsOwn, 0};
  request.method = "POST";
  request.headers = {"Content-Type: application/x-www-form-urlencoded"};
  request.body = fmt::format(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}"
      "&WebIdentityToken={}",
      PercentEncode(identity.role_arn),
      PercentEncode(identity.session_name.empty() ? "trawl" : identity.session_name),
      PercentEncode(token));
  const std::string service = "assuming a role at " + endpoint.ToPublicString();
  TRAWL_ASSIGN(const std::string answer, AskService(std::move(request), service));
  auto parsed = ParseAssumedRole(answer);
  if (!parsed) return Annotate(parsed.error(), "{}", service);
  return parsed;
}

Result<TimedCredentials> AskContainer(const Environment& environment) {
  TRAWL_ASSIGN(const std::string url, ContainerUrl(environment));
  HttpRequest request{url, {}, kOperatorsOwn, 0};
  std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
      !file.empty()) {
    TRAWL_ASSIGN(token, ReadToken(file));
  }
  if (!token.empty()) request.headers.push_back("Authorization: " + TrimBlank(token));
  const std::string service = "asking the container's credentials";
  TRAWL_ASSIGN(const std::string answer,
               AskService(std::move(request), service, {.connect = milliseconds(2'000)}));
  auto parsed = ParseCredentialsJson(answer);
  if (!parsed) return Annotate(parsed.error(), "{}", service);
  return parsed;
}

Result<TimedCredentials> AskInstance(const Environment& environment) {
  TRAWL_ASSIGN(InstanceMetadata metadata,
               InstanceMetadata::Find(environment, {.connect = milliseconds(1'000)}));
  const std::string roles = "iam/security-credentials/";
  TRAWL_ASSIGN(std::string role, metadata.Get(roles));
  role = TrimBlank(role.substr(0, role.find('\n')));
  TRAWL_ASSIGN(const std::string answer, metadata.Get(roles + PercentEncode(role)));
  auto parsed = ParseCredentialsJson(answer);
  if (!parsed) return Annotate(parsed.error(), "asking the instance's credentials");
  return parsed;
}

}  // namespace trawl::storage
