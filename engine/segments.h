#pragma once
// Depth-first runs: which nodes in a row work on a few images at a time, from the first of them to
// the last, before the next few images begin.

#include <cstdint>
#include <vector>

#include "engine/compiled_graph.h"

namespace trawl::engine {

/// Nodes [first, last) of a graph.
struct Segment {
  size_t first = 0, last = 0;
  /// Images at a time; 0: the whole batch, whatever it is.
  int64_t images = 0;
};

/// Sizes of the caches, in bytes, that one thread has to itself.
struct CacheSizes {
  int64_t second_level = int64_t{1} << 20;
  int64_t third_level = int64_t{16} << 20;
  /// Of this machine; the values above where it does not tell.
  static CacheSizes OfThisMachine();
};

/// Cuts the nodes into segments for batches of up to `max_batch`.
///
/// A network's head has large activations and few weights: image after image, activations stay in
/// the second-level cache. Its tail has small activations and many weights: they are read once for
/// the whole batch. The cut is the one that moves the fewest bytes past the second-level cache, by
/// dynamic programming over the nodes. What a pass over n bytes moves past a cache of c bytes is
/// taken as n · max(0, 1 - c / n), and bytes past the third level count five times, which is about
/// what memory costs more than that cache (237 against 50 GB/s on Zen 5).
///
/// Only nodes on blocked values work image by image, and only where the batch is the first
/// dimension of all their values; the others get segments with images = 0.
std::vector<Segment> PlanSegments(const CompiledGraph& compiled, int64_t max_batch,
                                  const CacheSizes& caches);

}  // namespace trawl::engine
