#pragma once
// A real Apache Kafka broker for a test: one node in KRaft mode on free ports of 127.0.0.1, its
// data in a temporary folder. Its jars are fetched by ops/testing/kafka.sh.

#include <chrono>
#include <memory>
#include <string>

#include "config/status.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace trawl::testing {

/// Stopped, and its data removed, when destroyed. Start it from the test's main thread (see
/// Process); start one per test binary, as each takes about 4 s and 250 MB. Not thread-safe.
class KafkaBroker {
 public:
  /// Returns when the broker serves. Errors: kFailedPrecondition (the jars or Java are missing: run
  /// the script that is named), kUnavailable (it did not start; the end of its log).
  static Result<std::unique_ptr<KafkaBroker>> Start();

  /// "127.0.0.1:<port>"; the same after a restart.
  const std::string& address() const { return address_; }
  /// kill -9.
  void Kill();
  /// Starts it again on its data; returns when it serves.
  Status Restart();
  /// A broker that hangs: connections stay, nobody answers.
  void Freeze();
  void Thaw();

 private:
  KafkaBroker() = default;
  Status Format();

  TempDir folder_{"kafka"};
  std::string classpath_;
  std::string address_;
  int starts_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace trawl::testing
