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
    for (const auto table :
         {ReferenceElementwiseKernels(), ReferenceWindowKernels(), ReferenceMatMulKernels(),
          ReferenceNormalizeKernels(), ReferenceReduceKernels(), ReferenceReshapeKernels(),
          ReferenceMovementKernels(), ReferenceQuantizeKernels(), ConvKernels(), DepthwiseKernels(),
          MatMulKernels(), PoolKernels(), ElementwiseKernels()}) {
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

}  // namespace

Result<BoundKernel> BindKernel(const NodeView& node, bool reference_only) {
  BoundKernel bound;
  const auto it = Kernels().find(node.node().op);
  if (it == Kernels().end()) return Error(Code::kUnimplemented, "no kernel serves the operator");
  for (const KernelDef* def : it->second) {
    if (reference_only && def->rank > 0) continue;
    const std::string why_not = def->why_not == nullptr ? "" : def->why_not(node);
    if (!why_not.empty()) {
      if (!bound.reason.empty()) bound.reason += "; ";
      bound.reason.append(def->name).append(": ").append(why_not);
      continue;
    }
    TRAWL_ASSIGN(bound.kernel, def->make(node));
    bound.name = def->name;
    return bound;
  }
  return Error(Code::kUnimplemented, "no kernel serves the node ({})", bound.reason);
}

}  // namespace trawl::engine
