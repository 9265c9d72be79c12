// Two passes, columns then rows, with weights in fixed point and rounding to 8 bits in between: the
// arithmetic that the models' training pipelines used, so that scores are theirs.

#include "worker/image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "config/check.h"
#include "worker/image/resample_rows.h"

namespace trawl::worker {
namespace {

using engine::ResizeFilter;

double Box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double Triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

/// Keys' cubic with a = −0.5.
double Cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double Lanczos(double x) { return -3.0 <= x && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }

struct Filter {
  double (*weight)(double);
  double support;  // weight is 0 beyond it, in input pixels of an unscaled image
};

Filter FilterOf(ResizeFilter filter) {
  switch (filter) {
    case ResizeFilter::kArea:
      return {Box, 0.5};
    case ResizeFilter::kBicubic:
      return {Cubic, 2.0};
    case ResizeFilter::kLanczos:
      return {Lanczos, 3.0};
    case ResizeFilter::kBilinear:
    case ResizeFilter::kNearest:
      break;
  }
  return {Triangle, 1.0};
}

int32_t ToFixed(double weight) {
  return static_cast<int32_t>(weight * (1 << kWeightBits) + (weight < 0 ? -0.5 : 0.5));
}

/// The filter is stretched over the input when it shrinks, so that every input pixel counts
/// (antialiasing).
Taps ConvolutionTaps(const AxisWindow& axis, const Filter& filter) {
  const double scale = static_cast<double>(axis.input) / static_cast<double>(axis.output);
  const double stretch = std::max(scale, 1.0);
  const double support = filter.support * stretch;
  Taps taps;
  taps.count = static_cast<int>(std::min(static_cast<int64_t>(2 * support) + 2, axis.input));
  taps.first.reserve(static_cast<size_t>(axis.count));
  taps.weights.resize(static_cast<size_t>(axis.count) * static_cast<size_t>(taps.count));
  std::vector<double> exact(static_cast<size_t>(taps.count));
  for (int i = 0; i < axis.count; ++i) {
    const double center = (static_cast<double>(axis.first + i) + 0.5) * scale;
    const auto begin = static_cast<int64_t>(std::max(center - support + 0.5, 0.0));
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), axis.input);
    const auto used = static_cast<size_t>(end - begin);
    double sum = 0;
    for (size_t t = 0; t < used; ++t) {
      const double offset = static_cast<double>(begin + static_cast<int64_t>(t)) - center + 0.5;
      exact[t] = filter.weight(offset * (1.0 / stretch));
      sum += exact[t];
    }
    // At the far edge the taps are moved back onto the input, and the weights with them.
    const int64_t first = std::min(begin, axis.input - taps.count);
    int32_t* weights = taps.weights.data() + ptrdiff_t{i} * taps.count + (begin - first);
    for (size_t t = 0; t < used; ++t) weights[t] = ToFixed(sum != 0 ? exact[t] / sum : exact[t]);
    taps.first.push_back(static_cast<int>(first));
  }
  return taps;
}

/// One tap of full weight. The position is summed up as Pillow does it, since the rounding decides
/// at ties.
Taps NearestTaps(const AxisWindow& axis) {
  const double scale = static_cast<double>(axis.input) / static_cast<double>(axis.output);
  Taps taps;
  taps.count = 1;
  taps.weights.assign(static_cast<size_t>(axis.count), 1 << kWeightBits);
  double position = scale * 0.5;
  for (int64_t i = 0; i < axis.first + axis.count; ++i, position += scale)
    if (i >= axis.first)
      taps.first.push_back(
          static_cast<int>(std::min(static_cast<int64_t>(position), axis.input - 1)));
  return taps;
}

Taps TapsOf(const AxisWindow& axis, ResizeFilter filter) {
  CHECK(axis.input >= 1 && axis.count >= 1 && axis.first >= 0 &&
        axis.first + axis.count <= axis.output);
  return filter == ResizeFilter::kNearest ? NearestTaps(axis)
                                          : ConvolutionTaps(axis, FilterOf(filter));
}

/// The taps by their places in a part of the input: `count` pixels from `start` on.
Taps TapsWithin(const AxisWindow& axis, ResizeFilter filter, int start, int count) {
  Taps taps = TapsOf(axis, filter);
  for (int& first : taps.first) first -= start;
  CHECK(taps.first_input() >= 0 && taps.end_input() <= count);
  return taps;
}

// Four 32-bit lanes: red, green, blue, and one whose result nobody reads.
using Lanes [[gnu::vector_size(16)]] = int32_t;

void NarrowRgb(Rows<const uint8_t> rows, int count, const Taps& taps, Rows<uint8_t> rgbx) {
  for (; count > 0; --count, rows.at += rows.stride, rgbx.at += rgbx.stride) {
    const int32_t* weights = taps.weights.data();
    uint8_t* to = rgbx.at;
    for (const int first : taps.first) {
      const uint8_t* from = rows.at + ptrdiff_t{first} * 3;
      Lanes sums = {kHalfWeight, kHalfWeight, kHalfWeight, 0};
      for (int t = 0; t < taps.count; ++t, from += 3)
        sums += Lanes{from[0], from[1], from[2], 0} * *weights++;
      for (int c = 0; c < 4; ++c) *to++ = ToLevel(sums[c]);
    }
  }
}

void Blend(Rows<const uint8_t> rows, const int32_t* weights, int count, ptrdiff_t samples,
           uint8_t* out) {
  for (ptrdiff_t i = 0; i < samples; ++i) {
    int32_t sum = kHalfWeight;
    for (int t = 0; t < count; ++t) sum += weights[t] * rows.at[t * rows.stride + i];
    out[i] = ToLevel(sum);
  }
}

void NarrowGrey(const uint8_t* row, const Taps& taps, uint8_t* grey) {
  const int32_t* weights = taps.weights.data();
  for (const int first : taps.first) {
    int32_t sum = kHalfWeight;
    for (int t = 0; t < taps.count; ++t) sum += *weights++ * row[first + t];
    *grey++ = ToLevel(sum);
  }
}

void NarrowRgbRows(const Image& image, int first_row, const Taps& taps, const RowKernels& kernels,
                   ResizedImage& out) {
  const ptrdiff_t stride = ptrdiff_t{image.width} * 3;
  const ptrdiff_t reads = ptrdiff_t{taps.end_input()} * 3 + kRowSlack;
  const ptrdiff_t start = first_row * stride;
  const ptrdiff_t left = std::ssize(image.pixels) - start - reads;
  const int safe =
      left < 0 ? 0 : static_cast<int>(std::min<ptrdiff_t>(left / stride + 1, out.height));
  kernels.narrow_rgb({image.pixels.data() + start, stride}, safe, taps, {out.Row(0), out.stride()});
  // Rows too close to the end of the pixels are read from a copy.
  std::vector<uint8_t> copy(static_cast<size_t>(std::max(stride, reads)));
  for (int y = safe; y < out.height; ++y) {
    std::copy_n(image.pixels.data() + start + y * stride, stride, copy.data());
    kernels.narrow_rgb({copy.data(), stride}, 1, taps, {out.Row(y), out.stride()});
  }
}

/// All input rows that `rows` reads, narrowed to the window's columns.
ResizedImage Narrow(const Image& image, const Taps& columns, const Taps& rows,
                    const RowKernels& kernels) {
  ResizedImage out = ResizedImage::Make(rows.end_input() - rows.first_input(),
                                        static_cast<int>(columns.first.size()), image.channels);
  if (image.channels == 3) {
    NarrowRgbRows(image, rows.first_input(), columns, kernels, out);
  } else {
    const uint8_t* row = image.pixels.data() + ptrdiff_t{rows.first_input()} * image.width;
    for (int y = 0; y < out.height; ++y, row += image.width) NarrowGrey(row, columns, out.Row(y));
  }
  return out;
}

}  // namespace

RowKernels PortableRowKernels() { return {NarrowRgb, Blend}; }

RowKernels BestRowKernels() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return Avx2RowKernels();
#endif
  return PortableRowKernels();
}

ResizedImage ResizedImage::Make(int height, int width, int channels) {
  ResizedImage image{.height = height, .width = width, .channels = channels, .samples = {}};
  image.samples.resize(static_cast<size_t>(height) * static_cast<size_t>(image.stride()));
  return image;
}

PixelRange InputOf(const AxisWindow& axis, ResizeFilter filter) {
  const Taps taps = TapsOf(axis, filter);
  return {taps.first_input(), taps.end_input()};
}

ResizedImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                          ResizeFilter filter, const RowKernels& kernels) {
  CHECK(columns.input == image.full_width() && rows.input == image.full_height());
  const Taps column_taps = TapsWithin(columns, filter, image.left, image.width);
  const Taps row_taps = TapsWithin(rows, filter, image.top, image.height);
  const ResizedImage narrowed = Narrow(image, column_taps, row_taps, kernels);
  ResizedImage out = ResizedImage::Make(rows.count, columns.count, image.channels);
  for (int y = 0; y < out.height; ++y) {
    const int first = row_taps.first[static_cast<size_t>(y)] - row_taps.first_input();
    kernels.blend({narrowed.Row(first), narrowed.stride()}, row_taps.WeightsOf(y), row_taps.count,
                  out.stride(), out.Row(y));
  }
  return out;
}

ResizedImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                          ResizeFilter filter) {
  static const RowKernels kernels = BestRowKernels();
  return ResizeWindow(image, columns, rows, filter, kernels);
}

}  // namespace trawl::worker
