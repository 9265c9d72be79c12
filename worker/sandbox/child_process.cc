#include "worker/sandbox/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "config/check.h"
#include "ops/telemetry/log.h"
#include "worker/sandbox/child.h"
#include "worker/sandbox/lockdown.h"

namespace trawl::worker {
namespace {

/// The spawned process's descriptors: nothing on 0 to 2, the two that are shared, no others.
class Descriptors {
 public:
  Descriptors(int channel, int memory) {
    posix_spawn_file_actions_init(&actions_);
    // To numbers out of the way first: either may stand where the other has to go.
    posix_spawn_file_actions_adddup2(&actions_, channel, kParking);
    posix_spawn_file_actions_adddup2(&actions_, memory, kParking + 1);
    posix_spawn_file_actions_adddup2(&actions_, kParking, kChannelFd);
    posix_spawn_file_actions_adddup2(&actions_, kParking + 1, kMemoryFd);
    for (int fd = 0; fd < (kSanitized ? 2 : 3); ++fd)  // a sanitizer reports on 2
      posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kMemoryFd + 1);
  }
  ~Descriptors() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  static constexpr int kParking = 900;
  posix_spawn_file_actions_t actions_;
};

/// Signals as a new process expects them: none blocked, none ignored.
class FreshSignals {
 public:
  FreshSignals() {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    // A group of its own: an interrupt typed for the worker is not meant for it.
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~FreshSignals() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

/// 0, or an error number.
int Spawn(const std::vector<std::string>& command, int channel, int memory, pid_t& pid) {
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  char* const no_environment[] = {nullptr};
  return posix_spawn(&pid, arguments[0], Descriptors(channel, memory).get(), FreshSignals().get(),
                     arguments.data(), no_environment);
}

/// A reply is believed only as far as it makes sense.
ObjectError ErrorIn(const Reply& reply) {
  const size_t bytes = std::min<size_t>(reply.message_bytes, sizeof reply.message);
  if (reply.code > static_cast<uint32_t>(ObjectErrorCode::kInternal))
    return {ObjectErrorCode::kDecoderCrash, "the decoder gave an answer that is none"};
  return {static_cast<ObjectErrorCode>(reply.code), ops::EscapeForTerminal({reply.message, bytes})};
}

ObjectError CrashOf(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kOutOfMemoryExit)
    return {ObjectErrorCode::kTooLarge, "decoding it takes more memory than a decoder may have"};
  if (!WIFSIGNALED(status))
    return {ObjectErrorCode::kDecoderCrash,
            fmt::format("the decoder ended with code {}", WEXITSTATUS(status))};
  const int signal = WTERMSIG(status);
  if (signal == SIGSYS)
    return {ObjectErrorCode::kDecoderCrash, "the decoder made a system call that it may not make"};
  return {ObjectErrorCode::kDecoderCrash,
          fmt::format("the decoder died of signal {} ({})", signal, strsignal(signal))};
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& command,
                                                          const Setup& setup) {
  TRAWL_ASSIGN(Slot slot, Slot::Create(setup));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error(Code::kInternal, "making a channel: {}", std::strerror(errno));
  pid_t pid = 0;
  const int failure = Spawn(command, ends[1], slot.fd(), pid);
  close(ends[1]);
  if (failure != 0) {
    close(ends[0]);
    return Error(Code::kInternal, "starting {}: {}", command.front(), std::strerror(failure));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(std::move(slot), ends[0], pid));
}

ChildProcess::~ChildProcess() {
  close(channel_);
  if (alive()) Reap();
}

Result<uint32_t> ChildProcess::Greet(Timeout timeout) {
  if (AwaitAnswer(timeout) == Turn::kAnswered) return uint32_t{slot_.header().posture};
  const int status = Reap();
  return Error(Code::kInternal, "a decoder process did not start: {}", CrashOf(status).message);
}

ObjectResult<std::vector<ObjectResult<Samples>>> ChildProcess::Ask(
    std::span<const Bytes> objects, const ImageLimits& limits, const engine::PreprocessSpec& spec,
    size_t levels, Timeout timeout) {
  CHECK(objects.size() <= kMostAtOnce && objects.size() * levels <= level_capacity());
  Request request{.objects = static_cast<uint32_t>(objects.size()),
                  .object_bytes = {},
                  .levels = levels,
                  .limits = limits,
                  .spec = SpecOnSlot::From(spec)};
  size_t used = 0;
  for (size_t i = 0; i < objects.size(); ++i) {
    CHECK(objects[i].size() <= object_capacity() - used);
    std::ranges::copy(objects[i], slot_.objects().subspan(used).begin());
    request.object_bytes[i] = objects[i].size();
    used += objects[i].size();
  }
  slot_.header().request = request;
  const char byte = 1;
  // A decoder that ended meanwhile is noticed by what follows.
  (void)!send(channel_, &byte, 1, MSG_NOSIGNAL);
  const Turn turn = AwaitAnswer(timeout);
  slot_.Shrink(used);
  if (turn != Turn::kAnswered) return tl::unexpected(EndOf(turn, timeout));
  std::vector<ObjectResult<Samples>> answers;
  for (size_t i = 0; i < objects.size(); ++i) answers.push_back(AnswerTo(i, levels));
  return answers;
}

ObjectResult<Samples> ChildProcess::AnswerTo(size_t object, size_t levels) {
  const Reply reply = slot_.header().replies[object];
  if (reply.failed != 0) return tl::unexpected(ErrorIn(reply));
  const std::span<const uint8_t> answer = slot_.levels().subspan(object * levels, levels);
  return Samples(answer.begin(), answer.end());
}

ChildProcess::Turn ChildProcess::AwaitAnswer(Timeout timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto left = std::chrono::ceil<Timeout>(deadline - std::chrono::steady_clock::now());
    pollfd channel{channel_, POLLIN, 0};
    const int ready = poll(&channel, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Turn::kTimedOut;
    char byte = 0;
    const ssize_t got = ready < 0 ? -1 : recv(channel_, &byte, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    return got == 1 ? Turn::kAnswered : Turn::kEnded;
  }
}

int ChildProcess::Reap() {
  int status = -1;
  kill(pid_, SIGKILL);  // of no effect on one that has ended
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return status;
}

ObjectError ChildProcess::EndOf(Turn turn, Timeout timeout) {
  const int status = Reap();
  if (turn == Turn::kTimedOut)
    return {ObjectErrorCode::kTimeout,
            fmt::format("decoding took more than {} ms (decode-timeout-ms)", timeout.count())};
  return CrashOf(status);
}

}  // namespace trawl::worker
