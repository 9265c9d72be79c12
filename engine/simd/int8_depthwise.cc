// Convolutions of bytes whose channels have windows of their own.
#include "engine/simd/int8_convs.h"
#include "engine/simd/int8_epilogue.h"

namespace trawl::engine::simd {
namespace {

[[gnu::always_inline]] inline void MultiplyWide(Wide& sums, const Wide& x, const int8_t* weights) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) Multiply4(sums.part[j], x.part[j], LoadInts(weights + 64 * j));
}

[[gnu::always_inline]] inline Wide NoSums() { return {{Zero(), Zero(), Zero(), Zero()}}; }

[[gnu::always_inline]] inline void StoreWide(const Int8Epilogue& e, const FirstBytes& stored,
                                             const Wide& sums, const uint8_t* residual,
                                             uint8_t* y) {
  Wide v;
  if (e.has_residual) {
    const Wide r = Widen(stored.Load(residual));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v.part[j] = WithResidual(e, sums.part[j], j, r.part[j]);
  } else {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v.part[j] = Round(Scaled(e, sums.part[j], j));
  }
  stored.Store(y, Bounds(e).Of(PackWide(v)));
}

/// The pixels of a row from some channel on.
struct Pixels {
  const uint8_t* x;
  const uint8_t* residual;  // never read where there is none
  uint8_t* y;
};

Pixels From(const Int8Row& row, ptrdiff_t channel) {
  return {row.x + channel, (row.residual == nullptr ? row.y : row.residual) + channel,
          row.y + channel};
}

void AnyRow(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
            const Pixels& row, ptrdiff_t pixels) {
  const FirstBytes stored(layer.stored);
  for (ptrdiff_t p = 0; p < pixels; ++p) {
    const uint8_t* x = row.x + p * layer.x_step;
    const auto load = [&](ptrdiff_t t) __attribute__((always_inline)) {
      return stored.Load(x + layer.taps[t]);
    };
    Wide sums = NoSums();
    const int8_t* w = weights;
    for (ptrdiff_t t = 0; t < layer.tap_count; t += 4, w += 4 * 64) {
      MultiplyWide(sums, Transpose(load(t), load(t + 1), load(t + 2), load(t + 3)), w);
    }
    const ptrdiff_t at = p * layer.y_step;
    StoreWide(epilogue, stored, sums, row.residual + at, row.y + at);
  }
}

void RowOfThrees(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                 const Pixels& row, ptrdiff_t pixels) {
  const FirstBytes stored(layer.stored), none(0);
  const ptrdiff_t step = layer.x_step;
  for (ptrdiff_t p = 0; p < pixels; p += 2) {
    const bool two = p + 1 < pixels;
    // What only the second pixel sees is not there behind the last of an odd number.
    const FirstBytes last = two ? stored : none;
    Wide first = NoSums(), second = NoSums();
    const int8_t* w = weights;
    for (ptrdiff_t t = 0; t < layer.tap_count; ++t, w += 8 * 64) {
      const uint8_t* x = row.x + p * step + layer.taps[t];
      const Wide seen = Transpose(stored.Load(x), stored.Load(x + step), stored.Load(x + 2 * step),
                                  last.Load(x + 3 * step));
      MultiplyWide(first, seen, w);
      MultiplyWide(second, seen, w + 4 * 64);
    }
    const ptrdiff_t at = p * layer.y_step, next = at + layer.y_step;
    StoreWide(epilogue, stored, first, row.residual + at, row.y + at);
    if (two) StoreWide(epilogue, stored, second, row.residual + next, row.y + next);
  }
}

/// Calls `run(layer, weights, epilogue, row, pixels)` for each register of channels of each row.
template <class Run>
void ForEachRow(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                const Int8Row* rows, ptrdiff_t count, Run run) {
  ForEachSlice<4>(
      layer, weights, epilogue,
      [&](const Int8Layer& slice, const int8_t* of_slice, const Int8Epilogue& e, ptrdiff_t first) {
        for (ptrdiff_t r = 0; r < count; ++r) {
          run(slice, of_slice, e, From(rows[r], first), rows[r].pixels);
        }
      });
}

}  // namespace

namespace TRAWL_ISA {

void Int8Depthwise(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                   const Int8Row* rows, ptrdiff_t count) {
  ForEachRow(layer, weights, epilogue, rows, count, AnyRow);
}

void Int8Depthwise3(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                    const Int8Row* rows, ptrdiff_t count) {
  ForEachRow(layer, weights, epilogue, rows, count, RowOfThrees);
}

}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
