#include "tests/unit/engine/graphs.h"

#include <cmath>

#include "gtest/gtest.h"

namespace trawl::engine::testing {

Tensor RandomTensor(Shape shape, uint32_t seed) {
  Tensor tensor(DType::kF32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& value : tensor.mutable_data<float>()) value = uniform(random);
  return tensor;
}

Tensor Ints(std::vector<int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Tensor::Of<int64_t>({count}, std::span<const int64_t>(values));
}

Tensor Floats(Shape shape, std::vector<float> values) {
  return Tensor::Of<float>(std::move(shape), std::span<const float>(values));
}

ValueId GraphBuilder::Input(Shape shape, const std::string& name) {
  return graph.AddInput(name, DType::kF32, std::move(shape));
}

ValueId GraphBuilder::Weight(Shape shape) {
  return Constant(RandomTensor(std::move(shape), seed_));
}

ValueId GraphBuilder::Constant(Tensor tensor) {
  return graph.AddConstant("constant" + std::to_string(seed_++), std::move(tensor));
}

ValueId GraphBuilder::Node(const std::string& op, std::vector<ValueId> inputs,
                           Attributes attributes) {
  const std::string name = op + std::to_string(graph.nodes().size());
  return graph.AddNode(name, op, std::move(inputs), std::move(attributes), name + "_out");
}

Graph GraphBuilder::Build(ValueId output) {
  graph.outputs() = {output};
  return graph;
}

Attributes Attrs(std::vector<std::pair<std::string, Attribute>> pairs) {
  Attributes attributes;
  for (auto& [name, value] : pairs) attributes.Set(name, std::move(value));
  return attributes;
}

Tensor RunGraph(const Graph& graph, const std::map<std::string, Tensor>& inputs,
                const CompileOptions& options) {
  auto outputs = RunOnce(graph, inputs, options);
  EXPECT_TRUE(outputs.has_value()) << (outputs ? "" : outputs.error().message());
  if (!outputs || outputs->empty()) return {};
  return outputs->begin()->second;
}

void ExpectNear(const Tensor& a, const Tensor& b, float tolerance) {
  ASSERT_EQ(ToString(a.shape()), ToString(b.shape()));
  const auto x = a.data<float>(), y = b.data<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(x[i], y[i], tolerance * (1 + std::fabs(y[i]))) << "element " << i;
  }
}

}  // namespace trawl::engine::testing
