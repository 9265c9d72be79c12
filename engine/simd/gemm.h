#pragma once
// Matrix product of one panel: the inner loop of Winograd convolutions and of fully connected
// layers.

#include <cstddef>

namespace trawl::engine::simd {

struct GemmMicrokernels {
  /// Columns of a panel of B; a packed B is [panels][depth][panel_width], 64-byte aligned.
  int panel_width = 0;
  /// c[rows][panel_width] = a[rows][depth] · b[depth][panel_width]. `lda` and `ldc` in floats; c
  /// and its rows are 64-byte aligned. Any number of rows: they are split into even tiles.
  void (*multiply)(const float* a, ptrdiff_t lda, const float* b, float* c, ptrdiff_t ldc,
                   ptrdiff_t rows, ptrdiff_t depth) = nullptr;
};

}  // namespace trawl::engine::simd
