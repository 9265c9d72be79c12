#pragma once
// All views of all kernel calls at one batch size, made once.

#include <map>
#include <vector>

#include "engine/buffers.h"
#include "engine/tensor_view.h"

namespace trawl::engine {

/// Where the buffers of an assignment lie.
struct Addresses {
  std::byte* shared = nullptr;
  std::vector<size_t> shared_offsets;  // per shared buffer
  /// Per segment: where the threads' own arenas begin in `shared`, how far apart they are, and what
  /// lies where in them.
  struct Local {
    size_t begin = 0, stride = 0;
    std::vector<size_t> offsets;
  };
  std::vector<Local> local;

  std::byte* Of(const BufferId& buffer, size_t thread) const {
    if (buffer.segment == kNoBuffer) return shared + shared_offsets[buffer.index];
    const Local& own = local[buffer.segment];
    return shared + own.begin + thread * own.stride + own.offsets[buffer.index];
  }
};

/// The calls of one segment for a number of images.
struct SegmentCalls {
  struct Call {
    std::vector<ConstTensorView> inputs;
    std::vector<TensorView> outputs;
    std::byte* scratch = nullptr;
  };
  /// An address that depends on which images of the batch a call is for.
  template <class Bytes>
  struct Moving {
    Bytes* address = nullptr;  // in a view of a call
    Bytes base = nullptr;      // of a graph input only during a run
    size_t image_bytes = 0;
    size_t graph_input = kNoBuffer;
  };

  int64_t images = 0;
  std::vector<Call> calls;
  std::vector<Moving<const std::byte*>> reads;
  std::vector<Moving<std::byte*>> writes;

  void MoveTo(int64_t image, std::span<const ConstTensorView> graph_inputs);
};

/// One batch size: its images are cut into parts, of which the last may be smaller.
struct BoundSegment {
  int64_t part = 0;  // images
  int64_t parts = 0;
  bool by_thread = false;                 // threads take parts of their own
  std::vector<SegmentCalls> whole_parts;  // per thread that takes parts
  std::vector<SegmentCalls> last_part;    // the same
};

struct Binding {
  /// Dimensions of all values, by number of images.
  std::map<int64_t, std::vector<std::vector<int64_t>>> shapes;
  std::vector<BoundSegment> segments;
};

/// Views into `compiled`'s constants and the arena at `addresses`, which must stay where they are.
Binding Bind(const CompiledGraph& compiled, const std::vector<Segment>& segments,
             const BufferAssignment& assignment, const Addresses& addresses, int64_t batch,
             int threads);

}  // namespace trawl::engine
