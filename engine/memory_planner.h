#pragma once
// The memory planner: lifetimes of buffers to offsets in one arena.

#include <cstddef>
#include <span>
#include <vector>

namespace trawl::engine {

/// A buffer that is live from step `first` to step `last`, both included.
struct BufferLifetime {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // one per buffer, multiples of kAlignment
  size_t arena_bytes = 0;
};

/// Buffers whose lifetimes overlap get disjoint ranges. Greedy: one buffer after the other, each
/// into the smallest gap between the already placed ones that it overlaps in time, or behind them.
/// The best of four orders is taken: by size ("Greedy by Size for Offset Calculation", Pisarchyk
/// and Lee, Efficient Memory Management for Deep Neural Net Inference, arXiv:2001.03288), by the
/// largest live set that a buffer is part of ("Greedy by Breadth", the same), by size times
/// lifetime, and by lifetime. O(n²) for n buffers.
MemoryPlan PlanMemory(std::span<const BufferLifetime> buffers);

/// The bytes of the largest set of buffers that are live at one time: no plan takes less.
size_t LargestLiveSet(std::span<const BufferLifetime> buffers);

}  // namespace trawl::engine
