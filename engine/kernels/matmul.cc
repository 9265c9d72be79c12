// Gemm and MatMul by OpenBLAS.
#include <algorithm>

#include "engine/kernels/activation.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/matmul_shape.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

/// Fills y [m, n] with beta · c, broadcast.
void FillBias(const KernelCall& call, float beta, float* y) {
  const auto shape = call.outputs[0].shape;
  const Dims strides = BroadcastStrides(call.inputs[2].shape, shape);
  const float* c = call.inputs[2].data<float>().data();
  for (int64_t i = 0; i < shape[0]; ++i) {
    for (int64_t j = 0; j < shape[1]; ++j) *y++ = beta * c[i * strides[0] + j * strides[1]];
  }
}

KernelResult MakeGemm(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1));
  TRAWL_ASSIGN(const float beta, node.attributes().Float("beta", 1));
  TRAWL_ASSIGN(const int64_t trans_a, node.attributes().Int("transA", 0));
  TRAWL_ASSIGN(const int64_t trans_b, node.attributes().Int("transB", 0));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  return MakeKernel([=, has_c = node.HasInput(2)](const KernelCall& call) {
    const auto a = call.inputs[0].shape, b = call.inputs[1].shape, y = call.outputs[0].shape;
    float* out = call.outputs[0].data<float>().data();
    if (has_c) FillBias(call, beta, out);
    Sgemm({.trans_a = trans_a != 0,
           .trans_b = trans_b != 0,
           .m = y[0],
           .n = y[1],
           .k = a[trans_a ? 0 : 1],
           .alpha = alpha,
           .a = call.inputs[0].data<float>().data(),
           .lda = a[1],
           .b = call.inputs[1].data<float>().data(),
           .ldb = b[1],
           .beta = has_c ? 1.0f : 0.0f,
           .c = out,
           .ldc = y[1]});
    AddBiasAndActivate(activation, 0, 1, out, static_cast<size_t>(call.outputs[0].size()));
    return OkStatus();
  });
}

KernelResult MakeMatMul(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const MatMulShape s = ReadMatMulShape(call.inputs[0].shape, call.inputs[1].shape);
    const float* a = call.inputs[0].data<float>().data();
    const float* b = call.inputs[1].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    ForEachIndex<2>({s.stack.data(), s.stack_rank}, {s.a_strides, s.b_strides},
                    [&](const auto& at) {
                      Sgemm({.m = s.m,
                             .n = s.n,
                             .k = s.k,
                             .a = a + at[0],
                             .lda = s.k,
                             .b = b + at[1],
                             .ldb = s.n,
                             .c = y,
                             .ldc = s.n});
                      y += s.m * s.n;
                    });
    return OkStatus();
  });
}

std::string WhyNot(const NodeView& node) {
  for (size_t i = 0; i < 2; ++i) {
    const Shape& shape = node.shape(i);
    // BLAS asks for leading dimensions of at least 1.
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return "an operand is empty";
  }
  return "";
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_gemm__openblas", .op = "Gemm", .rank = 1, .why_not = WhyNot, .make = MakeGemm},
    {.name = "f32_gemm__openblas",
     .op = "FusedGemm",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeGemm},
    {.name = "f32_matmul__openblas",
     .op = "MatMul",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeMatMul},
};

}  // namespace

std::span<const KernelDef> MatMulKernels() { return kKernels; }

}  // namespace trawl::engine
