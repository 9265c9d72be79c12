// Goal: the microkernels compute the same on every instruction set. Method: each one that this
// machine has against a plain loop in double, on odd sizes. Tolerance 1e-5: a sum of some hundred
// products of at most 1 errs by less than 1e-6 in f32.
#include <cmath>
#include <cstdlib>
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

}  // namespace
}  // namespace trawl::engine::simd
