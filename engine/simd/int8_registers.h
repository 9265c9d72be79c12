#pragma once
// Registers of bytes, numbers of 32 bits and floats, as wide as the instruction set that the file
// is compiled for; int8_registers512.h and int8_registers256.h have the same functions. Included
// only by int8*.cc, for which vector.h's rules hold.

#if TRAWL_SIMD_WIDTH == 16
#include "engine/simd/int8_registers512.h"
#else
#include "engine/simd/int8_registers256.h"
#endif

#include "engine/simd/int8.h"

namespace trawl::engine::simd {
namespace {  // every instruction set has its own

/// Bytes of a register.
inline constexpr int kBytes = 4 * kLanes;

/// As many channels as a register has bytes: their sums, or four bytes of each.
struct Wide {
  Ints part[4];
};

/// The bytes that four registers have of each channel, side by side, in lanes of Int8WideChannel.
[[gnu::always_inline]] inline Wide Transpose(Ints a, Ints b, Ints c, Ints d) {
  const Ints ab0 = UnpackLowBytes(a, b), ab1 = UnpackHighBytes(a, b);
  const Ints cd0 = UnpackLowBytes(c, d), cd1 = UnpackHighBytes(c, d);
  return {{UnpackLowWords(ab0, cd0), UnpackHighWords(ab0, cd0), UnpackLowWords(ab1, cd1),
           UnpackHighWords(ab1, cd1)}};
}

/// The way back of numbers, bounded to bytes.
[[gnu::always_inline]] inline Ints PackWide(const Wide& v) {
  return PackToBytes(PackToWords(v.part[0], v.part[1]), PackToWords(v.part[2], v.part[3]));
}

/// Bytes as numbers, in lanes of Int8WideChannel.
[[gnu::always_inline]] inline Wide Widen(Ints bytes) {
  return Transpose(bytes, Zero(), Zero(), Zero());
}

/// Calls `run(layer, weights, epilogue, first)` for each part of a panel whose sums fill kParts
/// registers; `first` is its first channel.
template <int kParts, class Run>
void ForEachSlice(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                  Run run) {
  for (int lane = 0; kParts * lane < layer.stored; lane += kLanes) {
    Int8Layer slice = layer;
    slice.stored -= kParts * lane;
    Int8Epilogue of_slice = epilogue;
    of_slice.multiplier += lane;
    of_slice.shift += lane;
    run(slice, weights + kInt8Depth * lane, of_slice, ptrdiff_t{kParts} * lane);
  }
}

}  // namespace
}  // namespace trawl::engine::simd
