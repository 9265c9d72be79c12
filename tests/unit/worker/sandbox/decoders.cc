#include "tests/unit/worker/sandbox/decoders.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "worker/image/image.h"
#include "worker/sandbox/child.h"
#include "worker/sandbox/lockdown.h"
#include "worker/sandbox/slot.h"

namespace trawl::worker {
namespace {

constexpr std::string_view kObedient = "obedient-decoder";

ObjectResult<void> Refused(int result) {
  const bool denied = result < 0 && errno == EPERM;
  return tl::unexpected(
      ObjectError{ObjectErrorCode::kDecoderCrash, denied ? "denied" : "it worked"});
}

void Devour() {
  // Written to, so that no optimiser leaves it out; far more than a decoder may have.
  for (int i = 0; i < 1'000; ++i) {
    auto* const block = static_cast<char*>(::operator new(64U << 20));
    asm volatile("" : : "r"(block) : "memory");
  }
}

[[noreturn]] void Crash() {
  if (kSanitized) signal(SIGSEGV, SIG_DFL);  // they would report and exit
  raise(SIGSEGV);
  _exit(99);
}

/// Answers by itself, with a code that does not exist, and waits to be asked again.
ObjectResult<void> Forge() {
  return tl::unexpected(ObjectError{static_cast<ObjectErrorCode>(4'000), "\x1B[2J"});
}

ObjectResult<void> Obey(std::span<const std::byte> bytes, const ImageLimits&,
                        const engine::PreprocessSpec&, std::span<uint8_t> levels) {
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  char* const no_arguments[] = {nullptr};
  if (order == "crash") Crash();
  if (order == "abort") std::abort();
  if (order == "exit") _exit(0);
  if (order == "devour") Devour();
  if (order == "forge") return Forge();
  if (order == "socket") return Refused(socket(AF_INET, SOCK_STREAM, 0));
  if (order == "open") return Refused(open("/etc/passwd", O_RDONLY));
  if (order == "execute") return Refused(execve("/bin/true", no_arguments, no_arguments));
  if (order == "fork") return Refused(static_cast<int>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
  if (order == "kill parent") return Refused(kill(getppid(), SIGKILL));
  if (order == "trace parent")
    return Refused(static_cast<int>(ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr)));
  if (order == "write elsewhere") return Refused(static_cast<int>(write(kMemoryFd, "x", 1)));
  if (order == "make code")
    return Refused(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                       ? -1
                       : 0);
  while (order == "hang") asm volatile("");
  if (order == "fill") {
    const pid_t self = getpid();
    for (size_t i = 0; i < levels.size(); ++i)
      levels[i] = static_cast<uint8_t>(self >> (i % sizeof self * 8));
    return {};
  }
  return tl::unexpected(ObjectError{ObjectErrorCode::kTooManyScans, std::string(order)});
}

/// Runs before main(): GoogleTest's own knows nothing of decoders.
[[gnu::constructor]] void BecomeDecoder(int count, char** arguments, char**) {
  if (count != 2) return;
  if (arguments[1] == kObedient) _exit(RunDecoder(Obey));
  if (std::strcmp(arguments[1], kDecoderArgument) == 0) _exit(RunDecoder(PrepareImage));
}

}  // namespace

std::vector<std::string> ObedientDecoder() { return {"/proc/self/exe", std::string(kObedient)}; }

std::vector<std::string> RealDecoder() { return DecoderCommand(); }

}  // namespace trawl::worker
