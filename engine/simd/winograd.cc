// Compiled once per instruction set.
#include "engine/simd/winograd.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

/// to = Bᵀ · from, one row of pixels to the products of a tile of kSize. The rows of Bᵀ are the
/// polynomials ∏ (x - p) over the other points; those of smaller sizes are multiplied by what their
/// weights would need and those of size 4 have not.
template <int kStride, int kSize>
[[gnu::always_inline]] inline void TransformInput(const Vector* d, Vector* to) {
  if constexpr (kStride == 1 && kSize == 4) {
    const Vector a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1];
    const Vector c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
  } else if constexpr (kStride == 1 && kSize == 2) {
    to[0] = 4.0f * (d[0] - d[2]);
    to[1] = -3.0f * (d[2] + d[1]);
    to[2] = 3.0f * (d[1] - d[2]);
    to[3] = d[3] - d[1];
  } else if constexpr (kStride == 1) {
    to[0] = 4.0f * (d[0] - d[2]) + 2.0f * (d[3] - d[1]);
    to[1] = 3.0f * (d[3] - d[2]) - 6.0f * d[1];
    to[2] = d[3] - 3.0f * d[2] + 2.0f * d[1];
    to[3] = 4.0f * (d[3] - d[1]);
    to[4] = d[4] - d[2] + 2.0f * (d[1] - d[3]);
  } else {
    Vector* odd;
    if constexpr (kSize == 4) {
      const Vector a = d[6] - d[2];  // pixels 0, 2, 4, 6 and 8
      to[0] = d[0] - d[4] + 0.5f * a;
      to[1] = d[2] + 0.5f * (d[4] - d[6]);
      to[2] = 0.5f * d[4] - (1.0f / 3) * d[2] - (1.0f / 6) * d[6];
      to[3] = (1.0f / 6) * a;
      to[4] = d[8] - d[4] - 2.0f * a;
      odd = to + 5;
    } else {
      to[0] = d[0] - d[4];  // pixels 0, 2, 4 and 6
      to[1] = 0.5f * (d[4] + d[2]);
      to[2] = 0.5f * (d[4] - d[2]);
      to[3] = d[6] - d[2];
      odd = to + 4;
    }
    // Three pixels need three points; the fourth is there for tiles of 4.
    odd[0] = d[1] - d[5];
    odd[1] = 0.5f * (d[5] + d[3]);
    odd[2] = 0.5f * (d[5] - d[3]);
    odd[3] = kSize == 4 ? d[7] - d[3] : Vector{};
  }
}

/// to = Aᵀ · from, the sums at a tile's points to one row of kSize pixels: the points' powers.
template <int kStride, int kSize>
[[gnu::always_inline]] inline void TransformOutput(const Vector* m, Vector* to) {
  const Vector a = m[1] + m[2], b = m[1] - m[2];
  if constexpr (kStride == 1 && kSize == 4) {
    const Vector c = m[3] + m[4], e = m[3] - m[4];
    to[0] = m[0] + a + c;
    to[1] = b + 2.0f * e;
    to[2] = a + 4.0f * c;
    to[3] = b + 8.0f * e + m[5];
  } else if constexpr (kSize == 2) {
    to[0] = m[0] + a;
    to[1] = b + m[3];
  } else if constexpr (kStride == 1 || kSize == 4) {
    to[0] = m[0] + a + m[3];
    to[1] = b + 2.0f * m[3];
    to[2] = a + 4.0f * m[3];
    if constexpr (kSize == 3) to[2] += m[4];
    if constexpr (kSize == 4) to[3] = b + 8.0f * m[3] + m[4];
  } else {
    to[0] = m[0] + a;
    to[1] = b;
    to[2] = a + m[3];
  }
}

template <int kStride, int kDown, int kAcross>  // pixels of a tile
[[gnu::noinline]] void Input(const WinogradInput& tile) {
  constexpr WinogradScheme kScheme{kStride};
  constexpr int kRows = kScheme.pixels(kDown), kColumns = kScheme.pixels(kAcross);
  constexpr int kRowProducts = kScheme.products(kDown), kProducts = kScheme.products(kAcross);
  for (int part = 0; part < kBlock; part += kWidth) {
    Vector columns[kRowProducts][kColumns];  // transformed
#pragma GCC unroll 9
    for (int x = 0; x < kColumns; ++x) {
      Vector from[kRows] = {}, to[kRowProducts];
      if (x >= tile.first_column && x < tile.last_column) {
#pragma GCC unroll 9
        for (int y = 0; y < kRows; ++y) from[y] = Load(tile.rows[y] + x * kBlock + part);
      }
      TransformInput<kStride, kDown>(from, to);
#pragma GCC unroll 9
      for (int y = 0; y < kRowProducts; ++y) columns[y][x] = to[y];
    }
#pragma GCC unroll 9
    for (int y = 0; y < kRowProducts; ++y) {
      Vector to[kProducts];
      TransformInput<kStride, kAcross>(columns[y], to);
      const auto row = kScheme.product(kDown, y);
      float* points = tile.points + row.point * kScheme.points() * tile.point_stride +
                      2 * row.odd * tile.phase_stride + part;
#pragma GCC unroll 9
      for (int x = 0; x < kProducts; ++x) {
        const auto column = kScheme.product(kAcross, x);
        Store(points + column.point * tile.point_stride + column.odd * tile.phase_stride, to[x]);
      }
    }
  }
}

/// What happens to one register of the output.
struct Finisher {
  Vector bias, low, high;
  bool bounded;

  [[gnu::always_inline]] Finisher(const Epilogue& e, int part)
      : bias(Load(e.bias + part)),
        low(Broadcast(e.low)),
        high(Broadcast(e.high)),
        bounded(e.bounded) {}

  [[gnu::always_inline]] void operator()(Vector sum, const float* residual, float* y) const {
    sum += bias;
    if (residual != nullptr) sum += Load(residual);
    if (bounded) {
      sum = sum < low ? low : sum;  // a NaN stays
      sum = sum > high ? high : sum;
    }
    Store(y, sum);
  }
};

template <int kStride, int kDown, int kAcross>
[[gnu::noinline]] void Output(const WinogradOutput& tile, const Epilogue& e) {
  constexpr WinogradScheme kScheme{kStride};
  constexpr int kRows = kScheme.points() - 4 + kDown, kColumns = kScheme.points() - 4 + kAcross;
  for (int part = 0; part < kBlock; part += kWidth) {
    Vector columns[kDown][kColumns];
#pragma GCC unroll 6
    for (int x = 0; x < kColumns; ++x) {
      Vector from[kRows], to[kDown];
#pragma GCC unroll 6
      for (int y = 0; y < kRows; ++y) {
        const int point =
            kScheme.product(kDown, y).point * kScheme.points() + kScheme.product(kAcross, x).point;
        from[y] = Load(tile.points + point * tile.point_stride + part);
      }
      TransformOutput<kStride, kDown>(from, to);
#pragma GCC unroll 4
      for (int y = 0; y < kDown; ++y) columns[y][x] = to[y];
    }
    const Finisher finish(e, part);
    const float* residual = e.residual == nullptr ? nullptr : e.residual + part;
    float* row = tile.y + part;
    const bool whole = tile.rows == kDown && tile.columns == kAcross;
#pragma GCC unroll 4
    for (int y = 0; y < kDown; ++y) {
      if (y >= tile.rows) break;
      Vector to[kAcross];
      TransformOutput<kStride, kAcross>(columns[y], to);
#pragma GCC unroll 4
      for (int x = 0; x < kAcross; ++x) {
        if (!whole && x >= tile.columns) break;
        finish(to[x], residual == nullptr ? nullptr : residual + x * kBlock, row + x * kBlock);
      }
      row += tile.row_stride;
      if (residual != nullptr) residual += tile.residual_row_stride;
    }
  }
}

using Doubles [[gnu::vector_size(kWidth * sizeof(double))]] = double;

/// to = G · from, three weights to the products of a tile of 4: their polynomial's values at the
/// points, divided by what belongs to a point.
template <int kStride>
[[gnu::always_inline]] inline void TransformWeights(const Doubles* from, Doubles* to) {
  if constexpr (kStride == 1) {
    const Doubles ends = from[0] + from[2], twos = from[0] + 4.0 * from[2];
    to[0] = 0.25 * from[0];
    to[1] = (ends + from[1]) * (-1.0 / 6);
    to[2] = (ends - from[1]) * (-1.0 / 6);
    to[3] = (twos + 2.0 * from[1]) * (1.0 / 24);
    to[4] = (twos - 2.0 * from[1]) * (1.0 / 24);
    to[5] = from[2];
  } else {
    to[0] = from[0];
    to[1] = from[0] + from[2];
    to[2] = from[0] - from[2];
    to[3] = from[0] + 2.0 * from[2];
    to[4] = from[2];
    for (int i = 5; i < 9; ++i) to[i] = from[1];
  }
}

/// In double, so that each transformed weight is rounded once.
template <int kStride>
[[gnu::noinline]] void Weights(const float* taps, float* products) {
  constexpr int kProducts = WinogradScheme{kStride}.products(4);
  for (int part = 0; part < kBlock; part += kWidth) {
    Doubles columns[kProducts][3];
    for (int x = 0; x < 3; ++x) {
      Doubles from[3], to[kProducts];
      for (int y = 0; y < 3; ++y) {
        from[y] = __builtin_convertvector(Load(taps + (y * 3 + x) * kBlock + part), Doubles);
      }
      TransformWeights<kStride>(from, to);
      for (int y = 0; y < kProducts; ++y) columns[y][x] = to[y];
    }
    for (int y = 0; y < kProducts; ++y) {
      Doubles to[kProducts];
      TransformWeights<kStride>(columns[y], to);
      for (int x = 0; x < kProducts; ++x) {
        Store(products + (y * kProducts + x) * kBlock + part,
              __builtin_convertvector(to[x], Vector));
      }
    }
  }
}

template <int kStride>
constexpr WinogradMicrokernels Table() {
  WinogradMicrokernels table{.input = {{},
                                       {nullptr, Input<kStride, 3, 3>, Input<kStride, 3, 4>},
                                       {nullptr, Input<kStride, 4, 3>, Input<kStride, 4, 4>}},
                             .output = {{},
                                        {nullptr, Output<kStride, 3, 3>, Output<kStride, 3, 4>},
                                        {nullptr, Output<kStride, 4, 3>, Output<kStride, 4, 4>}},
                             .weights = Weights<kStride>};
  if constexpr (kStride == 1) {
    table.input[0][0] = Input<1, 2, 2>;
    table.output[0][0] = Output<1, 2, 2>;
  }
  return table;
}

}  // namespace

namespace TRAWL_ISA {
const WinogradMicrokernels kWinograd = Table<1>();
const WinogradMicrokernels kWinogradStride2 = Table<2>();
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
