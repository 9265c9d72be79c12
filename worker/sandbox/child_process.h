#pragma once
// A decoder process as its worker sees it: started, asked, given up.

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/status.h"
#include "worker/sandbox/slot.h"

namespace trawl::worker {

/// Not thread-safe. The process ends with its owner: its channel closes.
class ChildProcess {
 public:
  using Timeout = std::chrono::milliseconds;

  /// Starts `command` with no environment and no descriptors but the two that they share. It is not
  /// ready before Greet.
  static Result<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& command,
                                                     const Setup& setup);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Waits until it has locked itself in. Returns the layers that hold (lockdown.h).
  Result<uint32_t> Greet(Timeout timeout);

  /// What each of up to kMostAtOnce objects became; of several, all together fit into
  /// object_capacity(). Error: timeout, decoder_crash or too_large when the process did not survive
  /// them: then alive() is false.
  ObjectResult<std::vector<ObjectResult<Samples>>> Ask(std::span<const Bytes> objects,
                                                       const ImageLimits& limits,
                                                       const engine::PreprocessSpec& spec,
                                                       size_t levels, Timeout timeout);

  bool alive() const { return pid_ > 0; }
  size_t object_capacity() { return slot_.objects().size(); }
  size_t level_capacity() { return slot_.levels().size(); }
  pid_t pid() const { return pid_; }

 private:
  enum class Turn { kAnswered, kEnded, kTimedOut };

  ChildProcess(Slot slot, int channel, pid_t pid)
      : slot_(std::move(slot)), channel_(channel), pid_(pid) {}

  Turn AwaitAnswer(Timeout timeout);
  ObjectResult<Samples> AnswerTo(size_t object, size_t levels);
  /// Kills it if need be and waits for its end. Returns the status of waitpid, or -1.
  int Reap();
  ObjectError EndOf(Turn turn, Timeout timeout);

  Slot slot_;
  int channel_;
  pid_t pid_;  // 0 once it has been waited for
};

}  // namespace trawl::worker
