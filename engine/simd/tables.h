#pragma once
// The microkernels' tables, one set per instruction set; engine/simd/microkernels.cc chooses.

#include "engine/simd/elementwise.h"
#include "engine/simd/gemm.h"
#include "engine/simd/window.h"

// clang-format off
#define TRAWL_DECLARE_TABLES(isa)        \
  namespace isa {                        \
  extern const ElementwiseMicrokernels kElementwise; \
  extern const GemmMicrokernels kGemm;   \
  extern const WindowMicrokernels kWindow; \
  }
// clang-format on

namespace trawl::engine::simd {
TRAWL_DECLARE_TABLES(portable)
TRAWL_DECLARE_TABLES(avx2)
TRAWL_DECLARE_TABLES(avx512)
}  // namespace trawl::engine::simd

#undef TRAWL_DECLARE_TABLES
