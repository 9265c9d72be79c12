// Goal: segments that work image by image, buffers that share memory and Concats that copy nothing
// change no bit of the result, at any batch and by any number of threads; and no two live buffers
// overlap. Method: random networks of blocked kernels, run whole and cut by caches of all sizes.
#include "engine/segments.h"

#include <cstdlib>
#include <cstring>
#include <random>

#include "engine/buffers.h"
#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::RandomTensor;

constexpr int64_t kSize = 6;

/// Nodes that each read what one or some before them made: windows, sums, activations, Concats of
/// blocks and of odd numbers of channels.
Graph RandomNetwork(uint32_t seed) {
  std::mt19937 random(seed);
  const auto draw = [&](size_t count) { return static_cast<size_t>(random() % count); };
  GraphBuilder b;
  struct Made {
    ValueId value;
    int64_t channels;
  };
  constexpr int64_t kChannels[] = {16, 32, 17, 5};
  std::vector<Made> made;
  const int64_t first = kChannels[draw(4)];
  const auto depthwise = [&](const Made& x) {
    return Made{b.Node("Conv", {x.value, b.Weight({x.channels, 1, 3, 3})},
                       Attrs({{"group", x.channels}, {"pads", IntsAttribute{1, 1, 1, 1}}})),
                x.channels};
  };
  made.push_back(depthwise({b.Input({kBatch, first, kSize, kSize}), first}));
  for (size_t i = 0; i < 14; ++i) {
    const Made x = made[made.size() - 1 - draw(std::min<size_t>(3, made.size()))];
    switch (draw(4)) {
      case 0:
        made.push_back(depthwise(x));
        break;
      case 1:
        made.push_back({b.Node("Tanh", {x.value}), x.channels});
        break;
      case 2: {
        Made y = made[draw(made.size())];
        if (y.channels != x.channels) y = depthwise(x);
        made.push_back({b.Node("Add", {x.value, y.value}), x.channels});
        break;
      }
      default: {
        const Made y = made[draw(made.size())];
        if (x.channels + y.channels > 200) break;
        made.push_back({b.Node("Concat", {x.value, y.value}, Attrs({{"axis", int64_t{1}}})),
                        x.channels + y.channels});
      }
    }
  }
  // Everything that nobody reads meets in the output.
  std::vector<ValueId> ends;
  for (const Made& m : made) ends.push_back(b.Node("GlobalAveragePool", {m.value}));
  return b.Build(b.Node("Flatten", {b.Node("Concat", ends, Attrs({{"axis", int64_t{1}}}))}));
}

Tensor RunAs(const CompiledGraph& compiled, const Tensor& x, int64_t max_batch, int threads,
             const CacheSizes& caches) {
  const auto execution = Execution::Create(compiled, max_batch, threads, &caches);
  EXPECT_TRUE(execution.has_value());
  const ConstTensorView view{x.dtype(), x.shape(), x.bytes()};
  // Twice, so that the second finds the arena as the first left it.
  for (int i = 0; i < 2; ++i) EXPECT_TRUE((*execution)->Run(x.shape()[0], {&view, 1}).ok());
  const ConstTensorView output = (*execution)->output(0);
  return Tensor::Of<float>(Shape(output.shape.begin(), output.shape.end()), output.data<float>());
}

class RandomNetworks : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomNetworks, ComputeTheSameBitsHoweverTheyAreCut) {
  const Graph graph = RandomNetwork(GetParam());
  const auto compiled = CompiledGraph::Compile(graph);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  const int64_t channels = graph.value(graph.inputs()[0]).shape->at(1);
  const Tensor x = RandomTensor({5, channels, kSize, kSize}, 1);
  CompileOptions options;
  options.reference_kernels = true;
  const Tensor expected = testing::RunGraph(graph, {{"x", x}}, options);
  const CacheSizes whole{int64_t{1} << 40, int64_t{1} << 40};
  const Tensor first = RunAs(**compiled, x, 5, 1, whole);
  // Fifteen layers of at most nine products of numbers of about 1.
  testing::ExpectNear(first, expected, 1e-4f);
  for (const int64_t cache : {1 << 10, 1 << 14, 1 << 16, 1 << 18}) {
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(::testing::Message() << "cache " << cache << ", threads " << threads);
      const Tensor other = RunAs(**compiled, x, 8, threads, {cache, 4 * cache});
      ASSERT_EQ(std::memcmp(other.bytes(), first.bytes(), first.byte_size()), 0);
    }
  }
}

/// What is live at a node: a buffer that another value has taken over is that value's.
TEST_P(RandomNetworks, NoValueIsOverwrittenBeforeItsLastReader) {
  const auto compiled = CompiledGraph::Compile(RandomNetwork(GetParam()));
  ASSERT_TRUE(compiled.has_value());
  const Graph& graph = (*compiled)->graph();
  for (const int64_t cache : {int64_t{1} << 10, int64_t{1} << 14, int64_t{1} << 40}) {
    const auto segments = PlanSegments(**compiled, 8, {cache, 4 * cache});
    const BufferAssignment assignment = AssignBuffers(**compiled, segments, 8, 2);
    size_t segment = 0;
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      while (i >= segments[segment].last) ++segment;
      const auto covers = [&](ValueId id) {
        if (id == kNoValue || graph.value(id).constant) return;
        const Place& place = assignment.of_value[static_cast<size_t>(id)];
        if (place.buffer.index == kNoBuffer) return;
        const bool local = place.buffer.segment != kNoBuffer;
        const BufferLifetime& life = local ? assignment.local[segment].at(place.buffer.index)
                                           : assignment.shared.at(place.buffer.index);
        // What holds the whole batch stays while its segment comes back to its nodes.
        const bool comes_back = !local && segments[segment].images > 0;
        const auto first = comes_back ? segments[segment].first : i;
        const auto last = comes_back ? segments[segment].last - 1 : i;
        EXPECT_TRUE(!local || place.buffer.segment == segment);
        EXPECT_LE(life.first, static_cast<int>(first)) << "node " << i;
        EXPECT_GE(life.last, static_cast<int>(last)) << "node " << i;
      };
      for (const ValueId id : graph.nodes()[i].inputs) covers(id);
      for (const ValueId id : graph.nodes()[i].outputs) covers(id);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomNetworks, ::testing::Range(0U, 40U));

TEST(PlanSegments, CutsTheHeadFromTheTail) {
  // Large activations, then large weights.
  GraphBuilder b;
  ValueId y = b.Input({kBatch, 16, 64, 64});
  for (int i = 0; i < 4; ++i) {
    y = b.Node("Conv", {y, b.Weight({16, 1, 3, 3})},
               Attrs({{"group", int64_t{16}}, {"pads", IntsAttribute{1, 1, 1, 1}}}));
  }
  y = b.Node("GlobalAveragePool", {y});
  for (int i = 0; i < 3; ++i) y = b.Node("Mul", {y, b.Weight({16, 1, 1})});
  const auto compiled = CompiledGraph::Compile(b.Build(b.Node("Flatten", {y})));
  ASSERT_TRUE(compiled.has_value());
  // Two activations of an image fit, those of two images do not.
  const auto segments = PlanSegments(**compiled, 8, {600 << 10, 16 << 20});
  ASSERT_GE(segments.size(), 2U);
  EXPECT_EQ(segments.front().first, 0U);
  EXPECT_EQ(segments.front().images, 1);
  EXPECT_GE(segments.front().last, 5U);  // the Reorder and the convolutions
  EXPECT_EQ(segments.back().images, 0);
  EXPECT_EQ(segments.back().last, (*compiled)->graph().nodes().size());
}

TEST(Concat, OfWholeBlocksIsLaidOutWithoutCopies) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 16, kSize, kSize});
  const auto depthwise = [&] {
    return b.Node("Conv", {x, b.Weight({16, 1, 1, 1})}, Attrs({{"group", int64_t{16}}}));
  };
  const ValueId left = depthwise(), right = depthwise();
  const ValueId both = b.Node("Concat", {left, right}, Attrs({{"axis", int64_t{1}}}));
  const auto compiled = CompiledGraph::Compile(b.Build(b.Node("Flatten", {both})));
  ASSERT_TRUE(compiled.has_value());
  const auto assignment =
      AssignBuffers(**compiled, PlanSegments(**compiled, 1, CacheSizes{}), 1, 1);
  const Graph& graph = (*compiled)->graph();
  for (const Node& node : graph.nodes()) {
    if (node.op != "Concat") continue;
    const auto place = [&](ValueId id) { return assignment.of_value[static_cast<size_t>(id)]; };
    const Place out = place(node.outputs[0]);
    EXPECT_EQ(place(node.inputs[0]).buffer, out.buffer);
    EXPECT_EQ(place(node.inputs[1]).buffer, out.buffer);
    EXPECT_EQ(place(node.inputs[0]).offset, 0U);
    EXPECT_EQ(place(node.inputs[1]).offset, 16U * kSize * kSize * sizeof(float));
    EXPECT_EQ(place(node.inputs[1]).image_stride, 32 * kSize * kSize);
  }
}

}  // namespace
}  // namespace trawl::engine
