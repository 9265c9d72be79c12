// 3 × 3 convolutions of stride 1 with a quarter of the multiplications: Winograd's F(4×4, 3×3)
// (engine/simd/winograd.h), fused. Some tiles at a time are transformed, multiplied by one panel
// of weights after the other, and transformed back while the products are in the cache.
//
// Members of a team take blocks of tiles of their own while the weights fit the second-level cache,
// and else panels of weights of a common block: then each weight is read by one core only.
#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/caches.h"
#include "engine/kernels/conv_panels.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/winograd_tiles.h"

namespace trawl::engine {
namespace {

using simd::kBlock;
using simd::kWinogradProducts;

/// Rows of zeros above and below the image.
alignas(64) constexpr float kZeros[simd::kWinogradPoints * kBlock] = {};
/// Floats between points beyond what they need, so that the points of a tile do not all fall into
/// one set of the first-level cache.
constexpr int64_t kSkew = kBlock;
/// Tiles over which a weight that comes from beyond the second-level cache should be used: 128
/// bytes for that many cycles.
constexpr int64_t kStreamingTiles = 64;

/// Part `part` of `parts` of each class of tiles of images [image, last_image); several images only
/// as a whole.
struct TileBlock {
  int64_t image = 0, last_image = 0, part = 0, parts = 1;

  std::array<int64_t, 2> Range(const std::vector<WinogradTile>& tiles) const {
    const auto count = static_cast<int64_t>(tiles.size());
    return {count * part / parts, count * (part + 1) / parts};
  }
};

/// How a run is cut.
struct Cut {
  int64_t images = 1, parts = 1;
  int64_t count = 0;     // blocks
  int64_t capacity = 0;  // tiles of the largest block
  bool by_panel = false;
};

class WinogradConv final : public Kernel {
 public:
  WinogradConv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        tiles_(conv_.window.output[1], conv_.window.output[2]),
        blocks_(BlockCount(conv_.inputs)) {
    size_t size = 0;
    int64_t block = 0;
    for (const int blocks :
         SplitIntoPanels(BlockCount(conv_.outputs), microkernels.conv.max_blocks)) {
      panels_.push_back(
          {.block = block, .blocks = blocks, .channels = conv_.inputs, .offset = size});
      size += static_cast<size_t>(kWinogradProducts * conv_.inputs * blocks * kBlock);
      block += blocks;
      panel_blocks_ = std::max(panel_blocks_, blocks);
    }
    weights_ = WeightBuffer(size);
    for (const ConvPanel& panel : panels_) Pack(panel);
    streams_ = static_cast<int64_t>(size * sizeof(float)) > SecondLevelCacheBytes();
  }

  int InPlaceInput() const override { return conv_.has_residual ? 3 : -1; }

  size_t ScratchBytes(int64_t batch, int threads) const override {
    const Cut cut = CutFor(batch, threads);
    const int64_t inputs = cut.by_panel ? 1 : threads;
    const int64_t floats =
        inputs * InputFloats(cut.capacity) + threads * ProductFloats(cut.capacity);
    return static_cast<size_t>(floats) * sizeof(float);
  }

  Status Run(const KernelCall& call) const override {
    const Cut cut = CutFor(call.inputs[0].shape[0], call.team->size());
    auto* scratch = reinterpret_cast<float*>(call.scratch);
    const int64_t input_floats = InputFloats(cut.capacity);
    const int64_t product_floats = ProductFloats(cut.capacity);
    float* products = scratch + (cut.by_panel ? 1 : call.team->size()) * input_floats;
    const auto panels = static_cast<int64_t>(panels_.size());
    if (!cut.by_panel) {
      call.team->ForEach(cut.count, [&](int64_t i, int member) {
        const Work work = {call, cut, BlockAt(call, cut, i), scratch + member * input_floats,
                           products + member * product_floats};
        for (int64_t b = 0; b < blocks_; ++b) TransformInput(work, b);
        for (int64_t p = 0; p < panels; ++p) RunPanel(work, panels_[static_cast<size_t>(p)]);
      });
      return OkStatus();
    }
    for (int64_t i = 0; i < cut.count; ++i) {
      const auto work = [&](int member) {
        return Work{call, cut, BlockAt(call, cut, i), scratch, products + member * product_floats};
      };
      call.team->ForEach(blocks_, [&](int64_t b, int member) { TransformInput(work(member), b); });
      call.team->ForEach(panels, [&](int64_t p, int member) {
        RunPanel(work(member), panels_[static_cast<size_t>(p)]);
      });
    }
    return OkStatus();
  }

 private:
  /// One block of tiles and where a member works on it, both with kSkew behind each point:
  /// `input`: [points][blocks][capacity][kBlock], `products`: [points][panel blocks][capacity]
  /// [kBlock].
  struct Work {
    const KernelCall& call;
    const Cut& cut;
    TileBlock tiles;
    float* input;
    float* products;
  };

  int64_t InputStride(int64_t capacity) const { return blocks_ * capacity * kBlock + kSkew; }
  int64_t InputFloats(int64_t capacity) const { return kWinogradProducts * InputStride(capacity); }
  int64_t ProductStride(int64_t capacity) const {
    return panel_blocks_ * capacity * kBlock + kSkew;
  }
  int64_t ProductFloats(int64_t capacity) const {
    return kWinogradProducts * ProductStride(capacity);
  }

  /// [points][input channels][panel].
  void Pack(const ConvPanel& panel) {
    const auto from = conv_.weights.data<float>();
    const int64_t width = panel.blocks * kBlock;
    alignas(64) float taps[9 * kBlock];
    for (int64_t b = 0; b < panel.blocks; ++b) {
      for (int64_t c = 0; c < conv_.inputs; ++c) {
        for (int64_t lane = 0; lane < kBlock; ++lane) {
          const int64_t output = (panel.block + b) * kBlock + lane;
          const auto at = static_cast<size_t>((output * conv_.inputs + c) * 9);
          for (size_t t = 0; t < 9; ++t) {
            taps[t * kBlock + static_cast<size_t>(lane)] =
                output < conv_.outputs ? from[at + t] : 0;
          }
        }
        microkernels_.winograd.weights(
            taps, weights_.data() + panel.offset + c * width + b * kBlock, conv_.inputs * width);
      }
    }
  }

  Cut CutFor(int64_t batch, int threads) const {
    // Inputs and products of a block of tiles in 60 % of the second-level cache; weights and
    // results pass through the rest.
    const int64_t tile_bytes = kWinogradProducts * (blocks_ + panel_blocks_) * kBlock * 4;
    int64_t most = std::max<int64_t>(1, SecondLevelCacheBytes() * 3 / 5 / tile_bytes);
    if (streams_) most = std::max(most, kStreamingTiles);
    Cut cut;
    cut.by_panel = threads > 1 && streams_;
    if (threads > 1 && !cut.by_panel) {
      most = std::clamp<int64_t>(tiles_.count() * batch / (2 * threads), 1, most);
    }
    cut.images = std::clamp<int64_t>(most / tiles_.count(), 1, batch);
    cut.parts = (tiles_.count() + most - 1) / most;
    cut.count = (batch + cut.images - 1) / cut.images * cut.parts;
    // Each class of tiles may be off an even share by one.
    cut.capacity =
        cut.images * std::min(tiles_.count(), tiles_.count() / cut.parts + WinogradTiles::kClasses);
    return cut;
  }

  static TileBlock BlockAt(const KernelCall& call, const Cut& cut, int64_t i) {
    const int64_t batch = call.inputs[0].shape[0], image = i / cut.parts * cut.images;
    return {image, std::min(batch, image + cut.images), i % cut.parts, cut.parts};
  }

  /// Calls `body(tile, image, slot)` for the tiles of a block, class by class.
  template <class Body>
  void ForEachTile(const TileBlock& block, Body body) const {
    int64_t slot = 0;
    for (int c = 0; c < WinogradTiles::kClasses; ++c) {
      const auto& tiles = tiles_.InClass(c);
      const auto [first, last] = block.Range(tiles);
      for (int64_t n = block.image; n < block.last_image; ++n) {
        for (int64_t t = first; t < last; ++t) body(tiles[static_cast<size_t>(t)], n, slot++);
      }
    }
  }

  void TransformInput(const Work& work, int64_t block) const {
    const Window& w = conv_.window;
    const auto& input = work.call.inputs[0];
    const int64_t height = w.input[1], width = w.input[2];
    const auto* x = reinterpret_cast<const float*>(input.bytes) + block * height * width * kBlock;
    simd::WinogradInput tile;
    tile.point_stride = InputStride(work.cut.capacity);
    float* points = work.input + block * work.cut.capacity * kBlock;
    ForEachTile(work.tiles, [&](const WinogradTile& t, int64_t image, int64_t slot) {
      const float* plane = x + image * input.image_stride;
      const int64_t top = t.rows.start - w.pad_begin[1], left = t.columns.start - w.pad_begin[2];
      for (int64_t y = 0; y < t.rows.size + 2; ++y) {
        const bool inside = top + y >= 0 && top + y < height;
        tile.rows[y] = inside ? plane + ((top + y) * width + left) * kBlock : kZeros;
      }
      tile.first_column = static_cast<int>(std::clamp<int64_t>(-left, 0, t.columns.size + 2));
      tile.last_column = static_cast<int>(std::clamp<int64_t>(width - left, 0, t.columns.size + 2));
      tile.points = points + slot * kBlock;
      microkernels_.winograd.input[t.rows.size == 4][t.columns.size == 4](tile);
    });
  }

  void RunPanel(const Work& work, const ConvPanel& panel) const {
    MultiplyPanel(work, panel);
    for (int b = 0; b < panel.blocks; ++b) TransformOutput(work, panel, b);
  }

  /// The products of all points with one panel.
  void MultiplyPanel(const Work& work, const ConvPanel& panel) const {
    static constexpr ptrdiff_t kOneTap[] = {0};
    std::array<int64_t, WinogradTiles::kClasses + 1> slots{};  // the first of each class
    for (int c = 0; c < WinogradTiles::kClasses; ++c) {
      const auto [first, last] = work.tiles.Range(tiles_.InClass(c));
      const int64_t images = work.tiles.last_image - work.tiles.image;
      slots[static_cast<size_t>(c) + 1] = slots[static_cast<size_t>(c)] + images * (last - first);
    }
    const int64_t capacity = work.cut.capacity;
    simd::ConvRun run;
    run.taps = kOneTap;
    run.tap_count = 1;
    run.channels = conv_.inputs;
    run.block_stride = capacity * kBlock;
    run.weights = weights_.data() + panel.offset;
    run.y_block_stride = capacity * kBlock;
    run.blocks = panel.blocks;
    for (int point = 0; point < kWinogradProducts; ++point) {
      const auto [first, last] = WinogradTiles::ClassesWithPoint(point);
      const int64_t slot = slots[static_cast<size_t>(first)];
      run.pixels = slots[static_cast<size_t>(last)] - slot;
      run.x = work.input + point * InputStride(capacity) + slot * kBlock;
      run.y = work.products + point * ProductStride(capacity) + slot * kBlock;
      microkernels_.conv.blocked(run, {});
      run.weights += conv_.inputs * panel.blocks * kBlock;
    }
  }

  void TransformOutput(const Work& work, const ConvPanel& panel, int b) const {
    const int64_t height = conv_.window.output[1], width = conv_.window.output[2];
    const int64_t plane = (panel.block + b) * height * width * kBlock;
    const auto& output = work.call.outputs[0];
    simd::Epilogue epilogue = conv_.EpilogueFrom(panel.block + b);
    simd::WinogradOutput tile;
    tile.point_stride = ProductStride(work.cut.capacity);
    tile.row_stride = tile.residual_row_stride = width * kBlock;
    ForEachTile(work.tiles, [&](const WinogradTile& t, int64_t image, int64_t slot) {
      const int64_t offset = plane + (t.rows.start * width + t.columns.start) * kBlock;
      tile.points = work.products + (b * work.cut.capacity + slot) * kBlock;
      tile.y = reinterpret_cast<float*>(output.bytes) + image * output.image_stride + offset;
      tile.rows = static_cast<int>(std::min<int64_t>(t.rows.size, height - t.rows.start));
      tile.columns = static_cast<int>(std::min<int64_t>(t.columns.size, width - t.columns.start));
      if (conv_.has_residual) {
        const auto& residual = work.call.inputs[3];
        epilogue.residual =
            reinterpret_cast<const float*>(residual.bytes) + image * residual.image_stride + offset;
      }
      microkernels_.winograd.output[t.rows.size == 4][t.columns.size == 4](tile, epilogue);
      for (int y = 0; y < tile.rows; ++y) {
        conv_.FinishPixels(microkernels_, tile.y + y * tile.row_stride, tile.columns);
      }
    });
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  WinogradTiles tiles_;
  int64_t blocks_;  // of input channels
  std::vector<ConvPanel> panels_;
  int panel_blocks_ = 0;  // of the widest panel
  WeightBuffer weights_;
  bool streams_ = false;  // the weights do not stay in the second-level cache
};

/// Cost of transforming one block of channels of one tile there or back, in multiplications of
/// registers: about 100 cycles of two each.
constexpr double kTransformCost = 200;

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  const Window w = *ConvWindow(node.graph(), node.node());
  if (w.kernel[1] != 3 || w.kernel[2] != 3) return "not 3 × 3";
  if (w.stride[1] != 1 || w.stride[2] != 1) return "strides";
  if (w.dilation[1] != 1 || w.dilation[2] != 1) return "dilations";
  if (node.attributes().Int("group", 1).value_or(1) != 1) return "groups";
  if (node.HasInput(4)) return "sums of integers must stay exact";
  const WinogradTiles tiles(w.output[1], w.output[2]);
  const auto inputs = static_cast<double>(node.shape(1)[1]);
  const auto blocks = static_cast<double>(BlockCount(node.shape(1)[0]));
  const double direct = 9 * static_cast<double>(w.OutputSize()) * inputs * blocks;
  const double winograd =
      static_cast<double>(tiles.products()) * inputs * blocks +
      kTransformCost * static_cast<double>(tiles.count()) * (inputs / kBlock + blocks);
  return winograd < direct ? "" : "a direct convolution costs less";
}

KernelResult MakeWinograd(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return std::make_unique<WinogradConv>(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "f32_conv_winograd_f4x4_3x3",
          .op = op,
          .rank = 30,
          .why_not = WhyNot,
          .make_simd = MakeWinograd,
          .layout = Layout::kBlocked};
}

constexpr KernelDef kKernels[] = {Def("Conv"), Def("FusedConv")};

}  // namespace

std::span<const KernelDef> WinogradConvKernels() { return kKernels; }

}  // namespace trawl::engine
