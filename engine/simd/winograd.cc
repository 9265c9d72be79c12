// Compiled once per instruction set.
#include "engine/simd/winograd.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

constexpr int kPoints = kWinogradPoints;

/// The point of the i-th product of a tile of `size`.
constexpr int Point(int size, int i) { return size == 3 && i >= kWinogradFourOnly ? i + 1 : i; }

/// to = Bᵀ · from, one row of size + 2 pixels. The rows of Bᵀ are the polynomials ∏ (x - p) over
/// the other points; those of size 3 are multiplied by what its weights would need and those of
/// size 4 have not.
template <int kSize>
[[gnu::always_inline]] inline void TransformInput(const Vector* from, Vector* to) {
  const Vector* d = from;
  if constexpr (kSize == 4) {
    const Vector a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1];
    const Vector c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
  } else {
    to[0] = 4.0f * (d[0] - d[2]) + 2.0f * (d[3] - d[1]);
    to[1] = 3.0f * (d[3] - d[2]) - 6.0f * d[1];
    to[2] = d[3] - 3.0f * d[2] + 2.0f * d[1];
    to[3] = 4.0f * (d[3] - d[1]);
    to[4] = d[4] - d[2] + 2.0f * (d[1] - d[3]);
  }
}

/// to = Aᵀ · from, size + 2 products to one row of `size` pixels: the powers of the points.
template <int kSize>
[[gnu::always_inline]] inline void TransformOutput(const Vector* from, Vector* to) {
  const Vector* m = from;
  const Vector a = m[1] + m[2], b = m[1] - m[2];
  if constexpr (kSize == 4) {
    const Vector c = m[3] + m[4], e = m[3] - m[4];
    to[0] = m[0] + a + c;
    to[1] = b + 2.0f * e;
    to[2] = a + 4.0f * c;
    to[3] = b + 8.0f * e + m[5];
  } else {
    to[0] = m[0] + a + m[3];
    to[1] = b + 2.0f * m[3];
    to[2] = a + 4.0f * m[3] + m[4];
  }
}

template <int kDown, int kAcross>  // pixels of a tile
[[gnu::noinline]] void Input(const WinogradInput& tile) {
  constexpr int kRows = kDown + 2, kColumns = kAcross + 2;
  for (int part = 0; part < kBlock; part += kWidth) {
    Vector columns[kRows][kColumns];  // transformed
#pragma GCC unroll 6
    for (int x = 0; x < kColumns; ++x) {
      Vector from[kRows] = {}, to[kRows];
      if (x >= tile.first_column && x < tile.last_column) {
#pragma GCC unroll 6
        for (int y = 0; y < kRows; ++y) from[y] = Load(tile.rows[y] + x * kBlock + part);
      }
      TransformInput<kDown>(from, to);
#pragma GCC unroll 6
      for (int y = 0; y < kRows; ++y) columns[y][x] = to[y];
    }
#pragma GCC unroll 6
    for (int y = 0; y < kRows; ++y) {
      Vector to[kColumns];
      TransformInput<kAcross>(columns[y], to);
      float* points = tile.points + Point(kDown, y) * kPoints * tile.point_stride + part;
#pragma GCC unroll 6
      for (int x = 0; x < kColumns; ++x) {
        Store(points + Point(kAcross, x) * tile.point_stride, to[x]);
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

template <int kDown, int kAcross>
[[gnu::noinline]] void Output(const WinogradOutput& tile, const Epilogue& e) {
  constexpr int kColumns = kAcross + 2;
  for (int part = 0; part < kBlock; part += kWidth) {
    Vector columns[kDown][kColumns];
#pragma GCC unroll 6
    for (int x = 0; x < kColumns; ++x) {
      Vector from[kDown + 2], to[kDown];
#pragma GCC unroll 6
      for (int y = 0; y < kDown + 2; ++y) {
        const int point = Point(kDown, y) * kPoints + Point(kAcross, x);
        from[y] = Load(tile.points + point * tile.point_stride + part);
      }
      TransformOutput<kDown>(from, to);
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
      TransformOutput<kAcross>(columns[y], to);
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

/// to = G · from, three weights to the points: their polynomial's values there, divided by what
/// belongs to a point.
[[gnu::always_inline]] inline void TransformWeights(const Doubles* from, Doubles* to) {
  const Doubles ends = from[0] + from[2], twos = from[0] + 4.0 * from[2];
  to[0] = 0.25 * from[0];
  to[1] = (ends + from[1]) * (-1.0 / 6);
  to[2] = (ends - from[1]) * (-1.0 / 6);
  to[3] = (twos + 2.0 * from[1]) * (1.0 / 24);
  to[4] = (twos - 2.0 * from[1]) * (1.0 / 24);
  to[5] = from[2];
}

/// In double, so that each transformed weight is rounded once.
[[gnu::noinline]] void Weights(const float* taps, float* points, ptrdiff_t point_stride) {
  for (int part = 0; part < kBlock; part += kWidth) {
    Doubles columns[kPoints][3];
    for (int x = 0; x < 3; ++x) {
      Doubles from[3], to[kPoints];
      for (int y = 0; y < 3; ++y) {
        from[y] = __builtin_convertvector(Load(taps + (y * 3 + x) * kBlock + part), Doubles);
      }
      TransformWeights(from, to);
      for (int y = 0; y < kPoints; ++y) columns[y][x] = to[y];
    }
    for (int y = 0; y < kPoints; ++y) {
      Doubles to[kPoints];
      TransformWeights(columns[y], to);
      for (int x = 0; x < kPoints; ++x) {
        Store(points + (y * kPoints + x) * point_stride + part,
              __builtin_convertvector(to[x], Vector));
      }
    }
  }
}

}  // namespace

namespace TRAWL_ISA {
const WinogradMicrokernels kWinograd = {
    .input = {{Input<3, 3>, Input<3, 4>}, {Input<4, 3>, Input<4, 4>}},
    .output = {{Output<3, 3>, Output<3, 4>}, {Output<4, 3>, Output<4, 4>}},
    .weights = Weights};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
