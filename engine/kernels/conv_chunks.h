#pragma once
// How runs of dense convolutions are cut: into chunks of output pixels whose input stays in the
// second-level cache while one panel of weights after the other passes. Members of a team take
// chunks of their own where weights are small against images, and panels of a common chunk where
// they are large: then each weight is read by one core only.

#include <algorithm>
#include <cstdint>

#include "engine/thread_team.h"

namespace trawl::engine {

/// Images [image, last_image), of each the rows [row, last_row); several images only with all rows.
struct ConvChunk {
  int64_t image = 0, last_image = 0, row = 0, last_row = 0;
};

/// The chunks of one run.
struct ConvCut {
  int64_t batch = 1, image_rows = 1;
  int64_t rows = 1;    // per chunk
  int64_t images = 1;  // per chunk; more than one only if `rows` is all rows
  int64_t per_image = 1;
  int64_t count = 0;  // chunks
  bool by_panel = false;

  ConvChunk At(int64_t i) const;
};

/// What holds for all runs of a convolution.
struct ConvChunks {
  int64_t image_rows = 1;
  int64_t rows = 1;            // that a chunk should have at most
  int64_t images = 1;          // at most
  int64_t row_multiple = 1;    // of chunks that are a part of an image
  bool by_panel_pays = false;  // the weights do not stay in the second-level cache

  ConvCut For(int64_t batch, int threads) const;
  /// That a chunk of any run has at most.
  int64_t MostRows() const {
    return std::min(image_rows, (rows + row_multiple - 1) / row_multiple * row_multiple);
  }
};

/// Runs the chunks of `cut`: `prepare(chunk, block, slot)` for each of its images' input blocks,
/// counted through, of which an image has `blocks`; then `run(chunk, panel, slot)` for each of
/// `panels`. `slot`: whose part of the scratch, smaller than the team.
template <class Prepare, class Run>
void RunChunks(ThreadTeam& team, const ConvCut& cut, int64_t blocks, int64_t panels,
               const Prepare& prepare, const Run& run) {
  const auto prepared = [blocks](const ConvChunk& chunk) {
    return blocks * (chunk.last_image - chunk.image);
  };
  if (cut.by_panel) {
    for (int64_t i = 0; i < cut.count; ++i) {
      const ConvChunk chunk = cut.At(i);
      team.ForEach(prepared(chunk), [&](int64_t block, int) { prepare(chunk, block, 0); });
      team.ForEach(panels, [&](int64_t panel, int) { run(chunk, panel, 0); });
    }
    return;
  }
  team.ForEach(cut.count, [&](int64_t i, int member) {
    const ConvChunk chunk = cut.At(i);
    for (int64_t block = 0; block < prepared(chunk); ++block) prepare(chunk, block, member);
    for (int64_t panel = 0; panel < panels; ++panel) run(chunk, panel, member);
  });
}

/// What a chunk may take of the second-level cache: half; weights and results pass through the
/// other.
int64_t ConvChunkBytes();
/// Whether weights of `bytes` are more than stays beside a chunk.
inline bool WeightsPass(size_t bytes) { return static_cast<int64_t>(bytes) > ConvChunkBytes(); }

/// Pixels of whole tiles for every microkernel, roughly: the row_multiple of a pointwise
/// convolution, whose rows are pixels.
inline constexpr int64_t kTileMultiple = 56;

}  // namespace trawl::engine
