#pragma once
// Parameters of the quantised operators, as they stand in their attributes.
//
// Activations are u8. Where a file's are i8, 128 is added to them and to their zero point. A sum of
// products is scaled and rounded once: y = clamp(round(sum · multiplier + shift), low, high) with a
// fused multiply-add in f32 and ties to even, the zero points being part of `shift`.

#include <cstdint>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// How two quantised numbers are added: y = clamp(round(a · a_scale + (b · b_scale + shift)), low,
/// high), each sum with one rounding.
struct QuantizedSum {
  float a_scale = 1, b_scale = 0, shift = 0;
  int low = 0, high = 255;
};

/// What a QuantizedConv or QuantizedGemm does besides its window.
struct QuantizedProduct {
  int zero_point = 0;     // of x, which stands for padding
  int weight_offset = 0;  // added to every weight
  int low = 0, high = 255;
  QuantizedSum sum;  // with the residual, if there is one
  /// The residual joins before the only rounding: y = clamp(round(residual · b_scale + (sum ·
  /// multiplier + shift))), low and high being the sum's; a_scale and the sum's shift mean nothing.
  bool joins = false;
};

void SetSum(const QuantizedSum& sum, Attributes& attributes);
Result<QuantizedSum> GetSum(const Attributes& attributes);
void SetProduct(const QuantizedProduct& product, Attributes& attributes);
Result<QuantizedProduct> GetProduct(const Attributes& attributes);

}  // namespace trawl::engine
