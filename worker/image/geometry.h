#pragma once
// Which pixels of a picture a model's preprocessing looks at, and where they go. Arithmetic on
// sizes alone: known as soon as a header is. Internal to image/.

#include "worker/image/resample.h"

namespace trawl::worker {

struct Size {
  int64_t height = 0, width = 0;
};

/// One axis on its way to the model: resized, then cropped or padded to the input's size.
struct AxisPlan {
  AxisWindow window;   // what is kept of the resized picture
  int pad_before = 0;  // black before it, where the resized picture is smaller than the input
};

/// `picture`: upright, before it is resized.
AxisPlan ColumnsOf(const Size& picture, const engine::PreprocessSpec& spec);
AxisPlan RowsOf(const Size& picture, const engine::PreprocessSpec& spec);

/// model_error when the picture's size does not fit a spec without resize or without crop.
ObjectResult<void> CheckFits(const Size& picture, const engine::PreprocessSpec& spec);

/// 8, 4, 2 or 1: the most that a JPEG decoder may divide both sides by while they stay at least
/// twice what the picture is then resized to. A decoder that transforms fewer coefficients averages
/// 2 × 2 to 8 × 8 pixels, a box filter; left with another reduction by two or more, the resize's
/// own filter decides what the model sees. 1 where nothing is resized, and for the filter
/// `nearest`, which would pick other pixels.
int ReductionFor(const Size& picture, const engine::PreprocessSpec& spec);

}  // namespace trawl::worker
