// f32 arithmetic on plain values. Binary: dimensions that broadcast alike are merged, and the
// innermost becomes one vectorised loop. Activations: runs of neighbours, shared out to the team.
#include <algorithm>
#include <array>

#include "engine/kernels/activation.h"
#include "engine/kernels/tables.h"
#include "engine/strided.h"

namespace trawl::engine {
namespace {

template <class Function>
void Loop(const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t count,
          Function function) {
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < count; ++i) y[i] = function(a[i], b[i]);
  } else if (b_step == 0) {
    const float scalar = *b;
    for (int64_t i = 0; i < count; ++i) y[i] = function(a[i * a_step], scalar);
  } else {
    const float scalar = *a;
    for (int64_t i = 0; i < count; ++i) y[i] = function(scalar, b[i * b_step]);
  }
}

template <class Function>
KernelResult Binary(const NodeView& node, Function function) {
  const int in_place = node.shape(0) == node.output_shape(0) ? 0 : -1;
  return MakeKernel(
      [function](const KernelCall& call) {
        const float* a = call.inputs[0].data<float>().data();
        const float* b = call.inputs[1].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        if (call.outputs[0].size() == 0) return OkStatus();
        const auto shape = call.outputs[0].shape;
        const auto dims = Merge<2>(shape, {BroadcastStrides(call.inputs[0].shape, shape),
                                           BroadcastStrides(call.inputs[1].shape, shape)});
        if (dims.rank == 0) {
          *y = function(*a, *b);
          return OkStatus();
        }
        const size_t inner = dims.rank - 1;
        ForEachIndex<2>({dims.shape.data(), inner}, dims.strides, [&](const auto& at) {
          Loop(a + at[0], dims.strides[0][inner], b + at[1], dims.strides[1][inner], y,
               dims.shape[inner], function);
          y += dims.shape[inner];
        });
        return OkStatus();
      },
      in_place);
}

KernelResult MakeAdd(const NodeView& node) {
  return Binary(node, [](float a, float b) { return a + b; });
}
KernelResult MakeSub(const NodeView& node) {
  return Binary(node, [](float a, float b) { return a - b; });
}
KernelResult MakeMul(const NodeView& node) {
  return Binary(node, [](float a, float b) { return a * b; });
}
KernelResult MakeDiv(const NodeView& node) {
  return Binary(node, [](float a, float b) { return a / b; });
}
KernelResult MakePRelu(const NodeView& node) {
  return Binary(node, [](float x, float slope) { return x < 0 ? slope * x : x; });
}

std::string WhyNot(const NodeView& node) { return node.dtype(0) == DType::kF32 ? "" : "not f32"; }

KernelResult MakeActivation(const NodeView& node, const simd::Microkernels& microkernels) {
  return MakeKernel(
      [activation = *AsActivation(node.graph(), node.node()),
       activate = microkernels.elementwise.activate](const KernelCall& call) {
        constexpr int64_t kRun = 1024;  // blocks: 64 KiB, so that a task is worth handing out
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        const int64_t size = call.outputs[0].size(), blocks = size / simd::kBlock;
        call.team->ForEach((blocks + kRun - 1) / kRun, [&](int64_t run, int) {
          const int64_t first = run * kRun, offset = first * simd::kBlock;
          activate(activation, x + offset, y + offset, std::min(kRun, blocks - first));
        });
        const int64_t done = blocks * simd::kBlock;
        alignas(64) std::array<float, simd::kBlock> rest{};
        std::copy(x + done, x + size, rest.begin());
        activate(activation, rest.data(), rest.data(), 1);
        std::copy_n(rest.begin(), size - done, y + done);
        return OkStatus();
      },
      0);
}

std::string WhyNotActivation(const NodeView& node) {
  if (node.dtype(0) != DType::kF32) return "not f32";
  return AsActivation(node.graph(), node.node()) ? "" : "its bounds are computed";
}

constexpr KernelDef Runs(std::string_view name, std::string_view op) {
  return {
      .name = name, .op = op, .rank = 1, .why_not = WhyNotActivation, .make_simd = MakeActivation};
}

constexpr KernelDef kKernels[] = {
    Runs("f32_relu_runs", "Relu"),
    Runs("f32_clip_runs", "Clip"),
    Runs("f32_leakyrelu_runs", "LeakyRelu"),
    Runs("f32_sigmoid_runs", "Sigmoid"),
    Runs("f32_tanh_runs", "Tanh"),
    Runs("f32_hardsigmoid_runs", "HardSigmoid"),
    Runs("f32_hardswish_runs", "HardSwish"),
    Runs("f32_swish_runs", "Swish"),
    Runs("f32_gelu_runs", "Gelu"),
    {.name = "f32_add_rows", .op = "Add", .rank = 1, .why_not = WhyNot, .make = MakeAdd},
    {.name = "f32_sub_rows", .op = "Sub", .rank = 1, .why_not = WhyNot, .make = MakeSub},
    {.name = "f32_mul_rows", .op = "Mul", .rank = 1, .why_not = WhyNot, .make = MakeMul},
    {.name = "f32_div_rows", .op = "Div", .rank = 1, .why_not = WhyNot, .make = MakeDiv},
    {.name = "f32_prelu_rows", .op = "PRelu", .rank = 1, .why_not = WhyNot, .make = MakePRelu},
};

}  // namespace

std::span<const KernelDef> ElementwiseKernels() { return kKernels; }

}  // namespace trawl::engine
