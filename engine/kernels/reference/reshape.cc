// Kernels of the operators that change only the shape (the bytes move, or stay where they are), and
// of Shape and Size.
#include <cstring>

#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

KernelResult MakeCopy(const NodeView&) {
  return MakeKernel(
      [](const KernelCall& call) {
        if (call.outputs[0].bytes != call.inputs[0].bytes) {
          std::memcpy(call.outputs[0].bytes, call.inputs[0].bytes, call.inputs[0].byte_size());
        }
        return OkStatus();
      },
      0);
}

KernelResult MakeShape(const NodeView& node) {
  const auto rank = static_cast<int64_t>(node.shape(0).size());
  TRAWL_ASSIGN(int64_t start, node.attributes().Int("start", 0));
  start = start < -rank ? 0 : (start < 0 ? start + rank : start);
  return MakeKernel([start](const KernelCall& call) {
    const auto y = call.outputs[0].data<int64_t>();
    for (size_t i = 0; i < y.size(); ++i)
      y[i] = call.inputs[0].shape[static_cast<size_t>(start) + i];
    return OkStatus();
  });
}

KernelResult MakeSize(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    call.outputs[0].data<int64_t>()[0] = call.inputs[0].size();
    return OkStatus();
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "Identity", .make = MakeCopy},
    {.name = "reference", .op = "Reshape", .make = MakeCopy},
    {.name = "reference", .op = "Flatten", .make = MakeCopy},
    {.name = "reference", .op = "Squeeze", .make = MakeCopy},
    {.name = "reference", .op = "Unsqueeze", .make = MakeCopy},
    {.name = "reference", .op = "Shape", .make = MakeShape},
    {.name = "reference", .op = "Size", .make = MakeSize},
};

}  // namespace

std::span<const KernelDef> ReferenceReshapeKernels() { return kKernels; }

}  // namespace trawl::engine
