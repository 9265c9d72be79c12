// Convolutions of bytes that mix channels: the sums of some pixels, two registers of channels each,
// stay in registers.
#include "engine/simd/int8_convs.h"
#include "engine/simd/int8_epilogue.h"

namespace trawl::engine::simd {
namespace {

/// Pixels of a group; kGroupsOfTile groups are a tile.
constexpr int kGroup = 7;
/// How far ahead weights are fetched, beyond their end too, where the next panel's begin: those of
/// deep layers come from the third-level cache, and panels are too short for the processor to see
/// them coming.
constexpr ptrdiff_t kWeightsAhead = 2048;

/// The sums of one pixel.
struct Sums {
  Ints part[2];
};

/// The epilogue's parameters in registers.
class Finisher {
 public:
  [[gnu::always_inline]] Finisher(const Int8Epilogue& e, int stored)
      : e_(e), stored_(stored), first_(stored), bounds_(e) {}

  /// Stores two pixels, or (y1 == nullptr) one.
  [[gnu::always_inline]] void Store(const Sums& s0, const Sums& s1, const uint8_t* r0,
                                    const uint8_t* r1, uint8_t* y0, uint8_t* y1) const {
    if (e_.to_float) {
      StoreFloats(s0, y0);
      if (y1 != nullptr) StoreFloats(s1, y1);
      return;
    }
    const Halves y = Separate(bounds_.Of(PackToBytes(Words(s0, r0), Words(s1, r1))));
    first_.Store(y0, y.first);
    if (y1 != nullptr) first_.Store(y1, y.second);
  }

 private:
  [[gnu::always_inline]] void StoreFloats(const Sums& sums, uint8_t* y) const {
    const TwoFloats v = Alternate(Scaled(e_, sums.part[0], 0), Scaled(e_, sums.part[1], 1));
    auto* to = reinterpret_cast<float*>(y);
    FirstLanes(stored_).Store(to, v.first);
    FirstLanes(stored_ - kLanes).Store(to + kLanes, v.second);
  }

  [[gnu::always_inline]] Ints Words(const Sums& sums, const uint8_t* residual) const {
    if (e_.has_residual) {
      const Ints r = ToWords(first_.Load(residual));
      return PackToWords(WithResidual(e_, sums.part[0], 0, UnpackLowWords(r, Zero())),
                         WithResidual(e_, sums.part[1], 1, UnpackHighWords(r, Zero())));
    }
    return PackToWords(Round(Scaled(e_, sums.part[0], 0)), Round(Scaled(e_, sums.part[1], 1)));
  }

  const Int8Epilogue& e_;
  int stored_;
  FirstOfHalf first_;
  Bounds bounds_;
};

/// A few neighbouring pixels of a row.
struct Group {
  const uint8_t* x;
  uint8_t* y;
  const uint8_t* residual;
  const int32_t* start;
};

/// Fetches what the epilogue adds while the sums are made: a residual lies a whole row of channels
/// from one pixel to the next, which no hardware prefetcher follows.
template <int kPixels>
[[gnu::always_inline]] inline void FetchResidual(const Int8Layer& layer, const Group& group) {
#pragma GCC unroll 7
  for (int p = 0; p < kPixels; ++p) {
    _mm_prefetch(group.residual + p * layer.y_step, _MM_HINT_T0);
  }
}

/// kFirst pixels at `a` and kSecond at `b`.
template <int kFirst, int kSecond>
[[gnu::noinline]] void ConvTile(const Int8Layer& layer, const int8_t* weights,
                                const Int8Epilogue& epilogue, const Group& a, const Group& b) {
  constexpr int kPixels = kFirst + kSecond;
  Sums sums[kPixels];
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
    const int32_t* start = p < kFirst ? a.start : b.start;
    const Ints first = start == nullptr ? Zero() : Repeat(start[p < kFirst ? p : p - kFirst]);
    sums[p].part[0] = sums[p].part[1] = first;
  }
  if (epilogue.has_residual) {
    FetchResidual<kFirst>(layer, a);
    FetchResidual<kSecond>(layer, b);
  }
  const ptrdiff_t step = layer.x_step;
  ptrdiff_t step3 = 3 * step, step5 = 5 * step;
  // Unknown to the compiler, which would keep a pointer for each pixel otherwise.
  asm volatile("" : "+r"(step3), "+r"(step5));
  const auto at = [&](const uint8_t* x, int p) __attribute__((always_inline)) {
    return p == 3 ? x + step3 : p == 5 ? x + step5 : p == 6 ? x + 2 * step3 : x + p * step;
  };
  for (ptrdiff_t t = 0; t < layer.tap_count; ++t) {
    const uint8_t* xa = a.x + layer.taps[t];
    const uint8_t* xb = kSecond > 0 ? b.x + layer.taps[t] : xa;
    const uint8_t* end = xa + layer.depth;
#pragma GCC unroll 1
    while (xa != end) {
      _mm_prefetch(weights + kWeightsAhead, _MM_HINT_T0);
      _mm_prefetch(weights + kWeightsAhead + 64, _MM_HINT_T0);
      const Ints w0 = LoadInts(weights);
      const auto w1 = SecondWeights(weights + 64);
      weights += 2 * 64;
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; ++p) {
        const Ints x = Repeat4(p < kFirst ? at(xa, p) : at(xb, p - kFirst));
        Multiply4(sums[p].part[0], x, w0);
        Multiply4(sums[p].part[1], x, w1);
      }
      xa += kInt8Depth;
      xb += kInt8Depth;
    }
  }
  const Finisher finisher(epilogue, layer.stored);
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; p += 2) {
    const auto group = [&](int q) -> const Group& { return q < kFirst ? a : b; };
    const auto offset = [&](int q) { return (q < kFirst ? q : q - kFirst) * layer.y_step; };
    const int q = p + 1 < kPixels ? p + 1 : p;
    finisher.Store(sums[p], sums[q], group(p).residual + offset(p), group(q).residual + offset(q),
                   group(p).y + offset(p), q == p ? nullptr : group(q).y + offset(q));
  }
}

using Tile = void (*)(const Int8Layer&, const int8_t*, const Int8Epilogue&, const Group&,
                      const Group&);
constexpr Tile kSingles[] = {nullptr,        ConvTile<1, 0>, ConvTile<2, 0>, ConvTile<3, 0>,
                             ConvTile<4, 0>, ConvTile<5, 0>, ConvTile<6, 0>, ConvTile<7, 0>};

/// Two registers of channels of all rows.
void ConvRows(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
              const Int8Row* rows, ptrdiff_t count, ptrdiff_t y_offset) {
  Group waiting{};
  bool has_waiting = false;
  for (ptrdiff_t r = 0; r < count; ++r) {
    const Int8Row& row = rows[r];
    for (ptrdiff_t p = 0; p < row.pixels; p += kGroup) {
      const ptrdiff_t at = p * layer.y_step + y_offset;
      const Group group{row.x + p * layer.x_step, row.y + at,
                        // Never read where there is no residual.
                        (row.residual == nullptr ? row.y : row.residual) + at,
                        row.start == nullptr ? nullptr : row.start + p};
      const ptrdiff_t left = row.pixels - p;
      if (left < kGroup || kGroupsOfTile == 1) {
        kSingles[left < kGroup ? left : kGroup](layer, weights, epilogue, group, group);
      } else if (has_waiting) {
        // Whole groups pair up across rows: a map of 7 × 7 has one a row.
        ConvTile<kGroup, (kGroupsOfTile - 1) * kGroup>(layer, weights, epilogue, waiting, group);
        has_waiting = false;
      } else {
        waiting = group;
        has_waiting = true;
      }
    }
  }
  if (has_waiting) ConvTile<kGroup, 0>(layer, weights, epilogue, waiting, waiting);
}

}  // namespace

namespace TRAWL_ISA {

void Int8Conv(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
              const Int8Row* rows, ptrdiff_t count) {
  ForEachSlice<2>(
      layer, weights, epilogue,
      [&](const Int8Layer& slice, const int8_t* of_slice, const Int8Epilogue& e, ptrdiff_t first) {
        const ptrdiff_t size = e.to_float ? sizeof(float) : 1;
        ConvRows(slice, of_slice, e, rows, count, first * size);
      });
}

}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
