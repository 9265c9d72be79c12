// Goal: the microkernels compute the same on every instruction set. Method: each one that this
// machine has against a plain loop in double, on odd sizes. Tolerance 1e-5: a sum of some hundred
// products of at most 1 errs by less than 1e-6 in f32.
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "engine/simd/microkernels.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine::simd {
namespace {

TEST(Isa, IsTheBestOneUnlessTheEnvironmentNamesAnother) {
  unsetenv("TRAWL_ISA");
  EXPECT_EQ(*ChooseIsa(), SupportedIsas().back());
  setenv("TRAWL_ISA", "portable", 1);
  EXPECT_EQ(*ChooseIsa(), Isa::kPortable);
  setenv("TRAWL_ISA", "avx3", 1);
  EXPECT_EQ(ChooseIsa().error().code(), Code::kInvalidArgument);
  unsetenv("TRAWL_ISA");
}

TEST(GemmMicrokernel, MultipliesAnyNumberOfRows) {
  for (const Isa isa : SupportedIsas()) {
    SCOPED_TRACE(ToString(isa));
    const GemmMicrokernels& gemm = MicrokernelsFor(isa).gemm;
    const int width = gemm.panel_width;
    for (const int64_t depth : {1, 3, 17, 64}) {
      const Tensor b = testing::RandomTensor({depth, width}, 1);
      for (int64_t rows = 1; rows <= 31; ++rows) {
        const Tensor a = testing::RandomTensor({rows, depth}, 2);
        Tensor c(DType::kF32, {rows, width});
        gemm.multiply(a.data<float>().data(), depth, b.data<float>().data(),
                      c.mutable_data<float>().data(), width, rows, depth);
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < width; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < depth; ++k) {
              sum += static_cast<double>(a.data<float>()[static_cast<size_t>(i * depth + k)]) *
                     static_cast<double>(b.data<float>()[static_cast<size_t>(k * width + j)]);
            }
            ASSERT_NEAR(c.data<float>()[static_cast<size_t>(i * width + j)], sum, 1e-5)
                << rows << "x" << depth << " at " << i << ", " << j;
          }
        }
      }
    }
  }
}

/// The greatest relative error of `function` against `exact` over [low, high].
template <class Function, class Exact>
double WorstError(Function function, Exact exact, float low, float high) {
  constexpr size_t kCount = 1 << 16;
  alignas(64) static float x[kCount], y[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    x[i] = low + (high - low) * static_cast<float>(i) / static_cast<float>(kCount - 1);
  }
  function(x, y, kCount / kBlock);
  double worst = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const double wanted = exact(static_cast<double>(x[i]));
    worst = std::max(
        worst, std::fabs(static_cast<double>(y[i]) - wanted) / std::max(std::fabs(wanted), 1e-37));
  }
  return worst;
}

TEST(ElementwiseMicrokernels, ExpSigmoidAndTanhErrByFourUnitsInTheLastPlaceAtMost) {
  constexpr double kFourUlp = 4.0 / (1 << 23);
  for (const Isa isa : SupportedIsas()) {
    SCOPED_TRACE(ToString(isa));
    const ElementwiseMicrokernels& kernels = MicrokernelsFor(isa).elementwise;
    const auto exp = [](double x) { return std::exp(x); };
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const auto tanh = [](double x) { return std::tanh(x); };
    const auto activate = [&](ActivationKind kind) {
      return [&kernels, kind](const float* x, float* y, ptrdiff_t pixels) {
        kernels.activate({.kind = kind}, x, y, pixels);
      };
    };
    EXPECT_LT(WorstError(kernels.exp, exp, -86.5f, 88.7f), kFourUlp);
    EXPECT_LT(WorstError(kernels.exp, exp, -1, 1), kFourUlp);
    EXPECT_LT(WorstError(activate(ActivationKind::kSigmoid), sigmoid, -80, 80), kFourUlp);
    EXPECT_LT(WorstError(activate(ActivationKind::kSigmoid), sigmoid, -1, 1), kFourUlp);
    EXPECT_LT(WorstError(activate(ActivationKind::kTanh), tanh, -20, 20), kFourUlp);
    EXPECT_LT(WorstError(activate(ActivationKind::kTanh), tanh, -0.01f, 0.7f), kFourUlp);
  }
}

TEST(ElementwiseMicrokernels, GeluErrsByFourUnitsOfItsArgumentsLastPlaceAtMost) {
  // Not of the result's: on the left 1 + erf is a difference of numbers of the same size.
  constexpr double kFourUlp = 4.0 / (1 << 23);
  constexpr ptrdiff_t kCount = 1 << 16;
  alignas(64) static float x[kCount], y[kCount];
  for (ptrdiff_t i = 0; i < kCount; ++i) {
    x[i] = static_cast<float>(i - kCount / 2) * (9.0f / (kCount / 2));
  }
  x[0] = -1e30f;
  x[1] = 1e30f;
  for (const Isa isa : SupportedIsas()) {
    SCOPED_TRACE(ToString(isa));
    MicrokernelsFor(isa).elementwise.activate({.kind = ActivationKind::kGelu}, x, y,
                                              kCount / kBlock);
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 1e30f);
    for (ptrdiff_t i = 2; i < kCount; ++i) {
      const double wanted = x[i] * 0.5 * std::erfc(-x[i] / std::sqrt(2.0));
      ASSERT_NEAR(y[i], wanted, kFourUlp * std::fabs(x[i])) << x[i];
    }
  }
}

TEST(ElementwiseMicrokernels, ExpKeepsWhatIsNotFinite) {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const Isa isa : SupportedIsas()) {
    SCOPED_TRACE(ToString(isa));
    alignas(64) float x[kBlock] = {kInfinite, -kInfinite, std::nanf(""), 89, -104, 0};
    MicrokernelsFor(isa).elementwise.exp(x, x, 1);
    EXPECT_EQ(x[0], kInfinite);
    EXPECT_EQ(x[1], 0);
    EXPECT_TRUE(std::isnan(x[2]));
    EXPECT_EQ(x[3], kInfinite);
    EXPECT_EQ(x[4], 0);
    EXPECT_EQ(x[5], 1);
  }
}

}  // namespace
}  // namespace trawl::engine::simd
