// Compiled once per instruction set. The numbers are read three times, for mean, variance and
// result: squares of differences lose no digits, and a pixel's channels stay in the first-level
// cache.
#include "engine/simd/normalize.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

[[gnu::always_inline]] inline float Sum(Vector v) {
  float sum = 0;
  for (int i = 0; i < kWidth; ++i) sum += v[i];
  return sum;
}

[[gnu::always_inline]] inline float Factor(float squares, ptrdiff_t count, float epsilon) {
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(count) + epsilon);
}

void NormalizeRow(const Normalization& to, const float* x, float* y, ptrdiff_t count) {
  const ptrdiff_t whole = count / kWidth * kWidth;
  Vector sums{};
  for (ptrdiff_t i = 0; i < whole; i += kWidth) sums += LoadUnaligned(x + i);
  float sum = Sum(sums);
  for (ptrdiff_t i = whole; i < count; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(count);
  Vector squares{};
  for (ptrdiff_t i = 0; i < whole; i += kWidth) {
    const Vector difference = LoadUnaligned(x + i) - mean;
    squares += difference * difference;
  }
  float square = Sum(squares);
  for (ptrdiff_t i = whole; i < count; ++i) square += (x[i] - mean) * (x[i] - mean);
  const float factor = Factor(square, count, to.epsilon);
  for (ptrdiff_t i = 0; i < whole; i += kWidth) {
    const Vector normal = (LoadUnaligned(x + i) - mean) * factor;
    StoreUnaligned(y + i, normal * LoadUnaligned(to.scale + i) + LoadUnaligned(to.shift + i));
  }
  for (ptrdiff_t i = whole; i < count; ++i) {
    y[i] = (x[i] - mean) * factor * to.scale[i] + to.shift[i];
  }
}

/// Whether each lane of the register at `channel` holds one of the first `channels` ones.
[[gnu::always_inline]] inline auto Exists(ptrdiff_t channel, ptrdiff_t channels) {
  alignas(sizeof(Vector)) float numbers[kWidth];
  for (int i = 0; i < kWidth; ++i) numbers[i] = static_cast<float>(i);
  return Load(numbers) < static_cast<float>(channels - channel);
}

void NormalizePixel(const Normalization& to, const float* x, float* y, ptrdiff_t block_stride,
                    ptrdiff_t channels) {
  const auto at = [&](ptrdiff_t channel) {
    return channel / kBlock * block_stride + channel % kBlock;
  };
  const ptrdiff_t whole = channels / kWidth * kWidth;
  Vector sums{};
  for (ptrdiff_t c = 0; c < whole; c += kWidth) sums += Load(x + at(c));
  if (whole < channels) sums += Exists(whole, channels) ? Load(x + at(whole)) : Vector{};
  const float mean = Sum(sums) / static_cast<float>(channels);
  Vector squares{};
  for (ptrdiff_t c = 0; c < whole; c += kWidth) {
    const Vector difference = Load(x + at(c)) - mean;
    squares += difference * difference;
  }
  if (whole < channels) {
    const Vector difference = Load(x + at(whole)) - mean;
    squares += Exists(whole, channels) ? difference * difference : Vector{};
  }
  const float factor = Factor(Sum(squares), channels, to.epsilon);
  for (ptrdiff_t c = 0; c < whole; c += kWidth) {
    const Vector normal = (Load(x + at(c)) - mean) * factor;
    Store(y + at(c), normal * Load(to.scale + c) + Load(to.shift + c));
  }
  const ptrdiff_t end = (channels + kBlock - 1) / kBlock * kBlock;
  for (ptrdiff_t c = whole; c < end; c += kWidth) {
    const Vector normal = (Load(x + at(c)) - mean) * factor;
    const Vector result = normal * Load(to.scale + c) + Load(to.shift + c);
    Store(y + at(c), Exists(c, channels) ? result : Vector{});
  }
}

void NormalizeChannels(const Normalization& to, const float* x, float* y, ptrdiff_t block_stride,
                       ptrdiff_t channels, ptrdiff_t pixels) {
  for (ptrdiff_t p = 0; p < pixels; ++p, x += kBlock, y += kBlock) {
    NormalizePixel(to, x, y, block_stride, channels);
  }
}

}  // namespace

namespace TRAWL_ISA {
const NormalizeMicrokernels kNormalize = {.row = NormalizeRow, .channels = NormalizeChannels};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
