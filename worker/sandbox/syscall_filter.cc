// The allow-list of system calls, as a program for the kernel's filter machine. Written out, not
// made by a library: it is a list, and three rules about arguments.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include "worker/sandbox/lockdown.h"

namespace trawl::worker {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// Memory, its locks, time, and the end. A fatal signal's way out (abort) is among them, so that a
// report names the signal.
constexpr long kAllowed[] = {SYS_munmap,    SYS_mremap,      SYS_madvise,        SYS_brk,
                             SYS_futex,     SYS_exit_group,  SYS_exit,           SYS_clock_gettime,
                             SYS_getpid,    SYS_gettid,      SYS_rt_sigreturn,   SYS_rt_sigprocmask,
                             SYS_getrandom, SYS_sched_yield, SYS_restart_syscall};

// What the sanitizers' runtimes call besides: reports, and pipes to try whether memory is readable.
constexpr long kAllowedSanitized[] = {
    SYS_write,
    SYS_read,
    SYS_close,
    SYS_pipe2,
    SYS_readlinkat,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_prctl,
    SYS_getrlimit,
    SYS_getrusage,
    SYS_sched_getaffinity,
    SYS_clock_nanosleep,
#ifdef __x86_64__
    SYS_pipe,
    SYS_readlink,
#endif
};

class Program {
 public:
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, action); }
  /// Goes on with the next instruction when the loaded word is `value`, else `skip` further.
  void UnlessEqualSkip(uint32_t value, uint8_t skip) {
    code_.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value});
  }
  void UnlessAnySkip(uint32_t bits, uint8_t skip) {
    code_.push_back({BPF_JMP | BPF_JSET | BPF_K, 0, skip, bits});
  }

  void RefuseUnlessEqual(uint32_t value, uint32_t refuse) {
    code_.push_back({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value});
    Return(refuse);
  }
  void Allow(long call) {
    UnlessEqualSkip(static_cast<uint32_t>(call), 1);
    Return(SECCOMP_RET_ALLOW);
  }
  /// Only with argument number `index` equal to `value`. Ends the program for this call.
  void AllowWith(long call, size_t index, uint32_t value, uint32_t otherwise) {
    UnlessEqualSkip(static_cast<uint32_t>(call), 4);
    LoadArgument(index);
    UnlessEqualSkip(value, 1);
    Return(SECCOMP_RET_ALLOW);
    Return(otherwise);
  }
  /// Only without `bits` in argument number `index`.
  void AllowWithout(long call, size_t index, uint32_t bits, uint32_t otherwise) {
    UnlessEqualSkip(static_cast<uint32_t>(call), 4);
    LoadArgument(index);
    UnlessAnySkip(bits, 1);
    Return(otherwise);
    Return(SECCOMP_RET_ALLOW);
  }

  bool Install() {
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
  }

 private:
  void Add(uint16_t code, uint32_t operand) { code_.push_back({code, 0, 0, operand}); }
  /// Its lower half: descriptors, process ids and protections are ints. Both are little-endian.
  void LoadArgument(size_t index) { Load(offsetof(seccomp_data, args) + index * sizeof(uint64_t)); }

  std::vector<sock_filter> code_;
};

}  // namespace

bool FilterSystemCalls(int channel) {
#if defined(__x86_64__) || defined(__aarch64__)
  const uint32_t refuse =
      kSanitized ? SECCOMP_RET_ERRNO | static_cast<uint32_t>(EPERM) : SECCOMP_RET_KILL_PROCESS;
  Program program;
  // Numbers mean other calls for other instruction sets.
  program.Load(offsetof(seccomp_data, arch));
  program.RefuseUnlessEqual(kArchitecture, refuse);
  program.Load(offsetof(seccomp_data, nr));
  for (const long call : kAllowed) program.Allow(call);
  if (kSanitized)
    for (const long call : kAllowedSanitized) program.Allow(call);
  program.AllowWith(SYS_read, 0, static_cast<uint32_t>(channel), refuse);
  program.AllowWith(SYS_write, 0, static_cast<uint32_t>(channel), refuse);
  program.AllowWith(SYS_tgkill, 0, static_cast<uint32_t>(getpid()), refuse);
  program.AllowWithout(SYS_mmap, 2, PROT_EXEC, refuse);
  program.AllowWithout(SYS_mprotect, 2, PROT_EXEC, refuse);
  program.Return(refuse);
  return program.Install();
#else
  (void)channel;
  return false;
#endif
}

}  // namespace trawl::worker
