#include <algorithm>
#include <map>
#include <vector>

#include "engine/kernels/kernel.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using Registry = std::map<std::string_view, std::vector<const KernelDef*>>;

/// By operator, best first.
const Registry& Kernels() {
  static const Registry registry = [] {
    Registry kernels;
    for (const auto table : {ReferenceElementwiseKernels(),
                             ReferenceWindowKernels(),
                             ReferenceMatMulKernels(),
                             ReferenceNormalizeKernels(),
                             ReferenceReduceKernels(),
                             ReferenceReshapeKernels(),
                             ReferenceMovementKernels(),
                             ReferenceQuantizeKernels(),
                             ReferenceQuantizedKernels(),
                             ConvKernels(),
                             DepthwiseKernels(),
                             MatMulKernels(),
                             PackedGemmKernels(),
                             PoolKernels(),
                             ElementwiseKernels(),
                             MovementKernels(),
                             SoftmaxKernels(),
                             NormalizeKernels(),
                             ReorderKernels(),
                             DirectConvKernels(),
                             StackedConvKernels(),
                             Bf16ConvKernels(),
                             Bf16GemmKernels(),
                             PlanarConvKernels(),
                             WinogradConvKernels(),
                             BlockedDepthwiseKernels(),
                             BlockedPoolKernels(),
                             BlockedElementwiseKernels(),
                             BlockedConcatKernels(),
                             BlockedMovementKernels(),
                             QuantizedConvKernels(),
                             InterleavedKernels()}) {
      for (const KernelDef& def : table) kernels[def.op].push_back(&def);
    }
    for (auto& [op, defs] : kernels) {
      std::stable_sort(defs.begin(), defs.end(),
                       [](const KernelDef* a, const KernelDef* b) { return a->rank > b->rank; });
    }
    return kernels;
  }();
  return registry;
}

std::string WhyNot(const KernelDef& def, const NodeView& node) {
  if (def.interleaved_input &&
      node.graph().value(node.node().inputs[0]).layout != Layout::kInterleaved) {
    return "its input is not interleaved";
  }
  return def.why_not == nullptr ? "" : def.why_not(node);
}

}  // namespace

Result<BoundKernel> BindKernel(const NodeView& node, const simd::Microkernels* microkernels,
                               bool bf16) {
  BoundKernel bound;
  const auto it = Kernels().find(node.node().op);
  if (it == Kernels().end()) return Error(Code::kUnimplemented, "no kernel serves the operator");
  const Layout layout =
      node.WantsOutput(0) ? node.graph().value(node.node().outputs[0]).layout : Layout::kPlain;
  for (const KernelDef* def : it->second) {
    if ((microkernels == nullptr && def->rank > 0) || def->layout != layout) continue;
    if (def->needs_int8 && microkernels->int8 == nullptr) continue;
    if (def->needs_bf16 && (!bf16 || microkernels->bf16 == nullptr)) continue;
    if (const std::string why_not = WhyNot(*def, node); !why_not.empty()) {
      if (!bound.reason.empty()) bound.reason += "; ";
      bound.reason.append(def->name).append(": ").append(why_not);
      continue;
    }
    bound.name = def->name;
    if (def->make_simd != nullptr) {
      TRAWL_ASSIGN(bound.kernel, def->make_simd(node, *microkernels));
      bound.name.append("__").append(simd::ToString(microkernels->isa));
    } else {
      TRAWL_ASSIGN(bound.kernel, def->make(node));
    }
    return bound;
  }
  return Error(Code::kUnimplemented, "no kernel serves the node ({})", bound.reason);
}

const KernelDef* FindKernel(const NodeView& node, Layout layout) {
  const auto it = Kernels().find(node.node().op);
  if (it == Kernels().end()) return nullptr;
  for (const KernelDef* def : it->second) {
    if (def->layout == layout && !def->needs_bf16 && WhyNot(*def, node).empty()) return def;
  }
  return nullptr;
}

}  // namespace trawl::engine
