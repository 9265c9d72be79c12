#pragma once
// Gives a pass that assigns a layout to values the copies that it needs where layouts meet.

#include <map>
#include <string>
#include <vector>

#include "engine/graph.h"

namespace trawl::engine {

/// A layout that values of rank 4 of one type may have, and how they get from and to plain.
struct ImageLayout {
  Layout layout;
  DType dtype;
  const char* reorder;  // the operator that copies from and to Layout::kPlain
  const char* suffix;   // of the names of copies
};

/// Not thread-safe.
class LayoutCopies {
 public:
  /// Appends the nodes that make copies to `nodes`. Both outlive it.
  LayoutCopies(Graph& graph, std::vector<Node>& nodes, ImageLayout target)
      : graph_(graph), nodes_(nodes), target_(target) {}

  /// Of the right type and no constant, of rank 4, only the first dimension the batch's, nothing
  /// empty.
  bool CanHaveLayout(const Value& value) const;

  /// The value itself, or its copy in the other layout, which is made once.
  ValueId InLayout(ValueId id, Layout layout);

  /// How many copies there are.
  int count() const { return static_cast<int>(copies_.size()); }

 private:
  Graph& graph_;
  std::vector<Node>& nodes_;
  const ImageLayout target_;
  std::map<ValueId, ValueId> copies_;
};

}  // namespace trawl::engine
