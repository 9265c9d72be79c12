#pragma once
// The services that hand out credentials for a while. Each function asks once and blocks for a few
// seconds at most. Errors: kUnavailable, kNotFound or kPermissionDenied; no secret is ever part of
// a message.

#include <cstdint>
#include <string>

#include "config/status.h"
#include "storage/object_store/environment.h"
#include "storage/object_store/s3/credentials.h"

namespace trawl::storage {

struct TimedCredentials {
  Credentials credentials;
  int64_t expires_ms = 0;  // Unix milliseconds
};

struct WebIdentity {
  std::string token_file;
  std::string role_arn;
  std::string session_name;  // empty: trawl
};

/// STS's AssumeRoleWithWebIdentity, with a token that is read anew each time: its issuer rotates
/// it.
Result<TimedCredentials> AssumeRole(const WebIdentity& identity, const Environment& environment);

/// The endpoint that the environment of a container names.
Result<TimedCredentials> AskContainer(const Environment& environment);

/// The metadata service of an instance, version 2: a session token first.
Result<TimedCredentials> AskInstance(const Environment& environment);

/// The JSON that container and instance endpoints answer with. Errors: kPermissionDenied.
Result<TimedCredentials> ParseCredentialsJson(std::string_view text);

}  // namespace trawl::storage
