// Compiled once per instruction set. One loop over registers for each function, chosen outside the
// loop.
#include "engine/simd/elementwise.h"

#include "engine/simd/functions.h"
#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

/// y[pixel] = function(x[pixel], part) for every register; `part` is its number within the block.
template <class Function>
[[gnu::always_inline]] inline void ForEachRegister(const float* x, float* y, ptrdiff_t pixels,
                                                   Function function) {
  for (ptrdiff_t p = 0; p < pixels; ++p, x += kBlock, y += kBlock) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      Store(y + part * kWidth, function(Load(x + part * kWidth), part));
    }
  }
}

template <ActivationKind kKind>
void ActivateAll(const Activation& activation, const float* x, float* y, ptrdiff_t pixels) {
  const Vector alpha = Broadcast(activation.alpha), beta = Broadcast(activation.beta);
  ForEachRegister(x, y, pixels, [=](Vector v, int) { return Activate<kKind>(v, alpha, beta); });
}

void ActivateBlocks(const Activation& activation, const float* x, float* y, ptrdiff_t pixels) {
  switch (activation.kind) {
    case ActivationKind::kNone:
      return ActivateAll<ActivationKind::kNone>(activation, x, y, pixels);
    case ActivationKind::kRelu:
      return ActivateAll<ActivationKind::kRelu>(activation, x, y, pixels);
    case ActivationKind::kClip:
      return ActivateAll<ActivationKind::kClip>(activation, x, y, pixels);
    case ActivationKind::kLeakyRelu:
      return ActivateAll<ActivationKind::kLeakyRelu>(activation, x, y, pixels);
    case ActivationKind::kSigmoid:
      return ActivateAll<ActivationKind::kSigmoid>(activation, x, y, pixels);
    case ActivationKind::kTanh:
      return ActivateAll<ActivationKind::kTanh>(activation, x, y, pixels);
    case ActivationKind::kHardSigmoid:
      return ActivateAll<ActivationKind::kHardSigmoid>(activation, x, y, pixels);
    case ActivationKind::kHardSwish:
      return ActivateAll<ActivationKind::kHardSwish>(activation, x, y, pixels);
    case ActivationKind::kSwish:
      return ActivateAll<ActivationKind::kSwish>(activation, x, y, pixels);
    case ActivationKind::kGelu:
      return ActivateAll<ActivationKind::kGelu>(activation, x, y, pixels);
  }
}

void ExpBlocks(const float* x, float* y, ptrdiff_t pixels) {
  ForEachRegister(x, y, pixels, [](Vector v, int) { return Exp(v); });
}

/// The first `count` numbers, fewer than a register's, before minus infinities, whose power is 0.
[[gnu::always_inline]] inline Vector LoadFirst(const float* x, ptrdiff_t count) {
  alignas(sizeof(Vector)) float first[kWidth];
  for (int i = 0; i < kWidth; ++i) first[i] = i < count ? x[i] : -__builtin_inff();
  return Load(first);
}

void Softmax(const float* x, float* y, ptrdiff_t count) {
  const ptrdiff_t whole = count / kWidth * kWidth, rest = count - whole;
  Vector greatest = LoadFirst(x + whole, rest);
  for (ptrdiff_t i = 0; i < whole; i += kWidth) greatest = Max(greatest, LoadUnaligned(x + i));
  float most = greatest[0];
  for (int i = 1; i < kWidth; ++i) most = greatest[i] > most ? greatest[i] : most;
  const Vector last = Exp(LoadFirst(x + whole, rest) - most);
  Vector sums = last;
  for (ptrdiff_t i = 0; i < whole; i += kWidth) {
    const Vector power = Exp(LoadUnaligned(x + i) - most);
    StoreUnaligned(y + i, power);
    sums += power;
  }
  float sum = 0;
  for (int i = 0; i < kWidth; ++i) sum += sums[i];
  for (ptrdiff_t i = 0; i < whole; i += kWidth) {
    StoreUnaligned(y + i, LoadUnaligned(y + i) / sum);
  }
  const Vector end = last / sum;
  for (ptrdiff_t i = 0; i < rest; ++i) y[whole + i] = end[i];
}

template <BinaryKind kKind>
[[gnu::always_inline]] inline Vector Apply(Vector a, Vector b) {
  switch (kKind) {
    case BinaryKind::kAdd:
      return a + b;
    case BinaryKind::kSub:
      return a - b;
    case BinaryKind::kSubFrom:
      return b - a;
    case BinaryKind::kMul:
      return a * b;
    case BinaryKind::kDiv:
      return a / b;
    case BinaryKind::kDivInto:
      return b / a;
    case BinaryKind::kMax:
      return Max(a, b);
    case BinaryKind::kMin:
      return Min(a, b);
  }
}

/// `b_step`: floats from one pixel of b to the next.
template <BinaryKind kKind>
void ApplyAll(const float* a, const float* b, ptrdiff_t b_step, float* y, ptrdiff_t pixels) {
  for (ptrdiff_t p = 0; p < pixels; ++p, a += kBlock, b += b_step, y += kBlock) {
#pragma GCC unroll 4
    for (int i = 0; i < kBlock; i += kWidth) Store(y + i, Apply<kKind>(Load(a + i), Load(b + i)));
  }
}

void ApplyBlocks(BinaryKind kind, const float* a, const float* b, ptrdiff_t b_step, float* y,
                 ptrdiff_t pixels) {
  switch (kind) {
    case BinaryKind::kAdd:
      return ApplyAll<BinaryKind::kAdd>(a, b, b_step, y, pixels);
    case BinaryKind::kSub:
      return ApplyAll<BinaryKind::kSub>(a, b, b_step, y, pixels);
    case BinaryKind::kSubFrom:
      return ApplyAll<BinaryKind::kSubFrom>(a, b, b_step, y, pixels);
    case BinaryKind::kMul:
      return ApplyAll<BinaryKind::kMul>(a, b, b_step, y, pixels);
    case BinaryKind::kDiv:
      return ApplyAll<BinaryKind::kDiv>(a, b, b_step, y, pixels);
    case BinaryKind::kDivInto:
      return ApplyAll<BinaryKind::kDivInto>(a, b, b_step, y, pixels);
    case BinaryKind::kMax:
      return ApplyAll<BinaryKind::kMax>(a, b, b_step, y, pixels);
    case BinaryKind::kMin:
      return ApplyAll<BinaryKind::kMin>(a, b, b_step, y, pixels);
  }
}

void BinaryBlocks(BinaryKind kind, const float* a, const float* b, float* y, ptrdiff_t pixels) {
  ApplyBlocks(kind, a, b, kBlock, y, pixels);
}

void BinaryByChannel(BinaryKind kind, const float* a, const float* b, float* y, ptrdiff_t pixels) {
  ApplyBlocks(kind, a, b, 0, y, pixels);
}

void Affine(const float* x, const float* scale, const float* shift, float* y, ptrdiff_t pixels) {
  ForEachRegister(x, y, pixels, [=](Vector v, int part) {
    return v * Load(scale + part * kWidth) + Load(shift + part * kWidth);
  });
}

void RoundToGrid(const GridBlock& grid, const float* x, float* y, ptrdiff_t pixels) {
  // Adding it leaves no bits for a fraction, so the sum is rounded to an integer, ties to even.
  const Vector round = Broadcast(12582912.0f);  // 1.5 · 2^23
  ForEachRegister(x, y, pixels, [=](Vector v, int part) {
    const ptrdiff_t at = part * kWidth;
    const Vector ratio = v / Load(grid.scale + at);
    const Vector bounded = Min(Max(ratio, Load(grid.low + at)), Load(grid.high + at));
    return ((bounded + round) - round) * Load(grid.result_scale + at);
  });
}

}  // namespace

namespace TRAWL_ISA {
const ElementwiseMicrokernels kElementwise = {.activate = ActivateBlocks,
                                              .exp = ExpBlocks,
                                              .softmax = Softmax,
                                              .binary = BinaryBlocks,
                                              .binary_by_channel = BinaryByChannel,
                                              .affine = Affine,
                                              .round_to_grid = RoundToGrid};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
