#pragma once
// Functions of whole registers: exp, sigmoid, tanh, erf and the activations. Included only by files
// that are compiled once per instruction set (vector.h says what that means).
//
// exp and tanh are Cephes' expf and tanhf (S. L. Moshier, netlib.org/cephes, single/): arguments
// reduced by a multiple of log 2, or to |x| < 0.625, and a minimax polynomial. Relative errors are
// below 2^-22 (4 ulp with the roundings of what is built upon them); tests hold them to that. erf
// is x times a quotient of two polynomials in x², fitted by weighted least squares until the
// relative error, 2e-8, was even; all coefficients being positive, nothing cancels.

#include "engine/simd/activation.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

using Integers [[gnu::vector_size(kWidth * sizeof(int32_t))]] = int32_t;

/// 0 below -86.6, where the result would be nearly denormal, and infinite above 88.7; NaN stays
/// NaN.
[[gnu::always_inline]] inline Vector Exp(Vector x) {
  constexpr float kLow = -86.6f, kHigh = 88.72283f, kLog2e = 1.44269504f;
  // log 2 in two parts: n times the first is exact.
  constexpr float kLog2First = 0.693359375f, kLog2Second = -2.12194440e-4f;
  // Adding it leaves no bits for a fraction, so the sum is rounded to an integer.
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23
  const Vector low = Broadcast(kLow), high = Broadcast(kHigh);
  Vector reduced = x < low ? low : x;
  reduced = reduced > high ? high : reduced;
  const Vector shifted = reduced * kLog2e + kRound;
  const Vector n = shifted - kRound;
  reduced = reduced - n * kLog2First;
  reduced = reduced - n * kLog2Second;
  Vector p = Broadcast(1.9875691500e-4f);
  p = p * reduced + 1.3981999507e-3f;
  p = p * reduced + 8.3334519073e-3f;
  p = p * reduced + 4.1665795894e-2f;
  p = p * reduced + 1.6666665459e-1f;
  p = p * reduced + 5.0000001201e-1f;
  p = p * reduced * reduced + reduced + 1.0f;
  // 2^n as 2^(n-1) · 2, since 2^128 has no exponent of its own.
  const Integers exponent = reinterpret_cast<Integers>(shifted) - 0x4B400000 + 126;
  const Vector y = p * reinterpret_cast<Vector>(exponent << 23) * 2.0f;
  const Vector bounded = x > high ? Broadcast(__builtin_inff()) : y;
  return x < low ? Vector{} : bounded;
}

[[gnu::always_inline]] inline Vector Sigmoid(Vector x) { return 1.0f / (1.0f + Exp(-x)); }

[[gnu::always_inline]] inline Vector Tanh(Vector x) {
  const Vector magnitude = x < 0.0f ? -x : x;
  const Vector square = x * x;
  Vector p = Broadcast(-5.70498872745e-3f);
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Vector small = p * square * x + x;
  const Vector large = 1.0f - 2.0f / (Exp(magnitude + magnitude) + 1.0f);
  const Vector signed_large = x < 0.0f ? -large : large;
  return magnitude < 0.625f ? small : signed_large;
}

[[gnu::always_inline]] inline Vector Erf(Vector x) {
  constexpr float kOne = 3.92f;  // from here on erf is 1 in f32
  const Vector square = x * x;
  Vector p = Broadcast(2.05008268e-6f), q = Broadcast(3.80917336e-5f);
  p = p * square + 2.8488395e-4f;
  p = p * square + 3.76566034e-3f;
  p = p * square + 5.27488552e-2f;
  p = p * square + 1.9040744e-1f;
  p = p * square + 1.12837911f;
  q = q * square + 1.16254645e-3f;
  q = q * square + 1.49693023e-2f;
  q = q * square + 1.14109516e-1f;
  q = q * square + 5.02076924e-1f;
  q = q * square + 1.0f;
  const Vector y = x * p / q;
  const Vector bounded = x > kOne ? Broadcast(1) : y;
  return x < -kOne ? Broadcast(-1) : bounded;
}

/// One activation of a register; `Kind` is known where the loop is compiled.
template <ActivationKind Kind>
[[gnu::always_inline]] inline Vector Activate(Vector x, [[maybe_unused]] Vector alpha,
                                              [[maybe_unused]] Vector beta) {
  const Vector zero{}, one = Broadcast(1);
  switch (Kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kRelu:
      return x < zero ? zero : x;
    case ActivationKind::kClip: {
      const Vector above = x < alpha ? alpha : x;
      return above > beta ? beta : above;
    }
    case ActivationKind::kLeakyRelu:
      return x < zero ? alpha * x : x;
    case ActivationKind::kSigmoid:
      return Sigmoid(x);
    case ActivationKind::kTanh:
      return Tanh(x);
    case ActivationKind::kHardSigmoid: {
      const Vector y = alpha * x + beta;
      return Min(Max(y, zero), one);
    }
    case ActivationKind::kHardSwish: {
      const Vector y = x * (1.0f / 6.0f) + 0.5f;
      return x * Min(Max(y, zero), one);
    }
    case ActivationKind::kSwish:
      return x * Sigmoid(alpha * x);
    case ActivationKind::kGelu:
      return 0.5f * x * (1.0f + Erf(x * 0.70710678f));
  }
}

}  // namespace
}  // namespace trawl::engine::simd
