#pragma once
// Constants of one number per channel, filled up to whole blocks: what kernels on blocked values
// read.

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/blocked.h"
#include "engine/ops.h"

namespace trawl::engine {

/// Zeros, 64-byte aligned.
inline Tensor PaddedChannels(int64_t channels) {
  return Tensor(DType::kF32, {BlockCount(channels) * simd::kBlock});
}

/// Input `i` of a node, a f32 constant of `channels` numbers or of one, or absent; `fill` stands
/// for what is absent.
inline Tensor PackChannels(const NodeView& node, size_t i, int64_t channels, float fill) {
  Tensor packed = PaddedChannels(channels);
  const auto to = packed.mutable_data<float>().first(static_cast<size_t>(channels));
  const Tensor* constant = node.constant(i);
  if (constant == nullptr) {
    std::ranges::fill(to, fill);
  } else if (constant->size() == 1) {
    std::ranges::fill(to, constant->data<float>()[0]);
  } else {
    std::ranges::copy(constant->data<float>(), to.begin());
  }
  return packed;
}

/// Whether input `i` is what PackChannels takes.
inline bool CanPackChannels(const NodeView& node, size_t i, int64_t channels) {
  if (!node.HasInput(i)) return true;
  const Tensor* constant = node.constant(i);
  return constant != nullptr && constant->dtype() == DType::kF32 &&
         (constant->size() == channels || constant->size() == 1);
}

}  // namespace trawl::engine
