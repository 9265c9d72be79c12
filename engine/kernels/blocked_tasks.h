#pragma once
// How kernels on blocked values split their work: one task for some rows of one block of one image.

#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/kernel.h"

namespace trawl::engine {

struct BlockTask {
  int64_t image = 0, block = 0;
  int64_t first_row = 0, last_row = 0;  // of the output, the last not included

  /// Where the block begins in `view`.
  float* In(const TensorView& view) const {
    return reinterpret_cast<float*>(view.bytes) + Offset(view);
  }
  const float* In(const ConstTensorView& view) const {
    return reinterpret_cast<const float*>(view.bytes) + Offset(view);
  }

 private:
  int64_t Offset(const ConstTensorView& view) const {
    return image * view.image_stride + block * simd::kBlock * view.shape[2] * view.shape[3];
  }
};

/// Calls `body(task)` for all tasks of the first output. Rows are split so far that a few members
/// find even shares in one block.
template <class Body>
void ForEachBlockTask(const KernelCall& call, Body body) {
  constexpr int64_t kBandsPerMember = 4;
  const auto shape = call.outputs[0].shape;
  const int64_t blocks = BlockCount(shape[1]), all = shape[0] * blocks;
  const int64_t members = call.team->size();
  int64_t bands =
      members == 1 ? 1 : (members * kBandsPerMember + all - 1) / std::max<int64_t>(1, all);
  bands = std::clamp<int64_t>(bands, 1, std::max<int64_t>(1, shape[2]));
  call.team->ForEach(all * bands, [&](int64_t task, int) {
    const int64_t band = task % bands, block = task / bands;
    body(BlockTask{block / blocks, block % blocks, band * shape[2] / bands,
                   (band + 1) * shape[2] / bands});
  });
}

/// Zeros the channels behind the last in `pixels` pixels at `y` of block `block` of `view`. They
/// must hold finite numbers: a quotient or a power of two such may be infinite, and infinity times
/// the zero weight of a consumer is no zero.
inline void ClearPadding(const TensorView& view, int64_t block, float* y, int64_t pixels) {
  const int64_t channels = view.shape[1] - block * simd::kBlock;
  if (channels >= simd::kBlock) return;
  for (int64_t p = 0; p < pixels; ++p, y += simd::kBlock) {
    std::fill(y + channels, y + simd::kBlock, 0.0f);
  }
}

}  // namespace trawl::engine
