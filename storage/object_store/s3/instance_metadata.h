#pragma once
// The metadata service of an EC2 instance, in version 2 only: nothing is asked for without a
// session token, which a request that somebody else's URL points here cannot have.

#include <chrono>
#include <string>

#include "config/clock.h"
#include "config/status.h"
#include "storage/object_store/environment.h"
#include "storage/object_store/s3/service_call.h"
#include "storage/object_store/secret.h"

namespace trawl::storage {

/// Not thread-safe.
class InstanceMetadata {
 public:
  /// The service at AWS_EC2_METADATA_SERVICE_ENDPOINT, or where every instance has it; asks nothing
  /// yet. `timeouts` are those of one request. Errors: kInvalidArgument for an address that is
  /// none.
  static Result<InstanceMetadata> Find(const Environment& environment,
                                       const ServiceTimeouts& timeouts,
                                       const Clock& clock = SystemClock());

  /// What is at `path` below /latest/meta-data/. One request while a session lasts, three at most.
  /// Errors: kUnavailable, kNotFound (there is nothing), kPermissionDenied.
  Result<std::string> Get(const std::string& path);

 private:
  InstanceMetadata(std::string base, std::string service, const ServiceTimeouts& timeouts,
                   const Clock& clock);

  Status BeginSession();

  const std::string base_;
  const std::string service_;  // for people
  const ServiceTimeouts timeouts_;
  const Clock& clock_;

  Secret session_;  // empty: none
  std::chrono::steady_clock::time_point session_began_;
};

}  // namespace trawl::storage
