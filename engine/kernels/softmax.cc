// Softmax over neighbouring numbers: the scores of a classifier.
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

/// Elements of one softmax: those from the axis on.
int64_t CountFrom(std::span<const int64_t> shape, int64_t axis) {
  int64_t count = 1;
  for (size_t i = static_cast<size_t>(axis); i < shape.size(); ++i) count *= shape[i];
  return count;
}

Result<int64_t> Axis(const NodeView& node) {
  TRAWL_ASSIGN(const int64_t axis, node.attributes().Int("axis", -1));
  return axis < 0 ? axis + static_cast<int64_t>(node.shape(0).size()) : axis;
}

std::string WhyNot(const NodeView& node) {
  const auto axis = Axis(node);
  if (!axis) return axis.error().message();
  if (node.dtype(0) != DType::kF32) return "not f32";
  const auto flatten = node.attributes().Int("flatten", 0);
  const bool flattens = flatten.has_value() && *flatten != 0;
  return flattens || CountFrom(node.shape(0), *axis + 1) == 1 ? "" : "its numbers lie apart";
}

KernelResult MakeSoftmax(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const int64_t axis, Axis(node));
  return MakeKernel(
      [axis, softmax = microkernels.elementwise.softmax](const KernelCall& call) {
        const int64_t count = CountFrom(call.inputs[0].shape, axis);
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        const auto size = static_cast<int64_t>(call.outputs[0].data<float>().size());
        if (size == 0) return OkStatus();
        call.team->ForEach(size / count, [&](int64_t row, int) {
          softmax(x + row * count, y + row * count, count);
        });
        return OkStatus();
      },
      0);
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_softmax_rows",
     .op = "Softmax",
     .rank = 1,
     .why_not = WhyNot,
     .make_simd = MakeSoftmax},
};

}  // namespace

std::span<const KernelDef> SoftmaxKernels() { return kKernels; }

}  // namespace trawl::engine
