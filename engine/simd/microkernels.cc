#include "engine/simd/microkernels.h"

#include <algorithm>

#include "config/check.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {

const Microkernels& MicrokernelsFor(Isa isa) {
  static const Microkernels kPortable = {.isa = Isa::kPortable,
                                         .elementwise = portable::kElementwise,
                                         .gemm = portable::kGemm,
                                         .window = portable::kWindow};
#if defined(__x86_64__)
  static const Microkernels kAvx2 = {.isa = Isa::kAvx2,
                                     .elementwise = avx2::kElementwise,
                                     .gemm = avx2::kGemm,
                                     .window = avx2::kWindow};
  static const Microkernels kAvx512 = {.isa = Isa::kAvx512,
                                       .elementwise = avx512::kElementwise,
                                       .gemm = avx512::kGemm,
                                       .window = avx512::kWindow};
  CHECK(std::ranges::find(SupportedIsas(), isa) != SupportedIsas().end());
  if (isa == Isa::kAvx512) return kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kPortable;
}

}  // namespace trawl::engine::simd
