// Two passes, columns then rows, with weights in fixed point and rounding to 8 bits in between: the
// arithmetic that the models' training pipelines used, so that scores are theirs.

#include "worker/image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "config/check.h"

namespace trawl::worker {
namespace {

using engine::ResizeFilter;

// 8 bits of sample and two of headroom, for filters whose weights overshoot, leave 22 of 32 for the
// weight.
constexpr int kWeightBits = 22;
constexpr int32_t kHalf = 1 << (kWeightBits - 1);

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

/// For each output pixel of the window, the input pixels that it is the weighted sum of. All have
/// the same number, some of weight 0: a loop whose length never changes is one that the processor
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

uint8_t ToLevel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

// Four 32-bit lanes: red, green, blue, and one whose result nobody reads.
using Lanes = int32_t __attribute__((vector_size(16)));

/// `row`: interleaved RGB, widened to 32 bits so that one load and one multiplication serve a
/// pixel; readable for one sample beyond the last pixel. Its first sample belongs to input column
/// taps.first_input().
[[gnu::always_inline]] inline void ShrinkRgbRow(const int32_t* row, const Taps& taps, int width,
                                                uint8_t* red, uint8_t* green, uint8_t* blue) {
  const int* first = taps.first.data();
  const int32_t* weights = taps.weights.data();
  const int count = taps.count, origin = taps.first_input();
  for (int x = 0; x < width; ++x, weights += count) {
    const int32_t* from = row + ptrdiff_t{first[x] - origin} * 3;
    Lanes sums = {kHalf, kHalf, kHalf, kHalf};
    for (int t = 0; t < count; ++t, from += 3) {
      Lanes pixel;
      std::memcpy(&pixel, from, sizeof pixel);
      sums += pixel * weights[t];
    }
    sums >>= kWeightBits;
    sums = sums < 0 ? Lanes{} : sums;
    sums = sums > 255 ? Lanes{} + 255 : sums;
    red[x] = static_cast<uint8_t>(sums[0]);
    green[x] = static_cast<uint8_t>(sums[1]);
    blue[x] = static_cast<uint8_t>(sums[2]);
  }
}

[[gnu::always_inline]] inline void ShrinkGreyRow(const uint8_t* row, const Taps& taps, int width,
                                                 uint8_t* grey) {
  const int* first = taps.first.data();
  const int32_t* weights = taps.weights.data();
  const int count = taps.count;
  for (int x = 0; x < width; ++x, weights += count) {
    int32_t sum = kHalf;
    for (int t = 0; t < count; ++t) sum += weights[t] * row[first[x] + t];
    grey[x] = ToLevel(sum);
  }
}

/// `out`[x] = Σ weights[t] × rows[t × width + x], for a whole row: no dependency between columns.
/// In slices whose sums stay in registers or the nearest cache.
[[gnu::always_inline]] inline void ShrinkColumns(const uint8_t* rows, int width, int tap_count,
                                                 const int32_t* weights, uint8_t* out) {
  constexpr int kSlice = 32;
  int x = 0;
  for (; x + kSlice <= width; x += kSlice) {
    int32_t sums[kSlice];
    for (int i = 0; i < kSlice; ++i) sums[i] = kHalf;
    for (int t = 0; t < tap_count; ++t) {
      const uint8_t* row = rows + static_cast<ptrdiff_t>(t) * width + x;
      const int32_t weight = weights[t];
      for (int i = 0; i < kSlice; ++i) sums[i] += weight * row[i];
    }
    for (int i = 0; i < kSlice; ++i) out[x + i] = ToLevel(sums[i]);
  }
  for (; x < width; ++x) {
    int32_t sum = kHalf;
    for (int t = 0; t < tap_count; ++t)
      sum += weights[t] * rows[static_cast<ptrdiff_t>(t) * width + x];
    out[x] = ToLevel(sum);
  }
}

/// All input rows from `first_row` on, shrunk to the window's columns. `out` has as many rows as
/// are needed.
[[gnu::always_inline]] inline void ColumnsPass(const Image& image, const Taps& taps, int first_row,
                                               PlanarImage& out) {
  const ptrdiff_t stride = ptrdiff_t{image.width} * image.channels;
  const ptrdiff_t origin = ptrdiff_t{taps.first_input()} * 3;
  const ptrdiff_t samples = ptrdiff_t{taps.end_input() - taps.first_input()} * 3;
  std::vector<int32_t> wide(static_cast<size_t>(samples + 1));
  const uint8_t* row = image.pixels.data() + first_row * stride;
  for (int y = 0; y < out.height; ++y, row += stride) {
    if (image.channels == 1) {
      ShrinkGreyRow(row, taps, out.width, out.Row(0, y));
      continue;
    }
    int32_t* to = wide.data();
    for (ptrdiff_t i = 0; i < samples; ++i) to[i] = row[origin + i];
    ShrinkRgbRow(to, taps, out.width, out.Row(0, y), out.Row(1, y), out.Row(2, y));
  }
}

/// `in` begins with input row taps.first_input().
[[gnu::always_inline]] inline void RowsPass(const PlanarImage& in, const Taps& taps,
                                            PlanarImage& out) {
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      const uint8_t* from = in.Row(c, taps.first[static_cast<size_t>(y)] - taps.first_input());
      ShrinkColumns(from, out.width, taps.count, taps.WeightsOf(y), out.Row(c, y));
    }
  }
}

PlanarImage MakePlanar(int height, int width, int channels) {
  PlanarImage image{.height = height, .width = width, .channels = channels, .samples = {}};
  image.samples.resize(static_cast<size_t>(height) * static_cast<size_t>(width) *
                       static_cast<size_t>(channels));
  return image;
}

[[gnu::always_inline]] inline void BothPasses(const Image& image, const Taps& columns,
                                              const Taps& rows, PlanarImage& narrowed,
                                              PlanarImage& out) {
  ColumnsPass(image, columns, rows.first_input(), narrowed);
  RowsPass(narrowed, rows, out);
}

using PassesFunction = void(const Image&, const Taps&, const Taps&, PlanarImage&, PlanarImage&);

void PassesPortable(const Image& image, const Taps& columns, const Taps& rows,
                    PlanarImage& narrowed, PlanarImage& out) {
  BothPasses(image, columns, rows, narrowed, out);
}

#ifdef __x86_64__
// The same source, compiled for wider registers and for the 32-bit multiply that the baseline
// lacks.
[[gnu::target("avx2")]] void PassesAvx2(const Image& image, const Taps& columns, const Taps& rows,
                                        PlanarImage& narrowed, PlanarImage& out) {
  BothPasses(image, columns, rows, narrowed, out);
}

PassesFunction* ChoosePasses() {
  return __builtin_cpu_supports("avx2") ? PassesAvx2 : PassesPortable;
}
#else
PassesFunction* ChoosePasses() { return PassesPortable; }
#endif

}  // namespace

PlanarImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                         ResizeFilter filter) {
  CHECK(columns.input == image.width && rows.input == image.height);
  static PassesFunction* const passes = ChoosePasses();
  const Taps column_taps = TapsOf(columns, filter);
  const Taps row_taps = TapsOf(rows, filter);
  PlanarImage narrowed =
      MakePlanar(row_taps.end_input() - row_taps.first_input(), columns.count, image.channels);
  PlanarImage out = MakePlanar(rows.count, columns.count, image.channels);
  passes(image, column_taps, row_taps, narrowed, out);
  return out;
}

}  // namespace trawl::worker
