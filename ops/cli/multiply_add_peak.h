#pragma once
// The most multiply-adds that the machine does in a second: what a kernel's speed is held against.

#include "engine/simd/isa.h"

namespace trawl::ops {

/// Floating-point operations a second, two for each f32 multiply-add, of `threads` threads that do
/// nothing else for about `seconds`, all operands in registers, with the instructions of `isa`,
/// which the machine must have. The portable ones of x86 multiply and add one after the other.
double MeasureMultiplyAddPeak(engine::simd::Isa isa, int threads, double seconds);

}  // namespace trawl::ops
