#include "engine/memory_planner.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <numeric>
#include <optional>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

size_t Align(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Places the buffers in this order, each into the smallest gap between the already placed ones
/// that it overlaps in time, or behind them.
MemoryPlan PlaceInOrder(std::span<const BufferLifetime> buffers, std::span<const size_t> order) {
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  std::vector<size_t> placed;  // sorted by offset
  for (const size_t i : order) {
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

/// For each buffer the largest live set at a time at which it lives.
std::vector<size_t> Pressures(std::span<const BufferLifetime> buffers) {
  std::vector<size_t> pressures(buffers.size(), 0);
  for (const BufferLifetime& at : buffers) {
    size_t live = 0;
    const auto lives = [&](const BufferLifetime& b) {
      return b.first <= at.first && at.first <= b.last;
    };
    for (const BufferLifetime& b : buffers) live += lives(b) ? Align(b.bytes) : 0;
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (lives(buffers[i])) pressures[i] = std::max(pressures[i], live);
    }
  }
  return pressures;
}

}  // namespace

MemoryPlan PlanMemory(std::span<const BufferLifetime> buffers) {
  const size_t least = LargestLiveSet(buffers);
  const std::vector<size_t> pressures = Pressures(buffers);
  const auto steps = [&](size_t i) {
    return static_cast<size_t>(buffers[i].last - buffers[i].first + 1);
  };
  using Key = std::array<size_t, 2>;
  const std::function<Key(size_t)> keys[] = {
      [&](size_t i) {
        return Key{buffers[i].bytes, 0};
      },
      [&](size_t i) {
        return Key{pressures[i], buffers[i].bytes};
      },
      [&](size_t i) {
        return Key{buffers[i].bytes * steps(i), 0};
      },
      [&](size_t i) {
        return Key{steps(i), buffers[i].bytes};
      },
  };
  std::vector<size_t> order(buffers.size());
  std::optional<MemoryPlan> best;
  for (const auto& key : keys) {
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key(a) > key(b); });
    MemoryPlan plan = PlaceInOrder(buffers, order);
    if (!best || plan.arena_bytes < best->arena_bytes) best = std::move(plan);
    if (best->arena_bytes <= least) break;
  }
  return *std::move(best);
}

size_t LargestLiveSet(std::span<const BufferLifetime> buffers) {
  std::map<int, size_t> begins, ends;  // bytes that begin at a step, and that end before one
  for (const BufferLifetime& buffer : buffers) {
    begins[buffer.first] += Align(buffer.bytes);
    ends[buffer.last + 1] += Align(buffer.bytes);
  }
  size_t live = 0, largest = 0;
  auto end = ends.begin();
  for (const auto& [step, bytes] : begins) {
    for (; end != ends.end() && end->first <= step; ++end) live -= end->second;
    live += bytes;
    largest = std::max(largest, live);
  }
  return largest;
}

}  // namespace trawl::engine
