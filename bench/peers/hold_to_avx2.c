// Holds a process to AVX2 that has no switch for it: what its libraries ask the processor with
// CPUID is answered without AVX-512 and AMX; AVX-VNNI, which processors without AVX-512 have, too,
// stays. Linux lets a process have that instruction trapped where the processor can (`cpuid_fault`
// in /proc/cpuinfo); the trap is a SIGSEGV, which is handled here. Children inherit it, and the
// threads of the process.
//
//   cc -O2 -shared -fPIC -o hold_to_avx2.so hold_to_avx2.c;  LD_PRELOAD=$PWD/hold_to_avx2.so …
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { kEax, kEbx, kEcx, kEdx };

static long AllowCpuid(long allowed) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed); }

// Extended features, Intel's manual, volume 2, CPUID.
static void Hide(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  if (leaf != 7) return;
  if (subleaf == 0) {
    registers[kEbx] &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 |
                         1u << 30 | 1u << 31);  // AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL
    registers[kEcx] &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);  // its extensions
    registers[kEdx] &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
  } else if (subleaf == 1) {
    registers[kEax] &= ~(1u << 5);   // AVX-512 BF16
    registers[kEdx] &= ~(1u << 19);  // AVX10
  }
}

static void OnSegv(int signal_number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* saved = ((ucontext_t*)context)->uc_mcontext.gregs;
  const uint8_t* code = (const uint8_t*)saved[REG_RIP];
  if (code[0] != 0x0f || code[1] != 0xa2) {  // no CPUID
    signal(signal_number, SIG_DFL);
    return;
  }
  const uint32_t leaf = (uint32_t)saved[REG_RAX], subleaf = (uint32_t)saved[REG_RCX];
  uint32_t registers[4];
  AllowCpuid(1);
  __cpuid_count(leaf, subleaf, registers[kEax], registers[kEbx], registers[kEcx], registers[kEdx]);
  AllowCpuid(0);
  Hide(leaf, subleaf, registers);
  saved[REG_RAX] = registers[kEax];
  saved[REG_RBX] = registers[kEbx];
  saved[REG_RCX] = registers[kEcx];
  saved[REG_RDX] = registers[kEdx];
  saved[REG_RIP] += 2;
}

__attribute__((constructor)) static void Start(void) {
  struct sigaction action = {.sa_sigaction = OnSegv, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  if (AllowCpuid(0) != 0) _exit(78);  // cannot be done here: no figures are better than wrong ones
}
