#pragma once
// Who signs S3 requests. A provider answers without blocking: one that has to ask a service
// refreshes in its own time and hands out what it has.

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
  /// Errors: kPermissionDenied, saying what to set.
  virtual Result<Credentials> Get() = 0;
};

/// The first of these that is set, looked up once:
/// 1. TRAWL_S3_ACCESS_KEY, TRAWL_S3_SECRET_KEY and TRAWL_S3_SESSION_TOKEN;
/// 2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN;
/// 3. the profile AWS_PROFILE (or `default`) in AWS_SHARED_CREDENTIALS_FILE (or
/// ~/.aws/credentials). A source that is set by half is an error and is not passed over: the next
/// one may belong to somebody else.
std::unique_ptr<CredentialProvider> FindCredentials(const Environment& environment);

}  // namespace trawl::storage
