#include "engine/simd/microkernels.h"

#include <algorithm>

#include "config/check.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {

const Microkernels& MicrokernelsFor(Isa isa) {
  static const Microkernels kPortable = {.isa = Isa::kPortable, .gemm = portable::kGemm};
#if defined(__x86_64__)
  static const Microkernels kAvx2 = {.isa = Isa::kAvx2, .gemm = avx2::kGemm};
  static const Microkernels kAvx512 = {.isa = Isa::kAvx512, .gemm = avx512::kGemm};
  CHECK(std::ranges::find(SupportedIsas(), isa) != SupportedIsas().end());
  if (isa == Isa::kAvx512) return kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kPortable;
}

}  // namespace trawl::engine::simd
