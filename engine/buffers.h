#pragma once
// Which buffer holds each value of an execution, and for how long: what the memory planner then
// lays out.

#include <cstdint>
#include <vector>

#include "engine/compiled_graph.h"
#include "engine/memory_planner.h"
#include "engine/segments.h"

namespace trawl::engine {

inline constexpr size_t kNoBuffer = SIZE_MAX;

/// A buffer of one of the lists of BufferAssignment.
struct BufferId {
  /// The segment whose own list it is in; kNoBuffer: the list that all share.
  size_t segment = kNoBuffer;
  size_t index = kNoBuffer;  // kNoBuffer: none
  bool operator==(const BufferId&) const = default;
};

/// Where a value lies; nowhere if it is a graph input or a constant.
struct Place {
  BufferId buffer;
  size_t offset = 0;         // bytes
  int64_t image_stride = 0;  // TensorView::image_stride
  /// Bytes from one image to the next in a buffer that holds the whole batch; 0 in one that holds
  /// only the images that a segment works on.
  size_t image_bytes = 0;
};

/// Lifetimes are in node indices.
struct BufferAssignment {
  std::vector<BufferLifetime> shared;
  /// Per segment: what is used up inside one that works image by image. Each thread has its own,
  /// since threads are at different nodes at a time.
  std::vector<std::vector<BufferLifetime>> local;
  std::vector<Place> of_value;
  std::vector<BufferId> scratch;       // per node: of one thread, or of all in a whole batch
  std::vector<BufferId> team_scratch;  // per node: of all threads together
};

/// Values that die give their buffers to outputs that can be computed in place. Inputs of a Concat
/// along the channels are laid into its output where they begin at a block.
BufferAssignment AssignBuffers(const CompiledGraph& compiled, const std::vector<Segment>& segments,
                               int64_t max_batch, int threads);

}  // namespace trawl::engine
