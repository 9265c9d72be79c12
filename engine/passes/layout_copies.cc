#include "engine/passes/layout_copies.h"

#include <algorithm>
#include <utility>

namespace trawl::engine {

bool LayoutCopies::CanHaveLayout(const Value& value) const {
  if (value.dtype != target_.dtype || value.constant || !value.shape || value.shape->size() != 4) {
    return false;
  }
  return value.shape->at(0) != 0 &&
         std::all_of(value.shape->begin() + 1, value.shape->end(), [](int64_t d) { return d > 0; });
}

ValueId LayoutCopies::InLayout(ValueId id, Layout layout) {
  if (graph_.value(id).layout == layout) return id;
  const auto [it, is_new] = copies_.try_emplace(id, kNoValue);
  if (!is_new) return it->second;
  Value copy;
  copy.name = graph_.value(id).name + (layout == Layout::kPlain ? "/plain" : target_.suffix);
  copy.dtype = target_.dtype;
  copy.shape = graph_.value(id).shape;
  copy.layout = layout;
  Node reorder{copy.name, target_.reorder, {id}, {graph_.AddValue(std::move(copy))}, {}, ""};
  it->second = reorder.outputs[0];
  nodes_.push_back(std::move(reorder));
  return it->second;
}

}  // namespace trawl::engine
