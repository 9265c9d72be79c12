#include "worker/image/geometry.h"

#include <fmt/format.h>

namespace trawl::worker {
namespace {

using engine::PreprocessSpec;
using engine::ResizeFilter;
using engine::ResizeMode;

/// n / 2, ties to even: how Python rounds the offset of a centre crop.
int64_t HalfToEven(int64_t n) {
  const int64_t half = n / 2;
  return n % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

AxisPlan PlanAxis(int64_t input, int64_t resized, int wanted) {
  AxisPlan plan{.window = {.input = input, .output = resized}};
  if (resized >= wanted) {
    plan.window.first = HalfToEven(resized - wanted);
    plan.window.count = wanted;
  } else {
    plan.window.count = static_cast<int>(resized);
    plan.pad_before = static_cast<int>((wanted - resized) / 2);
  }
  return plan;
}

/// The longer side is rounded down, as in torchvision.
Size ResizedSize(const Size& picture, const PreprocessSpec& spec) {
  const auto [height, width] = picture;
  const int64_t shorter = spec.resize_shorter;
  switch (spec.resize) {
    case ResizeMode::kNone:
      break;
    case ResizeMode::kExact:
      return {spec.resize_height, spec.resize_width};
    case ResizeMode::kShorter:
      return width <= height ? Size{shorter * height / width, shorter}
                             : Size{shorter, shorter * width / height};
  }
  return {height, width};
}

}  // namespace

AxisPlan ColumnsOf(const Size& picture, const PreprocessSpec& spec) {
  return PlanAxis(picture.width, ResizedSize(picture, spec).width, spec.width);
}

AxisPlan RowsOf(const Size& picture, const PreprocessSpec& spec) {
  return PlanAxis(picture.height, ResizedSize(picture, spec).height, spec.height);
}

ObjectResult<void> CheckFits(const Size& picture, const PreprocessSpec& spec) {
  const Size resized = ResizedSize(picture, spec);
  const bool equal = resized.height == spec.height && resized.width == spec.width;
  const bool covers = resized.height >= spec.height && resized.width >= spec.width;
  // A resize that leaves less than the crop is the model's own wish, and padded; a picture that
  // comes too small is not.
  if (equal || (spec.crop_center && (covers || spec.resize != ResizeMode::kNone))) return {};
  return tl::unexpected(
      ObjectError{ObjectErrorCode::kModelError,
                  fmt::format("a picture of {}×{} does not become the model's {}×{}: {}",
                              picture.width, picture.height, spec.width, spec.height,
                              spec.resize == ResizeMode::kNone
                                  ? "its preprocessing has no resize"
                                  : "its preprocessing resizes but does not crop")});
}

int ReductionFor(const Size& picture, const PreprocessSpec& spec) {
  if (spec.resize == ResizeMode::kNone || spec.filter == ResizeFilter::kNearest) return 1;
  const Size resized = ResizedSize(picture, spec);
  const auto leaves_twice = [&](int64_t reduction) {
    return picture.height >= 2 * resized.height * reduction &&
           picture.width >= 2 * resized.width * reduction;
  };
  int reduction = 1;
  while (reduction < 8 && leaves_twice(2 * reduction)) reduction *= 2;
  return reduction;
}

}  // namespace trawl::worker
