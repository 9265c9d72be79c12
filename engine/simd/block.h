#pragma once
// The blocked layout's unit.

namespace trawl::engine::simd {

/// Channels per block, on every instruction set: one AVX-512 register, two AVX2, four SSE.
inline constexpr int kBlock = 16;

}  // namespace trawl::engine::simd
