#include "engine/loaders/mxnet_operators.h"

#include <map>

#include "engine/loaders/mxnet_tables.h"

namespace trawl::engine {
namespace {

const std::map<std::string_view, const MxnetOperator*>& Registry() {
  static const std::map<std::string_view, const MxnetOperator*> registry = [] {
    std::map<std::string_view, const MxnetOperator*> operators;
    for (const auto table : {MxnetLayers(), MxnetArithmetic(), MxnetMovement()}) {
      for (const MxnetOperator& op : table) CHECK(operators.emplace(op.name, &op).second);
    }
    return operators;
  }();
  return registry;
}

}  // namespace

const MxnetOperator* FindMxnetOperator(std::string_view name) {
  const auto found = Registry().find(name);
  return found == Registry().end() ? nullptr : found->second;
}

std::vector<std::string_view> SupportedMxnetOperators() {
  std::vector<std::string_view> names;
  for (const auto& [name, op] : Registry()) names.push_back(name);
  return names;
}

}  // namespace trawl::engine
