#pragma once
// Child processes and ports for tests that run real servers or the real executable.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/status.h"

namespace trawl::testing {

/// How long tests wait for what has to happen: who comes to this end hangs, however slow and loaded
/// the machine is.
inline constexpr std::chrono::minutes kPatience{5};

struct ProcessOptions {
  std::vector<std::string> argv;                                 // argv[0] is searched in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's own
  std::filesystem::path output;  // stdout and stderr are appended to it; empty: /dev/null
  std::filesystem::path
      stdout_file;                  // when not empty, stdout goes here instead, replacing the file
  std::filesystem::path directory;  // working directory; empty: this process's
};

/// A running child, in a process group of its own. The destructor kills the whole group (SIGKILL)
/// and reaps the child; the kernel kills the child when the thread that started it dies, so start
/// it from the test's main thread. Not thread-safe.
class Process {
 public:
  /// Errors: kInvalidArgument (no argv), kNotFound (cannot be executed), kUnavailable (fork).
  static Result<std::unique_ptr<Process>> Start(const ProcessOptions& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  /// Sends `signal` to the child alone (not to its group).
  void Signal(int signal);
  /// SIGKILL to the group, then waits for the child.
  void Kill();
  bool Running();
  /// The exit code (128 + n when signal n ended it), or nothing when it still runs after `timeout`.
  std::optional<int> Wait(std::chrono::milliseconds timeout);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  std::optional<int> exit_code_;
};

/// Runs to the end; the exit code, or kDeadlineExceeded (and the child is killed).
Result<int> RunProcess(const ProcessOptions& options, std::chrono::milliseconds timeout);

/// A free TCP port of 127.0.0.1, kept for servers that this process starts (they have to set
/// SO_REUSEADDR) as long as it runs.
int FreePort();

/// True as soon as 127.0.0.1:port accepts a connection; false when it does not within `timeout`.
bool WaitForPort(int port, std::chrono::milliseconds timeout = kPatience);

/// Polls `condition` every 10 ms; false when it does not hold within `timeout`. For what cannot
/// notify, such as another process; inside one process wait on a condition variable or a future
/// instead.
bool WaitUntil(const std::function<bool()>& condition,
               std::chrono::milliseconds timeout = kPatience);

}  // namespace trawl::testing
