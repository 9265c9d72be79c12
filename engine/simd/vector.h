#pragma once
// One vector register of floats, as wide as the instruction set that this file is compiled for.
//
// Included only by files that are compiled once per instruction set. Those files include nothing of
// the standard library but <cstddef> and <cstdint>: an inline function or a template that the
// linker shares between translation units could be the copy with AVX-512 in it, in a process
// without.

#include <cstddef>
#include <cstdint>

#include "engine/simd/block.h"

namespace trawl::engine::simd {
namespace {  // every instruction set has its own

inline constexpr int kWidth = TRAWL_SIMD_WIDTH;
/// Registers per block of channels.
inline constexpr int kParts = kBlock / kWidth;

using Vector [[gnu::vector_size(kWidth * sizeof(float))]] = float;
using UnalignedVector [[gnu::vector_size(kWidth * sizeof(float)), gnu::aligned(4)]] = float;

[[gnu::always_inline]] inline Vector Load(const float* p) {
  return *reinterpret_cast<const Vector*>(p);
}
[[gnu::always_inline]] inline Vector LoadUnaligned(const float* p) {
  return *reinterpret_cast<const UnalignedVector*>(p);
}
[[gnu::always_inline]] inline void Store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
[[gnu::always_inline]] inline void StoreUnaligned(float* p, Vector v) {
  *reinterpret_cast<UnalignedVector*>(p) = v;
}
/// `x - 0` is a plain broadcast to the compiler; `0 + x` would be an addition, for -0's sake.
[[gnu::always_inline]] inline Vector Broadcast(float x) { return x - Vector{}; }
[[gnu::always_inline]] inline Vector Max(Vector a, Vector b) { return a > b ? a : b; }
[[gnu::always_inline]] inline Vector Min(Vector a, Vector b) { return a < b ? a : b; }

}  // namespace
}  // namespace trawl::engine::simd
