#pragma once
// What becomes of the sums of bytes (Int8Epilogue), register by register. Included only by files
// that are compiled once per instruction set.

#include "engine/simd/int8_registers.h"

namespace trawl::engine::simd {
namespace {  // every instruction set has its own

/// A register of sums, scaled and shifted.
[[gnu::always_inline]] inline Floats Scaled(const Int8Epilogue& e, Ints sum, int part) {
  return MultiplyAdd(ToFloats(sum), LoadFloats(e.multiplier + 16 * part),
                     LoadFloats(e.shift + 16 * part));
}

/// Two bytes, each on its grid, as their sum on a third, rounded.
[[gnu::always_inline]] inline Ints AddGrids(const Int8Epilogue& e, Ints own, Ints residual) {
  const Floats rest =
      MultiplyAdd(ToFloats(residual), Repeat(e.residual_scale), Repeat(e.sum_shift));
  return Round(MultiplyAdd(ToFloats(own), Repeat(e.own_scale), rest));
}

/// Results of sums and numbers of the residual.
[[gnu::always_inline]] inline Ints WithResidual(const Int8Epilogue& e, Ints sum, int part,
                                                Ints residual) {
  const Floats v = Scaled(e, sum, part);
  if (e.joins) return Round(MultiplyAdd(ToFloats(residual), Repeat(e.residual_scale), v));
  const Ints own = Min(Max(Round(v), Repeat(int32_t{e.low})), Repeat(int32_t{e.high}));
  return AddGrids(e, own, residual);
}

/// The last bounds.
class Bounds {
 public:
  [[gnu::always_inline]] explicit Bounds(const Int8Epilogue& e)
      : Bounds(e.has_residual ? e.sum_low : e.low, e.has_residual ? e.sum_high : e.high) {}
  [[gnu::always_inline]] Bounds(uint8_t low, uint8_t high)
      : bounds_(low != 0 || high != 255), low_(RepeatByte(low)), high_(RepeatByte(high)) {}

  /// Packing has bounded the bytes already, mostly as tightly as is asked for.
  [[gnu::always_inline]] Ints Of(Ints bytes) const {
    return bounds_ ? MinBytes(MaxBytes(bytes, low_), high_) : bytes;
  }

 private:
  bool bounds_;
  Ints low_, high_;
};

}  // namespace
}  // namespace trawl::engine::simd
