#include "engine/simd/microkernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>

#include "config/check.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {

#if defined(__x86_64__)
namespace {
/// AVX-VNNI; Intel's manual, volume 2, CPUID: clang 14 has no name to ask for it.
bool HasAvxVnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 4 & 1) != 0;
}
}  // namespace
#endif

const Microkernels& MicrokernelsFor(Isa isa) {
  static const Microkernels kPortable = {.isa = Isa::kPortable,
                                         .conv = portable::kConv,
                                         .elementwise = portable::kElementwise,
                                         .gemm = portable::kGemm,
                                         .grouped_conv = portable::kGroupedConv,
                                         .narrow_conv = portable::kNarrowConv,
                                         .normalize = portable::kNormalize,
                                         .window = portable::kWindow,
                                         .winograd = portable::kWinograd,
                                         .winograd_stride2 = portable::kWinogradStride2};
#if defined(__x86_64__)
  static const Microkernels kAvx2 = {.isa = Isa::kAvx2,
                                     .conv = avx2::kConv,
                                     .elementwise = avx2::kElementwise,
                                     .gemm = avx2::kGemm,
                                     .grouped_conv = avx2::kGroupedConv,
                                     .narrow_conv = avx2::kNarrowConv,
                                     .normalize = avx2::kNormalize,
                                     .window = avx2::kWindow,
                                     .winograd = avx2::kWinograd,
                                     .winograd_stride2 = avx2::kWinogradStride2,
                                     .int8 = HasAvxVnni() ? &avx2vnni::kInt8 : nullptr};
  static const Microkernels kAvx512 = {
      .isa = Isa::kAvx512,
      .conv = avx512::kConv,
      .elementwise = avx512::kElementwise,
      .gemm = avx512::kGemm,
      .grouped_conv = avx512::kGroupedConv,
      .narrow_conv = avx512::kNarrowConv,
      .normalize = avx512::kNormalize,
      .window = avx512::kWindow,
      .winograd = avx512::kWinograd,
      .winograd_stride2 = avx512::kWinogradStride2,
      .int8 = __builtin_cpu_supports("avx512vnni") ? &avx512vnni::kInt8 : nullptr,
      .bf16 = __builtin_cpu_supports("avx512bf16") ? &avx512bf16::kBf16 : nullptr};
  CHECK(std::ranges::find(SupportedIsas(), isa) != SupportedIsas().end());
  if (isa == Isa::kAvx512) return kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kPortable;
}

}  // namespace trawl::engine::simd
