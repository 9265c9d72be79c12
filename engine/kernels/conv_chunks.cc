#include "engine/kernels/conv_chunks.h"

#include "engine/kernels/caches.h"

namespace trawl::engine {
namespace {

/// Chunks per member of a team, so that one that loses its core leaves work to the others.
constexpr int64_t kChunksPerMember = 4;

}  // namespace

int64_t ConvChunkBytes() { return SecondLevelCacheBytes() / 2; }

ConvCut ConvChunks::For(int64_t batch, int threads) const {
  ConvCut cut{.batch = batch, .image_rows = image_rows, .rows = rows, .images = images};
  const int64_t wanted = threads == 1 ? 1 : threads * kChunksPerMember;
  const int64_t most = (batch * image_rows + wanted - 1) / wanted;
  cut.by_panel = threads > 1 && by_panel_pays;
  if (threads > 1 && !cut.by_panel) {
    cut.images = 1;
    cut.rows = std::min(cut.rows, std::max<int64_t>(most, 1));
  }
  cut.per_image = (image_rows + cut.rows - 1) / cut.rows;
  cut.rows = (image_rows + cut.per_image - 1) / cut.per_image;  // even chunks
  if (cut.per_image > 1) {
    cut.rows = (cut.rows + row_multiple - 1) / row_multiple * row_multiple;
    cut.per_image = (image_rows + cut.rows - 1) / cut.rows;
  }
  cut.count = (batch + cut.images - 1) / cut.images * cut.per_image;
  return cut;
}

ConvChunk ConvCut::At(int64_t i) const {
  const int64_t image = i / per_image * images, row = i % per_image * rows;
  return {image, std::min(batch, image + images), row, std::min(image_rows, row + rows)};
}

}  // namespace trawl::engine
