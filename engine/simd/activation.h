#pragma once
// The activations that a convolution or a product can apply to its result: which there are, and
// their parameters.

namespace trawl::engine::simd {

enum class ActivationKind {
  kNone,
  kRelu,
  kClip,
  kLeakyRelu,
  kSigmoid,
  kTanh,
  kHardSigmoid,
  kHardSwish,
  kSwish,
  kGelu  // x · Φ(x), Φ being the normal distribution
};

struct Activation {
  ActivationKind kind = ActivationKind::kNone;
  float alpha = 0;  // kClip: the least value; kLeakyRelu: the slope; kHardSigmoid: the slope;
                    // kSwish: y = x · sigmoid(alpha · x)
  float beta = 0;   // kClip: the greatest value; kHardSigmoid: the offset
};

}  // namespace trawl::engine::simd
