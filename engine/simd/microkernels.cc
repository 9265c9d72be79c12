#include "engine/simd/microkernels.h"

#include <algorithm>

#include "config/check.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {

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
                                     .winograd_stride2 = avx2::kWinogradStride2};
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
      .int8 = __builtin_cpu_supports("avx512vnni") ? &avx512vnni::kInt8 : nullptr};
  CHECK(std::ranges::find(SupportedIsas(), isa) != SupportedIsas().end());
  if (isa == Isa::kAvx512) return kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kPortable;
}

}  // namespace trawl::engine::simd
