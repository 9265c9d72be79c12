#pragma once
// Who signs S3 requests.

#include <memory>
#include <string>

#include "config/status.h"
#include "storage/object_store/environment.h"
#include "storage/object_store/secret.h"

namespace trawl::storage {

struct Credentials {
  std::string access_key;
  Secret secret_key;
  Secret session_token;  // empty for long-lived keys
};

/// Thread-safe.
class CredentialProvider {
 public:
  virtual ~CredentialProvider() = default;
  /// Never blocks: one that has to ask a service does so on a thread of its own, and hands out what
  /// it has until that expires. Errors: kPermissionDenied, saying what to set or what went wrong.
  virtual Result<Credentials> Get() = 0;
  /// Returns when Get has its first answer, good or bad.
  virtual void Await() {}
  /// A server refused them: get others soon.
  virtual void OnRefused() {}
};

/// The first of these that is set:
/// 1. TRAWL_S3_ACCESS_KEY, TRAWL_S3_SECRET_KEY and TRAWL_S3_SESSION_TOKEN;
/// 2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN;
/// 3. web identity: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, exchanged at STS
///    (AWS_ENDPOINT_URL_STS, else AWS's in AWS_REGION);
/// 4. the profile AWS_PROFILE (or `default`) in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials)
///    and AWS_CONFIG_FILE (~/.aws/config): static keys, or web_identity_token_file and role_arn;
/// 5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or _FULL_URI (https, this machine, or the addresses
///    where containers are served), with AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE);
/// 6. the instance's metadata service, version 2 only, unless AWS_EC2_METADATA_DISABLED is true.
/// A source that is set by half is an error and is not passed over: the next one may belong to
/// somebody else. Asks nobody before the first Await or Get.
std::unique_ptr<CredentialProvider> FindCredentials(const Environment& environment);

}  // namespace trawl::storage
