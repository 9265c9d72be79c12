#pragma once
// A real S3 server (s3proxy) that checks signatures, started for a test and killed after it.

#include <memory>
#include <string>
#include <string_view>

#include "config/status.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace trawl::testing {

/// Takes about 3 s to start: share one in a suite. Its jars come from ops/testing/s3.sh, which has
/// to be run once; the error says so when they are missing.
class S3Server {
 public:
  static Result<std::unique_ptr<S3Server>> Start();

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  static constexpr const char* kAccessKey = "trawl";
  static constexpr const char* kSecretKey = "trawl-secret/+with=signs";

  Status CreateBucket(const std::string& bucket) const;
  Status Put(const std::string& bucket, const std::string& key, std::string_view bytes) const;
  Status Delete(const std::string& bucket, const std::string& key) const;

 private:
  S3Server() = default;
  Status Send(const std::string& method, const std::string& path, std::string_view body) const;

  TempDir folder_{"s3"};
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace trawl::testing
