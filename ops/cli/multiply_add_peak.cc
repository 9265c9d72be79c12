#include "ops/cli/multiply_add_peak.h"

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace trawl::ops {
namespace {

using Clock = std::chrono::steady_clock;
using engine::simd::Isa;

// Sums that do not wait for each other: two units of four cycles need eight; twelve fit into the
// sixteen registers of AVX2 with the two factors.
constexpr int kSums = 12;
constexpr int64_t kRounds = 20'000;  // between two looks at the clock: about 30 µs

// Read at run time, so that the compiler cannot compute the loop. Sums tend to 1: no infinities, no
// denormals.
volatile float g_factor = 0.5f;
volatile float g_result;

typedef float Floats4 __attribute__((vector_size(16)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats16 __attribute__((vector_size(64)));

template <class Register>
[[gnu::always_inline]] inline void MultiplyAdd() {
  const Register factor = g_factor - Register{};
  Register sums[kSums];
  for (Register& sum : sums) sum = g_factor - Register{};  // equal, but the compiler does not know
  for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (Register& sum : sums) sum = sum * factor + factor;
  }
  for (const Register& sum : sums) g_result = sum[0];
}

void MultiplyAddPortable() { MultiplyAdd<Floats4>(); }
#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void MultiplyAddAvx2() { MultiplyAdd<Floats8>(); }
[[gnu::target("avx512f,fma")]] void MultiplyAddAvx512() { MultiplyAdd<Floats16>(); }
#endif

struct Loop {
  void (*run)();
  int floats;  // a register
};

Loop LoopFor(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return {MultiplyAddAvx512, 16};
  if (isa == Isa::kAvx2) return {MultiplyAddAvx2, 8};
#endif
  return {MultiplyAddPortable, 4};
}

/// Operations a second of the calling thread.
double Spin(const Loop& loop, double seconds) {
  const auto start = Clock::now();
  int64_t calls = 0;
  double elapsed = 0;
  do {
    loop.run();
    ++calls;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  } while (elapsed < seconds);
  return static_cast<double>(calls) * 2.0 * kRounds * kSums * loop.floats / elapsed;
}

}  // namespace

double MeasureMultiplyAddPeak(Isa isa, int threads, double seconds) {
  const Loop loop = LoopFor(isa);
  std::vector<double> rates(static_cast<size_t>(threads));
  {
    std::vector<std::jthread> team;
    for (double& rate : rates) team.emplace_back([&] { rate = Spin(loop, seconds); });
  }
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

}  // namespace trawl::ops
