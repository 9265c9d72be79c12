// Quantised convolutions on interleaved values, sums in registers: dense ones of any kernel,
// stride, dilation, padding and grouping, depthwise ones, and products with constant weights.
//
// Work is cut into chunks of output rows whose input stays in the second-level cache while one
// panel of weights after the other passes. Small images are taken several at a time, so that a
// panel is read once for all of them.
#include <array>

#include "engine/kernels/caches.h"
#include "engine/kernels/interleaved_rows.h"
#include "engine/kernels/quantized_node.h"
#include "engine/kernels/tables.h"
#include "engine/limits.h"

namespace trawl::engine {
namespace {

using simd::kInt8Panel;

constexpr int64_t kMaxRows = 64;  // of a chunk
/// Chunks per member of a team, so that one that loses its core leaves work to the others.
constexpr int64_t kChunksPerMember = 4;
/// Of a pointwise convolution's input in the first-level cache.
constexpr int64_t kFirstLevelBytes = 16 << 10;
constexpr int64_t kTilePixels = 14, kFewestPixels = 56;
/// A row of windows may take this much; what needs more has a kernel of thousands of taps.
constexpr double kMaxRowBytes = 32 << 20;

int64_t Align(int64_t bytes) {
  constexpr auto kUnit = static_cast<int64_t>(kAlignment);
  return (bytes + kUnit - 1) / kUnit * kUnit;
}

/// Output rows [row, row + rows) of images [image, image + images).
struct Chunk {
  int64_t image = 0, images = 1, row = 0, rows = 0;
};

/// Cuts convolutions into chunks and fills their rows; what a pass over the rows is, says `Panels`.
class RowConv : public Kernel {
 public:
  RowConv(const NodeView& view, QuantizedNode node, const simd::Int8Microkernels& microkernels)
      : node_(std::move(node)),
        microkernels_(microkernels),
        epilogues_(view, node_),
        input_(node_.window, node_.inputs,
               node_.GainsFromNarrowPixels() ? microkernels.narrow : nullptr),
        pointwise_(node_.window.Pointwise()),
        // All pixels of a pointwise convolution are one row, cut where it pleases.
        rows_(pointwise_ ? node_.window.OutputSize() : node_.window.output[1]),
        width_(pointwise_ ? 1 : node_.window.output[2]),
        y_step_(InterleavedStep(node_.outputs)) {
    if (FitsFirstLevel()) {
      chunk_rows_ = std::min(rows_, FirstLevelPixels());
      return;
    }
    const int64_t budget = SecondLevelCacheBytes() / 2;
    const int64_t row_bytes = RowBytes();
    chunk_rows_ = std::clamp<int64_t>(budget / row_bytes, 1, pointwise_ ? rows_ : kMaxRows);
    chunk_rows_ = std::min(chunk_rows_, rows_);
    if (chunk_rows_ == rows_) {
      const int64_t most = pointwise_ ? kMaxRows : kMaxRows / rows_;
      chunk_images_ =
          std::clamp<int64_t>(budget / (rows_ * row_bytes), 1, std::max<int64_t>(1, most));
    }
  }

  int InPlaceInput() const override { return node_.has_residual ? 4 : -1; }
  bool PacksInput(size_t i) const override { return QuantizedNode::Packs(i); }
  size_t ScratchBytes(int64_t batch, int threads) const override {
    return static_cast<size_t>(MemberBytes(std::min(batch, chunk_images_)) * threads);
  }

  Status Run(const KernelCall& call) const override {
    const int64_t batch = call.inputs[0].shape[0], threads = call.team->size();
    int64_t rows = chunk_rows_, images = chunk_images_;
    if (threads > 1) {
      images = 1;
      rows = std::clamp<int64_t>(batch * rows_ / (threads * kChunksPerMember), 1, rows);
    }
    const int64_t per_image = (rows_ + rows - 1) / rows;
    const int64_t count = (batch + images - 1) / images * per_image;
    call.team->ForEach(count, [&](int64_t i, int member) {
      Chunk chunk{.image = i / per_image * images, .row = i % per_image * rows};
      chunk.images = std::min(images, batch - chunk.image);
      chunk.rows = std::min(rows, rows_ - chunk.row);
      RunChunk(call, chunk, member * MemberBytes(std::min(batch, chunk_images_)));
    });
    return OkStatus();
  }

 protected:
  /// One pass over the rows for each panel.
  virtual void RunPanel(int64_t panel, simd::Int8Layer& layer,
                        std::span<simd::Int8Row> rows) const = 0;
  /// Sums that every pixel of a row begins with; does nothing where they begin with 0.
  virtual void StartSums(const simd::Int8Row&, int32_t*) const {}
  virtual bool HasStart() const { return false; }

  const QuantizedNode& node() const { return node_; }
  QuantizedNode& mutable_node() { return node_; }
  const InterleavedRows& input() const { return input_; }
  const simd::Int8Microkernels& microkernels() const { return microkernels_; }
  simd::Int8Epilogue EpilogueOf(int64_t panel) const { return epilogues_.Of(panel); }
  int64_t x_step() const { return input_.step() * (pointwise_ ? 1 : node_.window.stride[2]); }
  int64_t y_step() const { return y_step_; }

 private:
  /// Pixels of a pointwise convolution whose input leaves room in the first-level cache for a panel
  /// of weights and for the lines that two panels in a row store to.
  int64_t FirstLevelPixels() const {
    return kFirstLevelBytes / input_.step() / kTilePixels * kTilePixels;
  }
  /// Whether such a chunk is worth it: the weights come once for each, from the second level.
  bool FitsFirstLevel() const {
    return pointwise_ && !node_.IsDepthwise() && FirstLevelPixels() >= kFewestPixels &&
           node_.outputs * input_.step() <= SecondLevelCacheBytes() / 2;
  }
  /// Of what a row of output reads and is.
  int64_t RowBytes() const {
    const int64_t read = pointwise_ ? input_.step() : input_.row_bytes() * node_.window.stride[1];
    return read + width_ * y_step_;
  }
  int64_t StripBytes() const {
    return Align(static_cast<int64_t>(input_.ScratchBytes(chunk_rows_)));
  }
  int64_t StartBytes() const {
    return HasStart() ? Align(chunk_rows_ * width_ * static_cast<int64_t>(sizeof(int32_t))) : 0;
  }
  int64_t MemberBytes(int64_t images) const { return images * (StripBytes() + StartBytes()); }

  void RunChunk(const KernelCall& call, const Chunk& chunk, int64_t scratch_offset) const {
    std::array<simd::Int8Row, kMaxRows> rows;
    size_t count = 0;
    auto* scratch = reinterpret_cast<uint8_t*>(call.scratch) + scratch_offset;
    for (int64_t n = chunk.image; n < chunk.image + chunk.images; ++n) {
      count += FillRows(call, chunk, n, scratch, std::span(rows).subspan(count));
      scratch += StripBytes() + StartBytes();
    }
    simd::Int8Layer layer;
    layer.x_step = x_step();
    layer.y_step = y_step_;
    for (int64_t panel = 0; panel < node_.panels(); ++panel) {
      layer.stored = node_.Stored(panel, y_step_);
      RunPanel(panel, layer, std::span(rows).first(count));
      for (size_t r = 0; r < count; ++r) {
        rows[r].y += node_.panel_size();
        if (node_.has_residual) rows[r].residual += node_.panel_size();
      }
    }
  }

  /// The rows of image `n`; returns how many.
  size_t FillRows(const KernelCall& call, const Chunk& chunk, int64_t n, uint8_t* scratch,
                  std::span<simd::Int8Row> rows) const {
    const auto* image = reinterpret_cast<const uint8_t*>(call.inputs[0].bytes) +
                        n * InterleavedImageSize(call.inputs[0].shape);
    const int64_t y_image = n * InterleavedImageSize(call.outputs[0].shape);
    const int64_t row_step =
        pointwise_ ? input_.step() : input_.row_bytes() * node_.window.stride[1];
    const uint8_t* x =
        pointwise_ ? image + chunk.row * row_step
                   : input_.Fill(image, chunk.row, chunk.rows, node_.product.zero_point, scratch);
    auto* start = reinterpret_cast<int32_t*>(scratch + StripBytes());
    const int64_t count = pointwise_ ? 1 : chunk.rows;
    for (int64_t r = 0; r < count; ++r) {
      simd::Int8Row& row = rows[static_cast<size_t>(r)];
      const int64_t offset = y_image + (chunk.row + r) * width_ * y_step_;
      row.x = x + r * row_step;
      row.y = reinterpret_cast<uint8_t*>(call.outputs[0].bytes) + offset;
      row.pixels = pointwise_ ? chunk.rows : width_;
      if (node_.has_residual) {
        row.residual = reinterpret_cast<const uint8_t*>(call.inputs[4].bytes) + offset;
      }
      if (HasStart()) {
        row.start = start + r * width_;
        StartSums(row, start + r * width_);
      }
    }
    return static_cast<size_t>(count);
  }

  QuantizedNode node_;
  const simd::Int8Microkernels& microkernels_;
  QuantizedEpilogues epilogues_;
  InterleavedRows input_;
  bool pointwise_;
  int64_t rows_, width_;  // of the output
  int64_t y_step_;
  int64_t chunk_rows_ = 1, chunk_images_ = 1;
};

class DenseConv final : public RowConv {
 public:
  DenseConv(const NodeView& view, QuantizedNode read, const simd::Int8Microkernels& microkernels)
      : RowConv(view, std::move(read), microkernels),
        joined_(node().JoinsTaps()),
        taps_(input().Taps(joined_)),
        panels_(node(), input().step(), joined_) {
    mutable_node().weights = {};
  }

  size_t PackedBytes() const override { return panels_.bytes(); }

 protected:
  bool HasStart() const override { return node().product.weight_offset != 0; }

  void StartSums(const simd::Int8Row& row, int32_t* sums) const override {
    simd::Int8Layer layer;
    layer.x_step = x_step();
    Describe(0, layer);
    microkernels().sum(layer, panels_.ones().data(), node().product.weight_offset, row.x,
                       row.pixels, sums);
  }

  void RunPanel(int64_t panel, simd::Int8Layer& layer,
                std::span<simd::Int8Row> rows) const override {
    Describe(panel, layer);
    const int64_t first = panels_.panel(panel).first_input;
    for (simd::Int8Row& row : rows) row.x += first;
    microkernels().conv(layer, panels_.weights(panel), EpilogueOf(panel), rows.data(),
                        static_cast<ptrdiff_t>(rows.size()));
    for (simd::Int8Row& row : rows) row.x -= first;
  }

 private:
  void Describe(int64_t panel, simd::Int8Layer& layer) const {
    layer.taps = taps_.data();
    layer.tap_count = static_cast<ptrdiff_t>(taps_.size());
    layer.depth = panels_.panel(panel).depth;
  }

  bool joined_;  // the taps of a row are contiguous
  std::vector<ptrdiff_t> taps_;
  QuantizedPanels panels_;
};

class DepthwiseConv final : public RowConv {
 public:
  DepthwiseConv(const NodeView& view, QuantizedNode read,
                const simd::Int8Microkernels& microkernels)
      : RowConv(view, std::move(read), microkernels),
        pixels_(node().window.stride[2] == 1 ? node().wide_pixels() : 1),
        shares_(pixels_ == 1 && node().window.stride[2] == 1 && node().window.dilation[2] == 1 &&
                node().window.kernel[2] == 3),
        taps_(input().Taps(/*joined=*/shares_)) {
    while (!shares_ && taps_.size() % 4 != 0) taps_.push_back(taps_.back());
    Pack();
    mutable_node().weights = {};
  }

  size_t PackedBytes() const override { return weights_.bytes(); }

 protected:
  void RunPanel(int64_t panel, simd::Int8Layer& layer,
                std::span<simd::Int8Row> rows) const override {
    layer.taps = taps_.data();
    layer.tap_count = static_cast<ptrdiff_t>(taps_.size());
    simd::Int8Layer wide = layer;
    wide.x_step *= pixels_;
    wide.y_step *= pixels_;
    wide.stored *= static_cast<int>(pixels_);
    const int64_t first = panel * node().panel_size();
    const ptrdiff_t pixels = rows[0].pixels, whole = pixels / pixels_;
    Shift(rows, first, 0, whole);
    Call(panel, wide, rows);
    // What is left fills no panel.
    const ptrdiff_t rest = pixels % pixels_;
    wide.stored = static_cast<int>(rest * layer.y_step);
    Shift(rows, whole * wide.x_step, whole * wide.y_step, 1);
    if (rest != 0) Call(panel, wide, rows);
    Shift(rows, -first - whole * wide.x_step, -whole * wide.y_step, pixels);
  }

 private:
  /// Four taps that are multiplied at once; -1 for none.
  using Quad = std::array<int64_t, 4>;

  static void Shift(std::span<simd::Int8Row> rows, ptrdiff_t x, ptrdiff_t y, ptrdiff_t pixels) {
    for (simd::Int8Row& row : rows) {
      row.x += x;
      row.y += y;
      if (row.residual != nullptr) row.residual += y;
      row.pixels = pixels;
    }
  }

  void Call(int64_t panel, const simd::Int8Layer& layer, std::span<simd::Int8Row> rows) const {
    const auto* weights = reinterpret_cast<const int8_t*>(weights_.data()) + panel * panel_bytes_;
    const auto run = shares_ ? microkernels().depthwise3 : microkernels().depthwise;
    run(layer, weights, EpilogueOf(panel), rows.data(), static_cast<ptrdiff_t>(rows.size()));
  }

  std::vector<Quad> Quads() const {
    std::vector<Quad> quads;
    for (int64_t row = 0; shares_ && row < node().window.kernel[1]; ++row) {
      const int64_t tap = 3 * row;
      quads.push_back({tap, tap + 1, tap + 2, -1});
      quads.push_back({-1, tap, tap + 1, tap + 2});
    }
    for (int64_t tap = 0; !shares_ && tap < static_cast<int64_t>(taps_.size()); tap += 4) {
      quads.emplace_back();
      for (int64_t i = 0; i < 4; ++i) {
        quads.back()[static_cast<size_t>(i)] = tap + i < node().taps() ? tap + i : -1;
      }
    }
    return quads;
  }

  int Weight(int64_t channel, int64_t tap) const {
    if (tap < 0 || channel >= node().outputs) return 0;
    const auto from = node().weights.data<int8_t>();
    return from[static_cast<size_t>(channel * node().taps() + tap)] + node().product.weight_offset;
  }

  /// How many bytes a weight with its offset is the sum of.
  int Parts() const {
    const auto [low, high] = std::ranges::minmax(node().weights.data<int8_t>());
    const int offset = node().product.weight_offset;
    return std::max({1, (127 - low - offset) / 128, (126 + high + offset) / 127});
  }

  /// [panels][parts][quads][lanes][4]. Each part of the weights passes over all taps.
  void Pack() {
    const std::vector<Quad> quads = Quads();
    const int parts = Parts();
    panel_bytes_ = static_cast<int64_t>(quads.size()) * parts * node().panel_size() * 4;
    weights_ = WeightBuffer(static_cast<size_t>(node().panels() * panel_bytes_) / sizeof(float));
    auto* to = reinterpret_cast<int8_t*>(weights_.data());
    for (int64_t panel = 0; panel < node().panels(); ++panel) {
      for (int part = 0; part < parts; ++part) {
        for (const Quad& quad : quads) {
          for (int lane = 0; lane < node().panel_size(); ++lane) {
            for (const int64_t tap : quad) *to++ = Part(part, node().ChannelOf(panel, lane), tap);
          }
        }
      }
    }
    const std::vector<ptrdiff_t> once = taps_;
    for (int part = 1; part < parts; ++part) taps_.insert(taps_.end(), once.begin(), once.end());
  }

  int8_t Part(int part, int64_t channel, int64_t tap) const {
    int rest = Weight(channel, tap);
    for (int i = 0; i < part; ++i) rest -= std::clamp(rest, -128, 127);
    return static_cast<int8_t>(std::clamp(rest, -128, 127));
  }

  int64_t pixels_;  // that lie in a panel
  bool shares_;     // neighbouring pixels share what they read
  std::vector<ptrdiff_t> taps_;
  int64_t panel_bytes_ = 0;
  WeightBuffer weights_;
};

/// A product is a convolution of images of one pixel, but for rows that lie one behind the other
/// without anything in between.
class Gemm final : public Kernel {
 public:
  Gemm(const NodeView& view, QuantizedNode read, const simd::Int8Microkernels& microkernels)
      : node_(std::move(read)),
        microkernels_(microkernels),
        epilogues_(view, node_),
        step_((node_.inputs + simd::kInt8Depth - 1) / simd::kInt8Depth * simd::kInt8Depth),
        panels_(node_, step_, /*joined=*/true) {
    node_.weights = {};
  }

  bool PacksInput(size_t i) const override { return QuantizedNode::Packs(i); }
  size_t PackedBytes() const override { return panels_.bytes(); }
  size_t ScratchBytes(int64_t batch, int) const override {
    return static_cast<size_t>(Align(batch * step_) +
                               batch * static_cast<int64_t>(sizeof(int32_t)));
  }

  Status Run(const KernelCall& call) const override {
    static constexpr ptrdiff_t kOneTap[] = {0};
    const int64_t batch = call.inputs[0].shape[0];
    const auto bytes = static_cast<int64_t>(ByteSize(call.outputs[0].dtype));
    auto* x = reinterpret_cast<uint8_t*>(call.scratch);
    auto* start = reinterpret_cast<int32_t*>(x + Align(batch * step_));
    const auto* from = reinterpret_cast<const uint8_t*>(call.inputs[0].bytes);
    for (int64_t n = 0; n < batch; ++n) {
      std::memcpy(x + n * step_, from + n * node_.inputs, static_cast<size_t>(node_.inputs));
    }
    simd::Int8Layer layer{.taps = kOneTap, .tap_count = 1, .depth = step_, .x_step = step_};
    layer.y_step = node_.outputs * bytes;
    const int offset = node_.product.weight_offset;
    if (offset != 0) microkernels_.sum(layer, panels_.ones().data(), offset, x, batch, start);
    call.team->ForEach(node_.panels(), [&](int64_t panel, int) {
      simd::Int8Layer part = layer;
      part.stored = node_.Stored(panel, node_.outputs);
      const simd::Int8Row row{
          .x = x,
          .y = reinterpret_cast<uint8_t*>(call.outputs[0].bytes) + panel * kInt8Panel * bytes,
          .start = offset != 0 ? start : nullptr,
          .pixels = batch};
      microkernels_.conv(part, panels_.weights(panel), epilogues_.Of(panel), &row, 1);
    });
    return OkStatus();
  }

 private:
  QuantizedNode node_;
  const simd::Int8Microkernels& microkernels_;
  QuantizedEpilogues epilogues_;
  int64_t step_;  // bytes of a row of x
  QuantizedPanels panels_;
};

std::string WhyNotConv(const NodeView& node) {
  const auto read = ReadQuantizedConv(node);
  if (!read) return read.error().message();
  if (read->window.InputSize() == 0 || read->outputs == 0) return "the images are empty";
  const InterleavedRows rows(read->window, read->inputs);
  const double bytes =
      static_cast<double>(rows.row_bytes()) * static_cast<double>(rows.CopiedRows(1));
  return bytes > kMaxRowBytes ? "a row of its windows is too large" : "";
}

KernelResult MakeConv(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(QuantizedNode read, ReadQuantizedConv(node));
  if (read.IsDepthwise()) {
    return std::make_unique<DepthwiseConv>(node, std::move(read), *microkernels.int8);
  }
  return std::make_unique<DenseConv>(node, std::move(read), *microkernels.int8);
}

KernelResult MakeGemm(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(QuantizedNode read, ReadQuantizedGemm(node));
  return std::make_unique<Gemm>(node, std::move(read), *microkernels.int8);
}

constexpr KernelDef kKernels[] = {
    {.name = "u8s8_conv_interleaved",
     .op = "QuantizedConv",
     .rank = 10,
     .why_not = WhyNotConv,
     .make_simd = MakeConv,
     .layout = Layout::kInterleaved,
     .needs_int8 = true},
    {.name = "u8s8_gemm_packed",
     .op = "QuantizedGemm",
     .rank = 10,
     .make_simd = MakeGemm,
     .needs_int8 = true},
};

}  // namespace

std::span<const KernelDef> QuantizedConvKernels() { return kKernels; }

}  // namespace trawl::engine
