#include <map>

#include "engine/ops.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

const std::map<std::string_view, const OpDef*>& Registry() {
  static const std::map<std::string_view, const OpDef*> registry = [] {
    std::map<std::string_view, const OpDef*> ops;
    for (const auto table :
         {ElementwiseOps(), WindowOps(), MatMulOps(), NormalizeOps(), ReduceOps(), ReshapeOps(),
          MovementOps(), QuantizeOps(), QuantizedOps()}) {
      for (const OpDef& op : table) CHECK(ops.emplace(op.name, &op).second);
    }
    return ops;
  }();
  return registry;
}

}  // namespace

const OpDef* FindOp(std::string_view name) {
  const auto it = Registry().find(name);
  return it == Registry().end() ? nullptr : it->second;
}

std::vector<std::string> SupportedOps() {
  std::vector<std::string> names;
  for (const auto& [name, op] : Registry()) {
    if (!op->internal) names.emplace_back(name);
  }
  return names;
}

}  // namespace trawl::engine
