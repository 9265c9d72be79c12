#include "engine/memory_planner.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

size_t Align(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

MemoryPlan PlanMemory(std::span<const BufferLifetime> buffers) {
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  std::vector<size_t> by_size(buffers.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<size_t> placed;  // sorted by offset
  for (const size_t i : by_size) {
    const BufferLifetime& buffer = buffers[i];
    const size_t bytes = Align(buffer.bytes);
    if (bytes == 0) continue;
    size_t end = 0;  // of the placed buffers seen so far that live at the same time
    std::optional<size_t> best;
    size_t best_gap = 0;
    for (const size_t other : placed) {
      if (buffers[other].last < buffer.first || buffer.last < buffers[other].first) continue;
      const size_t begin = plan.offsets[other];
      if (begin > end && begin - end >= bytes && (!best || begin - end < best_gap)) {
        best = end;
        best_gap = begin - end;
      }
      end = std::max(end, begin + Align(buffers[other].bytes));
    }
    plan.offsets[i] = best.value_or(end);
    plan.arena_bytes = std::max(plan.arena_bytes, plan.offsets[i] + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), i,
                         [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
        i);
  }
  return plan;
}

}  // namespace trawl::engine
