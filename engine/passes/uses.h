#pragma once
// Who makes and who reads a value: the index that passes rewrite by.

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/graph.h"

namespace trawl::engine {

class Uses {
 public:
  explicit Uses(const Graph& graph)
      : producers_(graph.value_count()),
        readers_(graph.value_count()),
        is_output_(graph.value_count()) {
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      for (const ValueId id : graph.nodes()[i].outputs) {
        if (id != kNoValue) producers_[At(id)] = i;
      }
      for (const ValueId id : graph.nodes()[i].inputs) {
        if (id != kNoValue) readers_[At(id)].push_back(i);
      }
    }
    for (const ValueId id : graph.outputs()) is_output_[At(id)] = true;
  }

  /// The index of the node that makes `id`; nullopt for inputs and constants.
  std::optional<size_t> Producer(ValueId id) const { return producers_[At(id)]; }
  /// The only reader of `id`, if there is exactly one read and `id` is no output of the graph.
  std::optional<size_t> OnlyReader(ValueId id) const {
    const auto& readers = readers_[At(id)];
    if (readers.size() != 1 || is_output_[At(id)]) return std::nullopt;
    return readers[0];
  }

  /// Notes that node `from`, which reads `id`, is now node `to`.
  void MoveReader(ValueId id, size_t from, size_t to) {
    if (id != kNoValue) std::replace(readers_[At(id)].begin(), readers_[At(id)].end(), from, to);
  }

 private:
  static size_t At(ValueId id) { return static_cast<size_t>(id); }
  std::vector<std::optional<size_t>> producers_;
  std::vector<std::vector<size_t>> readers_;
  std::vector<bool> is_output_;
};

/// Removes the flagged nodes, keeping the others' order.
inline void RemoveNodes(Graph& graph, const std::vector<bool>& dead) {
  size_t kept = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    if (dead[i]) continue;
    if (kept != i) graph.nodes()[kept] = std::move(graph.nodes()[i]);
    ++kept;
  }
  graph.nodes().resize(kept);
}

}  // namespace trawl::engine
