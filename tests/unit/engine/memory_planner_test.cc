// Goal: no two live buffers overlap, and the arena stays near what must be live at once. Method:
// random lifetimes.
#include "engine/memory_planner.h"

#include <algorithm>
#include <random>

#include "engine/limits.h"
#include "gtest/gtest.h"

namespace trawl::engine {
namespace {

std::vector<BufferLifetime> RandomLifetimes(std::mt19937& random) {
  const auto upto = [&](int limit) {
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  };
  std::vector<BufferLifetime> buffers;
  const int count = 1 + upto(120), steps = 1 + upto(100);
  for (int i = 0; i < count; ++i) {
    const int first = upto(steps);
    // Sizes over many magnitudes, zero among them; mostly short lives, as activations have.
    const auto bytes = static_cast<size_t>(upto(1 << upto(20)));
    buffers.push_back({bytes, first, first + (upto(8) == 0 ? upto(steps) : upto(3))});
  }
  return buffers;
}

/// The bytes that are live at the busiest step.
size_t LiveSetByDefinition(const std::vector<BufferLifetime>& buffers) {
  size_t largest = 0;
  for (const BufferLifetime& at : buffers) {
    size_t live = 0;
    for (const BufferLifetime& buffer : buffers) {
      const bool is_live = buffer.first <= at.first && at.first <= buffer.last;
      live += is_live ? (buffer.bytes + kAlignment - 1) / kAlignment * kAlignment : 0;
    }
    largest = std::max(largest, live);
  }
  return largest;
}

TEST(MemoryPlanner, NoTwoLiveBuffersOverlap) {
  const uint32_t seed = 20240607;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto buffers = RandomLifetimes(random);
    const MemoryPlan plan = PlanMemory(buffers);
    ASSERT_EQ(plan.offsets.size(), buffers.size());
    for (size_t i = 0; i < buffers.size(); ++i) {
      ASSERT_EQ(plan.offsets[i] % kAlignment, 0U);
      ASSERT_LE(plan.offsets[i] + buffers[i].bytes, plan.arena_bytes);
      for (size_t k = 0; k < i; ++k) {
        const bool in_time =
            buffers[i].first <= buffers[k].last && buffers[k].first <= buffers[i].last;
        const bool in_space = plan.offsets[i] < plan.offsets[k] + buffers[k].bytes &&
                              plan.offsets[k] < plan.offsets[i] + buffers[i].bytes;
        ASSERT_FALSE(in_time && in_space) << "round " << round << ": buffers " << i << " and " << k;
      }
    }
  }
}

TEST(MemoryPlanner, TheArenaStaysNearTheLargestLiveSet) {
  const uint32_t seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto buffers = RandomLifetimes(random);
    EXPECT_EQ(LargestLiveSet(buffers), LiveSetByDefinition(buffers)) << "round " << round;
    // Offsets for arbitrary lifetimes may need more than the live set.
    const auto bound = static_cast<double>(LargestLiveSet(buffers));
    EXPECT_LE(static_cast<double>(PlanMemory(buffers).arena_bytes), 1.35 * bound)
        << "round " << round;
  }
}

TEST(MemoryPlanner, AChainNeedsTheTwoLargestNeighbours) {
  const std::vector<BufferLifetime> chain{{6400, 0, 1}, {3200, 1, 2}, {1600, 2, 3}, {640, 3, 4}};
  EXPECT_EQ(PlanMemory(chain).arena_bytes, 9600U);
}

}  // namespace
}  // namespace trawl::engine
