#pragma once
// The two inner loops of resizing, as functions that can be exchanged: portable ones, which are the
// oracle, and those for AVX2. Internal to image/.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trawl::worker {

// 8 bits of sample and two of headroom, for filters whose weights overshoot, leave 22 of 32 for the
// weight.
inline constexpr int kWeightBits = 22;
inline constexpr int32_t kHalfWeight = 1 << (kWeightBits - 1);

inline uint8_t ToLevel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

/// For each output pixel of a window, the input pixels that it is the weighted sum of. All have the
/// same number, some of weight 0: a loop whose length never changes is one that the processor
/// predicts.
struct Taps {
  int count = 0;
  std::vector<int> first;        // input pixel of the first tap
  std::vector<int32_t> weights;  // `count` per output pixel

  const int32_t* WeightsOf(int i) const {
    return weights.data() + static_cast<ptrdiff_t>(i) * count;
  }
  int first_input() const { return first.front(); }
  int end_input() const { return first.back() + count; }
};

/// What a kernel may read beyond the last pixel that it needs, in bytes.
inline constexpr size_t kRowSlack = 16;

/// Rows of samples: `at` the first, each `stride` bytes behind the one before.
template <class Sample>
struct Rows {
  Sample* at;
  ptrdiff_t stride;
};

struct RowKernels {
  /// `count` rows of RGB narrowed to the taps' columns, four bytes a pixel (the fourth is 0).
  void (*narrow_rgb)(Rows<const uint8_t> rows, int count, const Taps& taps, Rows<uint8_t> rgbx);
  /// out[i] = Σ weights[t] × row t[i] for each of `samples`.
  void (*blend)(Rows<const uint8_t> rows, const int32_t* weights, int count, ptrdiff_t samples,
                uint8_t* out);
};

RowKernels PortableRowKernels();
#ifdef __x86_64__
RowKernels Avx2RowKernels();  // only where the processor has it
#endif
/// Those of this processor.
RowKernels BestRowKernels();

}  // namespace trawl::worker
