#include "engine/flops.h"

#include "config/check.h"
#include "engine/ops/dims.h"
#include "engine/ops/window.h"

namespace trawl::engine {
namespace {

double Concrete(int64_t dim, int64_t batch) {
  return IsBatch(dim) ? static_cast<double>(-dim) * static_cast<double>(batch)
                      : static_cast<double>(dim);
}

/// As a double: at the largest batch the count may pass 2^63.
double Elements(const Graph& graph, ValueId id, int64_t batch) {
  double count = 1;
  for (const int64_t dim : *graph.value(id).shape) count *= Concrete(dim, batch);
  return count;
}

/// Each weight meets one input element per output pixel and image, in groups and without.
double ConvMultiplyAdds(const Graph& graph, const Node& node, int64_t batch) {
  const auto window = ConvWindow(graph, node);
  CHECK(window.has_value());  // shape inference resolved the same window
  return Concrete((*graph.value(node.inputs[0]).shape)[0], batch) *
         static_cast<double>(window->OutputSize()) * Elements(graph, node.inputs[1], batch);
}

/// [m, k] · [k, n]: every element of the left matrix meets every column of the right one.
double GemmMultiplyAdds(const Graph& graph, const Node& node, int64_t batch) {
  const Shape& output = *graph.value(node.outputs[0]).shape;
  return Elements(graph, node.inputs[0], batch) * Concrete(output[1], batch);
}

/// Each output element is a sum over the left operand's last dimension.
double MatMulMultiplyAdds(const Graph& graph, const Node& node, int64_t batch) {
  const Shape& left = *graph.value(node.inputs[0]).shape;
  return Elements(graph, node.outputs[0], batch) * Concrete(left.back(), batch);
}

}  // namespace

double NodeFlops(const Graph& graph, const Node& node, int64_t batch) {
  if (node.op == "Conv" || node.op == "FusedConv" || node.op == "QuantizedConv")
    return 2 * ConvMultiplyAdds(graph, node, batch);
  if (node.op == "Gemm" || node.op == "FusedGemm" || node.op == "QuantizedGemm")
    return 2 * GemmMultiplyAdds(graph, node, batch);
  if (node.op == "MatMul") return 2 * MatMulMultiplyAdds(graph, node, batch);
  return 0;
}

double GraphFlops(const Graph& graph, int64_t batch) {
  double flops = 0;
  for (const Node& node : graph.nodes()) flops += NodeFlops(graph, node, batch);
  return flops;
}

}  // namespace trawl::engine
