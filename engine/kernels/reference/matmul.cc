// Reference kernels of Gemm and MatMul.
#include "engine/kernels/activation.h"
#include "engine/kernels/matmul_shape.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

KernelResult MakeGemm(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1));
  TRAWL_ASSIGN(const float beta, node.attributes().Float("beta", 1));
  TRAWL_ASSIGN(const int64_t trans_a, node.attributes().Int("transA", 0));
  TRAWL_ASSIGN(const int64_t trans_b, node.attributes().Int("transB", 0));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  return MakeKernel([=](const KernelCall& call) {
    const auto a = call.inputs[0].data<float>().data();
    const auto b = call.inputs[1].data<float>().data();
    const auto y = call.outputs[0].data<float>().data();
    const auto shape = call.outputs[0].shape;
    const int64_t m = shape[0], n = shape[1], k = call.inputs[0].shape[trans_a ? 0 : 1];
    const bool has_c = call.inputs.size() > 2 && call.inputs[2].bytes != nullptr;
    const float* c = has_c ? call.inputs[2].data<float>().data() : nullptr;
    const Dims c_strides = has_c ? BroadcastStrides(call.inputs[2].shape, shape) : Dims{};
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += static_cast<double>(a[trans_a ? p * m + i : i * k + p]) *
                 b[trans_b ? j * k + p : p * n + j];
        }
        const double bias = has_c ? static_cast<double>(c[i * c_strides[0] + j * c_strides[1]]) : 0;
        y[i * n + j] = Activate(activation, static_cast<float>(alpha * sum + beta * bias));
      }
    }
    return OkStatus();
  });
}

KernelResult MakeMatMul(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const MatMulShape s = ReadMatMulShape(call.inputs[0].shape, call.inputs[1].shape);
    const float* a = call.inputs[0].data<float>().data();
    const float* b = call.inputs[1].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    ForEachIndex<2>(
        {s.stack.data(), s.stack_rank}, {s.a_strides, s.b_strides}, [&](const auto& at) {
          for (int64_t i = 0; i < s.m; ++i) {
            for (int64_t j = 0; j < s.n; ++j) {
              double sum = 0;
              for (int64_t p = 0; p < s.k; ++p) {
                sum += static_cast<double>(a[at[0] + i * s.k + p]) * b[at[1] + p * s.n + j];
              }
              *y++ = static_cast<float>(sum);
            }
          }
        });
    return OkStatus();
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "Gemm", .make = MakeGemm},
    {.name = "reference", .op = "FusedGemm", .make = MakeGemm},
    {.name = "reference", .op = "MatMul", .make = MakeMatMul},
};

}  // namespace

std::span<const KernelDef> ReferenceMatMulKernels() { return kKernels; }

}  // namespace trawl::engine
