#include "storage/object_store/s3/credentials.h"

#include <optional>
#include <utility>

#include "storage/object_store/s3/credential_services.h"
#include "storage/object_store/s3/profile.h"
#include "storage/object_store/s3/refreshing_credentials.h"

namespace trawl::storage {
namespace {

using ProviderPtr = std::unique_ptr<CredentialProvider>;

class FixedCredentials final : public CredentialProvider {
 public:
  explicit FixedCredentials(Result<Credentials> credentials)
      : credentials_(std::move(credentials)) {}
  Result<Credentials> Get() override { return credentials_; }

 private:
  const Result<Credentials> credentials_;
};

// Null when neither of the two is set. Trimmed: a value that comes from a file often ends in a
// newline.
ProviderPtr FromEnvironment(const Environment& environment, const std::string& access_name,
                            const std::string& secret_name, const std::string& token_name) {
  Credentials credentials{TrimBlank(environment(access_name)),
                          Secret(TrimBlank(environment(secret_name))),
                          Secret(TrimBlank(environment(token_name)))};
  if (credentials.access_key.empty() && credentials.secret_key.empty()) return nullptr;
  if (credentials.access_key.empty() || credentials.secret_key.empty()) {
    const bool has_access = !credentials.access_key.empty();
    return std::make_unique<FixedCredentials>(
        Error(Code::kPermissionDenied, "{} is set but {} is not",
              has_access ? access_name : secret_name, has_access ? secret_name : access_name));
  }
  return std::make_unique<FixedCredentials>(std::move(credentials));
}

ProviderPtr FromWebIdentity(WebIdentity identity, const Environment& environment) {
  return std::make_unique<RefreshingCredentials>(
      [identity = std::move(identity), environment] { return AssumeRole(identity, environment); },
      "");
}

ProviderPtr FromWebIdentity(const Environment& environment) {
  WebIdentity identity{environment("AWS_WEB_IDENTITY_TOKEN_FILE"), environment("AWS_ROLE_ARN"),
                       environment("AWS_ROLE_SESSION_NAME")};
  if (identity.token_file.empty()) return nullptr;
  if (identity.role_arn.empty())
    return std::make_unique<FixedCredentials>(Error(
        Code::kPermissionDenied, "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not"));
  return FromWebIdentity(std::move(identity), environment);
}

ProviderPtr FromProfile(const Environment& environment) {
  auto found = FindProfile(environment);
  if (!found) return std::make_unique<FixedCredentials>(tl::unexpected(found.error()));
  if (!*found) return nullptr;
  const Profile& profile = **found;
  Credentials credentials{profile.Value("aws_access_key_id"),
                          Secret(profile.Value("aws_secret_access_key")),
                          Secret(profile.Value("aws_session_token"))};
  if (!credentials.access_key.empty() && !credentials.secret_key.empty())
    return std::make_unique<FixedCredentials>(std::move(credentials));
  WebIdentity identity{profile.Value("web_identity_token_file"), profile.Value("role_arn"),
                       profile.Value("role_session_name")};
  const bool half = !credentials.access_key.empty() || !credentials.secret_key.empty();
  if (!half && !identity.token_file.empty() && !identity.role_arn.empty())
    return FromWebIdentity(std::move(identity), environment);
  // A default profile often holds a region and nothing else.
  const bool asked =
      !environment("AWS_PROFILE").empty() || !environment("AWS_SHARED_CREDENTIALS_FILE").empty();
  if (!half && !asked && identity.role_arn.empty()) return nullptr;
  return std::make_unique<FixedCredentials>(
      Error(Code::kPermissionDenied,
            "profile '{}' lacks aws_access_key_id or aws_secret_access_key, and has no "
            "web_identity_token_file with a role_arn (other kinds are not supported)",
            profile.name));
}

ProviderPtr FromContainer(const Environment& environment) {
  if (environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() &&
      environment("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty())
    return nullptr;
  return std::make_unique<RefreshingCredentials>(
      [environment] { return AskContainer(environment); }, "");
}

ProviderPtr FromInstance(const Environment& environment) {
  const std::string help =
      "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a "
      "profile in ~/.aws/credentials, or --anonymous for a public bucket";
  const std::string disabled = environment("AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "TRUE" || disabled == "True")
    return std::make_unique<FixedCredentials>(Error(Code::kPermissionDenied, "{}", help));
  return std::make_unique<RefreshingCredentials>([environment] { return AskInstance(environment); },
                                                 "; " + help);
}

}  // namespace

std::unique_ptr<CredentialProvider> FindCredentials(const Environment& environment) {
  ProviderPtr found = FromEnvironment(environment, "TRAWL_S3_ACCESS_KEY", "TRAWL_S3_SECRET_KEY",
                                      "TRAWL_S3_SESSION_TOKEN");
  if (!found)
    found = FromEnvironment(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                            "AWS_SESSION_TOKEN");
  if (!found) found = FromWebIdentity(environment);
  if (!found) found = FromProfile(environment);
  if (!found) found = FromContainer(environment);
  if (!found) found = FromInstance(environment);
  return found;
}

}  // namespace trawl::storage
