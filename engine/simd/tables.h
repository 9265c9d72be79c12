#pragma once
// The microkernels' tables, one set per instruction set; engine/simd/microkernels.cc chooses.

#include "engine/simd/bf16.h"
#include "engine/simd/conv.h"
#include "engine/simd/conv_grouped.h"
#include "engine/simd/conv_narrow.h"
#include "engine/simd/elementwise.h"
#include "engine/simd/gemm.h"
#include "engine/simd/int8.h"
#include "engine/simd/normalize.h"
#include "engine/simd/window.h"
#include "engine/simd/winograd.h"

// clang-format off
#define TRAWL_DECLARE_TABLES(isa)        \
  namespace isa {                        \
  extern const ConvMicrokernels kConv; \
  extern const GroupedConvMicrokernels kGroupedConv; \
  extern const NarrowConvMicrokernels kNarrowConv; \
  extern const ElementwiseMicrokernels kElementwise; \
  extern const GemmMicrokernels kGemm;   \
  extern const NormalizeMicrokernels kNormalize; \
  extern const WindowMicrokernels kWindow; \
  extern const WinogradMicrokernels kWinograd, kWinogradStride2; \
  }
// clang-format on

namespace trawl::engine::simd {
TRAWL_DECLARE_TABLES(portable)
TRAWL_DECLARE_TABLES(avx2)
TRAWL_DECLARE_TABLES(avx512)
namespace avx2vnni {
extern const Int8Microkernels kInt8;
}
namespace avx512vnni {
extern const Int8Microkernels kInt8;
}
namespace avx512bf16 {
extern const Bf16Microkernels kBf16;
}
}  // namespace trawl::engine::simd

#undef TRAWL_DECLARE_TABLES
