// The inner loops of resizing for AVX2. A multiply-add of 16-bit pairs does two taps at once, but a
// weight has 22 bits; so each is split into a high and a low part of 11, summed apart, and put
// together at the end. Sums are the portable ones, bit for bit.

#ifdef __x86_64__

#include <immintrin.h>

#include <algorithm>
#include <vector>

#include "worker/image/resample_rows.h"

namespace trawl::worker {
namespace {

constexpr int kLowBits = 11;

int16_t High(int32_t weight) { return static_cast<int16_t>(weight >> kLowBits); }
int16_t Low(int32_t weight) { return static_cast<int16_t>(weight & ((1 << kLowBits) - 1)); }

/// Four taps of one output pixel: the first two in the lower half, each pair once per channel.
struct alignas(32) TapGroup {
  int16_t high[16], low[16];
};
constexpr int kGroupTaps = 4;

int GroupsOf(const Taps& taps) { return (taps.count + kGroupTaps - 1) / kGroupTaps; }

std::vector<TapGroup> GroupTaps(const Taps& taps) {
  const int groups = GroupsOf(taps);
  std::vector<TapGroup> grouped(taps.first.size() * static_cast<size_t>(groups));
  for (size_t x = 0; x < taps.first.size(); ++x) {
    const int32_t* weights = taps.WeightsOf(static_cast<int>(x));
    for (int t = 0; t < taps.count; ++t) {
      TapGroup& group =
          grouped[x * static_cast<size_t>(groups) + static_cast<size_t>(t / kGroupTaps)];
      for (int channel = 0; channel < 3; ++channel) {
        const int lane = t % kGroupTaps / 2 * 8 + channel * 2 + t % 2;
        group.high[lane] = High(weights[t]);
        group.low[lane] = Low(weights[t]);
      }
    }
  }
  return grouped;
}

/// Levels of the sums, before they are packed: still 32 bits each.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i Levels(__m256i high, __m256i low) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalfWeight)), kWeightBits);
}

[[gnu::target("avx2"), gnu::always_inline]] inline __m256i Load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

/// The sums of one output pixel, before rounding: red, green, blue, 0.
[[gnu::target("avx2"), gnu::always_inline]] inline __m128i NarrowPixel(const uint8_t* from,
                                                                       const TapGroup* group,
                                                                       int groups) {
  // RGBRGB… to red, red, green, green, blue, blue in 16 bits: pixels 0 and 1 below, 2 and 3 above.
  const __m256i spread =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                       -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  __m256i high = _mm256_setzero_si256(), low = _mm256_setzero_si256();
  for (int g = 0; g < groups; ++g, from += 3 * kGroupTaps, ++group) {
    const __m128i pixels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(pixels), spread);
    high = _mm256_add_epi32(high, _mm256_madd_epi16(pairs, Load(group->high)));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(pairs, Load(group->low)));
  }
  const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

/// Sums to clamped levels of 16 bits each.
[[gnu::target("avx2"), gnu::always_inline]] inline __m128i RoundTwo(__m128i first, __m128i second) {
  const __m128i half = _mm_set1_epi32(kHalfWeight);
  return _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(first, half), kWeightBits),
                         _mm_srai_epi32(_mm_add_epi32(second, half), kWeightBits));
}

/// `kGroups`: of four taps a pixel; 0: as many as `groups` says. Constant, it frees the loop over
/// pixels, which does four at once, of one inside it.
template <int kGroups>
[[gnu::target("avx2"), gnu::always_inline]] inline void NarrowRow(const uint8_t* row,
                                                                  const std::vector<int>& first,
                                                                  const TapGroup* group, int groups,
                                                                  uint8_t* to) {
  if constexpr (kGroups > 0) groups = kGroups;
  const auto sums = [&](size_t x) __attribute__((target("avx2"), always_inline)) {
    return NarrowPixel(row + ptrdiff_t{first[x]} * 3, group + x * static_cast<size_t>(groups),
                       groups);
  };
  size_t x = 0;
  for (; x + 4 <= first.size(); x += 4) {
    const __m128i four =
        _mm_packus_epi16(RoundTwo(sums(x), sums(x + 1)), RoundTwo(sums(x + 2), sums(x + 3)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + x * 4), four);
  }
  for (; x < first.size(); ++x) {
    const __m128i one = sums(x);
    _mm_storeu_si32(to + x * 4, _mm_packus_epi16(RoundTwo(one, one), _mm_setzero_si128()));
  }
}

[[gnu::target("avx2")]] void NarrowRgb(Rows<const uint8_t> rows, int count, const Taps& taps,
                                       Rows<uint8_t> rgbx) {
  const std::vector<TapGroup> grouped = GroupTaps(taps);
  const int groups = GroupsOf(taps);
  for (; count > 0; --count, rows.at += rows.stride, rgbx.at += rgbx.stride) {
    switch (groups) {
      case 1:
        NarrowRow<1>(rows.at, taps.first, grouped.data(), groups, rgbx.at);
        break;
      case 2:
        NarrowRow<2>(rows.at, taps.first, grouped.data(), groups, rgbx.at);
        break;
      default:
        NarrowRow<0>(rows.at, taps.first, grouped.data(), groups, rgbx.at);
    }
  }
}

constexpr ptrdiff_t kBlock = 32;  // samples

/// One block of Blend: `rows` begin at the block.
[[gnu::target("avx2"), gnu::always_inline]] inline void BlendBlock(Rows<const uint8_t> rows,
                                                                   const int32_t* weights,
                                                                   int count, uint8_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i high[4] = {zero, zero, zero, zero}, low[4] = {zero, zero, zero, zero};
  for (int t = 0; t < count; t += 2, rows.at += 2 * rows.stride) {
    const bool pair = t + 1 < count;
    const int32_t second = pair ? weights[t + 1] : 0;
    const __m256i high_pair = _mm256_set1_epi32((High(second) << 16) | (High(weights[t]) & 0xFFFF));
    const __m256i low_pair = _mm256_set1_epi32((Low(second) << 16) | Low(weights[t]));
    const __m256i above = Load(rows.at), below = Load(rows.at + (pair ? rows.stride : 0));
    const __m256i first_half = _mm256_unpacklo_epi8(above, below);
    const __m256i second_half = _mm256_unpackhi_epi8(above, below);
    const __m256i pairs[4] = {
        _mm256_unpacklo_epi8(first_half, zero), _mm256_unpackhi_epi8(first_half, zero),
        _mm256_unpacklo_epi8(second_half, zero), _mm256_unpackhi_epi8(second_half, zero)};
    for (int i = 0; i < 4; ++i) {
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(pairs[i], high_pair));
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(pairs[i], low_pair));
    }
  }
  // The packs undo the unpacks: both work within halves.
  const __m256i first_words = _mm256_packs_epi32(Levels(high[0], low[0]), Levels(high[1], low[1]));
  const __m256i second_words = _mm256_packs_epi32(Levels(high[2], low[2]), Levels(high[3], low[3]));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                      _mm256_packus_epi16(first_words, second_words));
}

[[gnu::target("avx2")]] void Blend(Rows<const uint8_t> rows, const int32_t* weights, int count,
                                   ptrdiff_t samples, uint8_t* out) {
  if (samples < kBlock) return PortableRowKernels().blend(rows, weights, count, samples, out);
  for (ptrdiff_t i = 0; i < samples; i += kBlock) {
    // The last block overlaps the one before it, and gives the same levels again.
    const ptrdiff_t at = std::min(i, samples - kBlock);
    BlendBlock({rows.at + at, rows.stride}, weights, count, out + at);
  }
}

}  // namespace

RowKernels Avx2RowKernels() { return {NarrowRgb, Blend}; }

}  // namespace trawl::worker

#endif
