// 3 × 3 convolutions with a quarter of the multiplications, of stride 2 with 9 sixteenths:
// Winograd's F(4×4, 3×3) and its relatives (engine/simd/winograd.h), fused. Some tiles at a time
// are transformed, multiplied by one panel of weights after the other, and transformed back while
// the products are in the cache.
//
// Members of a team take blocks of tiles of their own while the weights fit the second-level cache,
// and else panels of weights of a common block: then each weight is read by one core only.
//
// Small batches of small images with many channels take tiles of 2 × 2, which read fewer weights,
// or are left to f32_conv_direct (winograd_cost.h).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/blocked.h"
#include "engine/kernels/caches.h"
#include "engine/kernels/conv_direct.h"
#include "engine/kernels/conv_panels.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/winograd_cost.h"
#include "engine/kernels/winograd_tiles.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// Rows of zeros above and below the image.
alignas(64) constexpr float kZeros[simd::kMaxWinogradPixels * kBlock] = {};
/// Floats between points beyond what they need, so that the points of a tile do not all fall into
/// one set of the first-level cache.
constexpr int64_t kSkew = kBlock;
/// Tiles over which a weight that comes from beyond the second-level cache should be used: 128
/// bytes for that many cycles.
constexpr int64_t kStreamingTiles = 64;

/// Products of a group of panels take one part in so many of the second-level cache.
constexpr int64_t kGroupShare = 2;

/// Part `part` of `parts` of each class of tiles of images [image, last_image); several images only
/// as a whole.
struct TileBlock {
  int64_t image = 0, last_image = 0, part = 0, parts = 1;

  std::array<int64_t, 2> Range(const std::vector<WinogradTile>& tiles) const {
    const auto count = static_cast<int64_t>(tiles.size());
    return {count * part / parts, count * (part + 1) / parts};
  }
};

/// A point of the tiles. One that odd rows, or odd columns, have not has two or one of four phases.
struct Point {
  int index = 0;  // points are counted row by row
  std::array<ptrdiff_t, 4> phases{};
  int phase_count = 0;
  int64_t depth = 0;           // rows of weights of the points before
  std::array<int, 2> classes;  // of tiles that have it: first and behind the last
};

/// All points of a scheme.
std::vector<Point> PointsOf(const simd::WinogradScheme& scheme, int64_t inputs) {
  std::vector<Point> points;
  int64_t depth = 0;
  for (int row = 0; row < scheme.points(); ++row) {
    for (int column = 0; column < scheme.points(); ++column) {
      Point point{.index = row * scheme.points() + column,
                  .depth = depth,
                  .classes = WinogradTiles::ClassesWithPoint(scheme, row, column)};
      for (int phase = 0; phase < scheme.stride * scheme.stride; ++phase) {
        if (phase >= 2 && row == scheme.four_only()) continue;
        if (phase % 2 == 1 && column == scheme.four_only()) continue;
        point.phases[static_cast<size_t>(point.phase_count++)] = phase;
      }
      depth += inputs * point.phase_count;
      points.push_back(point);
    }
  }
  return points;
}

/// How an image is cut, and the points of its tiles.
struct Tiling {
  WinogradTiles tiles;
  std::vector<Point> points;
};

/// How a run is cut.
struct Cut {
  const Tiling* tiling = nullptr;
  int64_t images = 1, parts = 1;
  int64_t count = 0;     // blocks
  int64_t capacity = 0;  // tiles of the largest block
  int64_t group = 1;     // panels whose products are made, and transformed back, together
  bool by_panel = false;
};

class WinogradConv final : public Kernel {
 public:
  WinogradConv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        scheme_{static_cast<int>(conv_.window.stride[1])},
        winograd_(scheme_.stride == 1 ? microkernels.winograd : microkernels.winograd_stride2),
        points_(scheme_.points() * scheme_.points()),
        phases_(scheme_.stride * scheme_.stride),
        of_4_{{scheme_, conv_.window.output[1], conv_.window.output[2]},
              PointsOf(scheme_, conv_.inputs)},
        of_2_{WinogradTiles::Of2(conv_.window.output[1], conv_.window.output[2]), of_4_.points},
        blocks_(BlockCount(conv_.inputs)) {
    std::erase_if(of_2_.points,
                  [](const Point& point) { return point.classes[1] != WinogradTiles::kClasses; });
    size_t size = 0;
    int64_t block = 0;
    for (const int blocks :
         SplitIntoPanels(BlockCount(conv_.outputs), microkernels.conv.max_blocks)) {
      panels_.push_back(
          {.block = block, .blocks = blocks, .channels = conv_.inputs, .offset = size});
      size += static_cast<size_t>(PanelDepth() * blocks * kBlock);
      block += blocks;
      panel_blocks_ = std::max(panel_blocks_, blocks);
    }
    weights_ = WeightBuffer(size);
    for (const ConvPanel& panel : panels_) Pack(panel);
    const WinogradCost cost(conv_.window, conv_.inputs, conv_.outputs);
    smallest_ = cost.SmallestBatches().value_or(WinogradCost::Batches{});
    if (smallest_.of_2 > 1) direct_ = MakeDirectConv(conv_, microkernels);
    conv_.weights = {};
    streams_ = static_cast<int64_t>(size * sizeof(float)) > SecondLevelCacheBytes();
  }

  int InPlaceInput() const override { return conv_.has_residual ? 3 : -1; }
  bool PacksInput(size_t i) const override { return ConvNode::Packs(i); }
  size_t PackedBytes() const override { return weights_.bytes(); }
  std::string Remark() const override {
    std::string remark;
    if (direct_) remark = fmt::format("f32_conv_direct for batches below {}", smallest_.of_2);
    if (smallest_.of_2 < smallest_.of_4) {
      remark +=
          fmt::format("{}tiles of 2 × 2 for batches below {}", direct_ ? ", " : "", smallest_.of_4);
    }
    return remark;
  }

  size_t ScratchBytes(int64_t batch, int threads) const override {
    size_t bytes =
        direct_ ? direct_->ScratchBytes(std::min(batch, smallest_.of_2 - 1), threads) : 0;
    // The largest batch of each kind.
    if (batch >= smallest_.of_2 && smallest_.of_2 < smallest_.of_4) {
      bytes = std::max(bytes, OwnScratchBytes(std::min(batch, smallest_.of_4 - 1), threads));
    }
    return batch < smallest_.of_4 ? bytes : std::max(bytes, OwnScratchBytes(batch, threads));
  }

  Status Run(const KernelCall& call) const override {
    if (call.inputs[0].shape[0] < smallest_.of_2) return direct_->Run(call);
    RunTiles(call);
    return OkStatus();
  }

 private:
  size_t OwnScratchBytes(int64_t batch, int threads) const {
    const Cut cut = CutFor(batch, threads);
    const int64_t inputs = cut.by_panel ? 1 : threads;
    // A smaller batch may have larger groups, but within GroupFor's bound.
    const int64_t panel = PanelBytes(cut) / 4;
    const int64_t grouped =
        streams_ ? std::min(SecondLevelCacheBytes() / kGroupShare / 4, Panels() * panel) : 0;
    const int64_t products = std::max(panel, grouped) + points_ * kSkew;
    return static_cast<size_t>(inputs * InputFloats(cut) + threads * products) * sizeof(float);
  }

  void RunTiles(const KernelCall& call) const {
    const Cut cut = CutFor(call.inputs[0].shape[0], call.team->size());
    auto* scratch = reinterpret_cast<float*>(call.scratch);
    const int64_t input_floats = InputFloats(cut);
    const int64_t product_floats = ProductFloats(cut);
    float* products = scratch + (cut.by_panel ? 1 : call.team->size()) * input_floats;
    const int64_t groups = (Panels() + cut.group - 1) / cut.group;
    if (!cut.by_panel) {
      call.team->ForEach(cut.count, [&](int64_t i, int member) {
        const Work work = {call, cut, BlockAt(call, cut, i), scratch + member * input_floats,
                           products + member * product_floats};
        for (int64_t b = 0; b < blocks_; ++b) TransformInput(work, b);
        for (int64_t g = 0; g < groups; ++g) RunGroup(work, g);
      });
      return;
    }
    for (int64_t i = 0; i < cut.count; ++i) {
      const auto work = [&](int member) {
        return Work{call, cut, BlockAt(call, cut, i), scratch, products + member * product_floats};
      };
      call.team->ForEach(blocks_, [&](int64_t b, int member) { TransformInput(work(member), b); });
      call.team->ForEach(groups, [&](int64_t g, int member) { RunGroup(work(member), g); });
    }
  }

  /// One block of tiles and where a member works on it, both with kSkew behind each point:
  /// `input`: [points][blocks][phases][capacity][kBlock],
  /// `products`: [points][panel blocks][capacity][kBlock].
  struct Work {
    const KernelCall& call;
    const Cut& cut;
    TileBlock block;
    float* input;
    float* products;
  };

  int64_t InputStride(const Cut& cut) const {
    return blocks_ * phases_ * cut.capacity * kBlock + kSkew;
  }
  int64_t InputFloats(const Cut& cut) const { return points_ * InputStride(cut); }
  /// Rows of a panel of weights: products of one output channel for one tile of 4 × 4.
  int64_t PanelDepth() const { return scheme_.products(4) * scheme_.products(4) * conv_.inputs; }
  int64_t ProductStride(const Cut& cut) const {
    return cut.group * panel_blocks_ * cut.capacity * kBlock + kSkew;
  }
  int64_t ProductFloats(const Cut& cut) const { return points_ * ProductStride(cut); }
  /// The products of a panel.
  int64_t PanelBytes(const Cut& cut) const {
    return points_ * panel_blocks_ * cut.capacity * kBlock * 4;
  }
  int64_t Panels() const { return static_cast<int64_t>(panels_.size()); }

  /// [points], each as ConvRun wants it with phases as taps: [blocks][phases][channels][panel].
  void Pack(const ConvPanel& panel) {
    const int64_t width = panel.blocks * kBlock;
    alignas(64) float products[simd::kMaxWinogradProducts * kBlock];
    for (int64_t b = 0; b < panel.blocks; ++b) {
      for (int64_t c = 0; c < conv_.inputs; ++c) {
        TransformWeights(panel.block + b, c, products);
        const int64_t before = c / kBlock * kBlock;  // channels in whole blocks
        const int64_t channels = std::min<int64_t>(kBlock, conv_.inputs - before);
        float* to = weights_.data() + panel.offset + b * kBlock;
        for (const Point& point : of_4_.points) {
          for (int i = 0; i < point.phase_count; ++i) {
            const int64_t row = before * point.phase_count + i * channels + (c - before);
            const int64_t from = ProductAt(point.index, point.phases[static_cast<size_t>(i)]);
            std::memcpy(to + (point.depth + row) * width, products + from * kBlock,
                        kBlock * sizeof(float));
          }
        }
      }
    }
  }

  /// The products of input channel `c` with one block of output channels.
  void TransformWeights(int64_t block, int64_t c, float* products) const {
    alignas(64) float taps[9 * kBlock];
    const auto from = conv_.weights.data<float>();
    for (int64_t lane = 0; lane < kBlock; ++lane) {
      const int64_t output = block * kBlock + lane;
      const auto at = static_cast<size_t>((output * conv_.inputs + c) * 9);
      for (size_t t = 0; t < 9; ++t) {
        taps[t * kBlock + static_cast<size_t>(lane)] = output < conv_.outputs ? from[at + t] : 0;
      }
    }
    winograd_.weights(taps, products);
  }

  /// Where a point of a phase is among the products of a tile of 4 × 4.
  int64_t ProductAt(int point, ptrdiff_t phase) const {
    const auto at = [this](int p, bool odd) {
      return odd ? scheme_.points() + p - (p > scheme_.four_only() ? 1 : 0) : p;
    };
    return at(point / scheme_.points(), phase >= 2) * scheme_.products(4) +
           at(point % scheme_.points(), phase % 2 == 1);
  }

  Cut CutFor(int64_t batch, int threads) const {
    // Inputs and products of a block of tiles in 60 % of the second-level cache; weights and
    // results pass through the rest.
    const Tiling& tiling = batch < smallest_.of_4 ? of_2_ : of_4_;
    const WinogradTiles& tiles = tiling.tiles;
    const int64_t tile_bytes = tiles.points() * (blocks_ * phases_ + panel_blocks_) * kBlock * 4;
    int64_t most = std::max<int64_t>(1, SecondLevelCacheBytes() * 3 / 5 / tile_bytes);
    if (streams_) most = std::max(most, kStreamingTiles);
    Cut cut{.tiling = &tiling};
    cut.by_panel = threads > 1 && streams_;
    if (threads > 1 && !cut.by_panel) {
      most = std::clamp<int64_t>(tiles.count() * batch / (2 * threads), 1, most);
    }
    cut.images = std::clamp<int64_t>(most / tiles.count(), 1, batch);
    cut.parts = (tiles.count() + most - 1) / most;
    cut.count = (batch + cut.images - 1) / cut.images * cut.parts;
    // Each class of tiles may be off an even share by one.
    cut.capacity =
        cut.images * std::min(tiles.count(), tiles.count() / cut.parts + WinogradTiles::kClasses);
    cut.group = GroupFor(cut, threads);
    return cut;
  }

  /// Inputs that do not fit the second-level cache are read anew for every group of panels, so that
  /// groups should be large; as large as their share of the cache takes products.
  int64_t GroupFor(const Cut& cut, int threads) const {
    const int64_t cache = SecondLevelCacheBytes();
    const int64_t input_bytes = cut.tiling->tiles.points() * InputStride(cut) * 4;
    if (!streams_ || input_bytes < cache * 3 / 5) return 1;
    const int64_t shared = cut.by_panel ? std::max<int64_t>(1, Panels() / (2 * threads)) : Panels();
    return std::clamp<int64_t>(cache / kGroupShare / PanelBytes(cut), 1, shared);
  }

  static TileBlock BlockAt(const KernelCall& call, const Cut& cut, int64_t i) {
    const int64_t batch = call.inputs[0].shape[0], image = i / cut.parts * cut.images;
    return {image, std::min(batch, image + cut.images), i % cut.parts, cut.parts};
  }

  /// Calls `body(tile, image, slot)` for the tiles of a block, class by class.
  template <class Body>
  static void ForEachTile(const Work& work, Body body) {
    int64_t slot = 0;
    for (int c = 0; c < WinogradTiles::kClasses; ++c) {
      const auto& tiles = work.cut.tiling->tiles.InClass(c);
      const auto [first, last] = work.block.Range(tiles);
      for (int64_t n = work.block.image; n < work.block.last_image; ++n) {
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
    tile.point_stride = InputStride(work.cut);
    tile.phase_stride = work.cut.capacity * kBlock;
    float* points = work.input + block * phases_ * tile.phase_stride;
    ForEachTile(work, [&](const WinogradTile& t, int64_t image, int64_t slot) {
      const float* plane = x + image * input.image_stride;
      const int64_t top = t.rows.start * scheme_.stride - w.pad_begin[1];
      const int64_t left = t.columns.start * scheme_.stride - w.pad_begin[2];
      const int64_t columns = scheme_.pixels(t.columns.size);
      for (int y = 0; y < scheme_.pixels(t.rows.size); ++y) {
        const bool inside = top + y >= 0 && top + y < height;
        tile.rows[y] = inside ? plane + ((top + y) * width + left) * kBlock : kZeros;
      }
      tile.first_column = static_cast<int>(std::clamp<int64_t>(-left, 0, columns));
      tile.last_column = static_cast<int>(std::clamp<int64_t>(width - left, 0, columns));
      tile.points = points + slot * kBlock;
      winograd_.input[t.rows.size - 2][t.columns.size - 2](tile);
    });
  }

  void RunGroup(const Work& work, int64_t group) const {
    const int64_t first = group * work.cut.group;
    const auto panels =
        std::span(panels_).subspan(static_cast<size_t>(first),
                                   static_cast<size_t>(std::min(work.cut.group, Panels() - first)));
    Multiply(work, panels);
    int64_t block_slot = 0;
    for (const ConvPanel& panel : panels) {
      for (int b = 0; b < panel.blocks; ++b) TransformOutput(work, panel.block + b, block_slot++);
    }
  }

  /// The products of all points with some panels.
  void Multiply(const Work& work, std::span<const ConvPanel> panels) const {
    std::array<int64_t, WinogradTiles::kClasses + 1> slots{};  // the first of each class
    for (int c = 0; c < WinogradTiles::kClasses; ++c) {
      const auto [first, last] = work.block.Range(work.cut.tiling->tiles.InClass(c));
      const int64_t images = work.block.last_image - work.block.image;
      slots[static_cast<size_t>(c) + 1] = slots[static_cast<size_t>(c)] + images * (last - first);
    }
    const int64_t capacity = work.cut.capacity;
    simd::ConvRun run;
    run.channels = conv_.inputs;
    run.block_stride = phases_ * capacity * kBlock;
    run.y_block_stride = capacity * kBlock;
    const std::vector<Point>& points = work.cut.tiling->points;
    for (size_t i = 0; i < points.size(); ++i) {
      const Point& point = points[i];
      std::array<ptrdiff_t, 4> taps = point.phases;
      for (ptrdiff_t& tap : taps) tap *= capacity * kBlock;
      run.taps = taps.data();
      run.tap_count = point.phase_count;
      const int64_t slot = slots[static_cast<size_t>(point.classes[0])];
      run.pixels = slots[static_cast<size_t>(point.classes[1])] - slot;
      run.x = work.input + point.index * InputStride(work.cut) + slot * kBlock;
      run.y = work.products + point.index * ProductStride(work.cut) + slot * kBlock;
      for (size_t k = 0; k < panels.size(); ++k) {
        run.blocks = panels[k].blocks;
        run.weights = WeightsOf(panels[k], point);
        run.next_weights = nullptr;
        if (streams_ && k + 1 < panels.size()) {
          run.next_weights = WeightsOf(panels[k + 1], point);
        } else if (streams_ && i + 1 < points.size()) {
          run.next_weights = WeightsOf(panels.front(), points[i + 1]);
        }
        microkernels_.conv.blocked(run, {});
        run.y += run.blocks * run.y_block_stride;
      }
    }
  }

  const float* WeightsOf(const ConvPanel& panel, const Point& point) const {
    return weights_.data() + panel.offset + point.depth * panel.blocks * kBlock;
  }

  /// Output block `block`, whose products are those of block `block_slot` of the group.
  void TransformOutput(const Work& work, int64_t block, int64_t block_slot) const {
    const int64_t height = conv_.window.output[1], width = conv_.window.output[2];
    const int64_t plane = block * height * width * kBlock;
    const auto& output = work.call.outputs[0];
    simd::Epilogue epilogue = conv_.EpilogueFrom(block);
    simd::WinogradOutput tile;
    tile.point_stride = ProductStride(work.cut);
    tile.row_stride = tile.residual_row_stride = width * kBlock;
    ForEachTile(work, [&](const WinogradTile& t, int64_t image, int64_t slot) {
      const int64_t offset = plane + (t.rows.start * width + t.columns.start) * kBlock;
      tile.points = work.products + (block_slot * work.cut.capacity + slot) * kBlock;
      tile.y = reinterpret_cast<float*>(output.bytes) + image * output.image_stride + offset;
      tile.rows = static_cast<int>(std::min<int64_t>(t.rows.size, height - t.rows.start));
      tile.columns = static_cast<int>(std::min<int64_t>(t.columns.size, width - t.columns.start));
      if (conv_.has_residual) {
        const auto& residual = work.call.inputs[3];
        epilogue.residual =
            reinterpret_cast<const float*>(residual.bytes) + image * residual.image_stride + offset;
      }
      winograd_.output[t.rows.size - 2][t.columns.size - 2](tile, epilogue);
      for (int y = 0; y < tile.rows; ++y) {
        conv_.FinishPixels(microkernels_, tile.y + y * tile.row_stride, tile.columns);
      }
    });
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  simd::WinogradScheme scheme_;
  const simd::WinogradMicrokernels& winograd_;
  int64_t points_, phases_;
  Tiling of_4_, of_2_;
  int64_t blocks_;  // of input channels
  std::vector<ConvPanel> panels_;
  int panel_blocks_ = 0;  // of the widest panel
  WeightBuffer weights_;
  WinogradCost::Batches smallest_;
  std::unique_ptr<const Kernel> direct_;  // for smaller ones
  bool streams_ = false;                  // the weights do not stay in the second-level cache
};

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  const Window w = *ConvWindow(node.graph(), node.node());
  if (w.kernel[1] != 3 || w.kernel[2] != 3) return "not 3 × 3";
  if (w.stride[1] != w.stride[2] || w.stride[1] > 2) return "strides";
  if (w.dilation[1] != 1 || w.dilation[2] != 1) return "dilations";
  if (node.attributes().Int("group", 1).value_or(1) != 1) return "groups";
  if (node.HasInput(4)) return "sums of integers must stay exact";
  const WinogradCost cost(w, node.shape(1)[1], node.shape(1)[0]);
  return cost.SmallestBatches() ? "" : "a direct convolution costs less";
}

KernelResult MakeWinograd(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return std::make_unique<WinogradConv>(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "f32_conv_winograd_3x3",
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
