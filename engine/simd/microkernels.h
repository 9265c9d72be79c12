#pragma once
// Microkernels: the innermost loops, written once and compiled for every instruction set, behind
// one table of functions. They know addresses, strides and counts; which of them make up a layer is
// the business of engine/kernels.

#include "engine/simd/bf16.h"
#include "engine/simd/block.h"
#include "engine/simd/conv.h"
#include "engine/simd/conv_grouped.h"
#include "engine/simd/conv_narrow.h"
#include "engine/simd/elementwise.h"
#include "engine/simd/gemm.h"
#include "engine/simd/int8.h"
#include "engine/simd/isa.h"
#include "engine/simd/normalize.h"
#include "engine/simd/window.h"
#include "engine/simd/winograd.h"

namespace trawl::engine::simd {

struct Microkernels {
  Isa isa = Isa::kPortable;
  ConvMicrokernels conv;
  ElementwiseMicrokernels elementwise;
  GemmMicrokernels gemm;
  GroupedConvMicrokernels grouped_conv;
  NarrowConvMicrokernels narrow_conv;
  NormalizeMicrokernels normalize;
  WindowMicrokernels window;
  WinogradMicrokernels winograd;
  WinogradMicrokernels winograd_stride2;
  /// nullptr where the machine has no VNNI for this instruction set: AVX-512 VNNI, or AVX-VNNI.
  const Int8Microkernels* int8 = nullptr;
  /// nullptr but for AVX-512 on a machine with AVX-512 BF16.
  const Bf16Microkernels* bf16 = nullptr;
};

/// `isa` must be one of SupportedIsas().
const Microkernels& MicrokernelsFor(Isa isa);

}  // namespace trawl::engine::simd
