#pragma once
// The operators: one OpDef each, in the tables of engine/ops/*.cc, with its shape inference.
// Kernels are elsewhere (engine/kernels), so that several may serve one operator.
//
// The vocabulary that loaders write is ONNX's, in the form of the newest opset, whatever the file's
// opset was:
//
//  * Operands are inputs, never attributes: i64 (or f32) values, usually constants. Loaders make
//    constants of the attributes of older opsets (axes, pads, starts, min, split, ratio …).
//      Reshape(data, shape)                              allowzero
//      Expand(data, shape)
//      ConstantOfShape(shape)                            value (Tensor)
//      Squeeze(data, axes?), Unsqueeze(data, axes)
//      Split(data, sizes?)                               axis, num_outputs
//      Slice(data, starts, ends, axes?, steps?)
//      Gather(data, indices)                             axis
//      Pad(data, pads, value?, axes?)                    mode: constant | reflect | edge
//      Clip(x, min?, max?)
//      ReduceMean, ReduceSum, ReduceMax, ReduceMin,
//      ReduceProd(data, axes?)                           keepdims, noop_with_empty_axes
//  * Windows, 1-D to 3-D, channels first:
//      Conv(x, w, b?)         auto_pad, dilations, group, kernel_shape, pads, strides
//      MaxPool, AveragePool   auto_pad, ceil_mode, dilations, kernel_shape, pads, strides, and
//                             count_include_pad of AveragePool
//      GlobalAveragePool, GlobalMaxPool
//  * Products: Gemm(a, b, c?) with alpha, beta, transA, transB; MatMul(a, b).
//  * Normalisations: BatchNormalization(x, scale, bias, mean, variance) with epsilon, for inference
//    only, one output; InstanceNormalization(x, scale, bias) with epsilon;
//    LayerNormalization(x, scale, bias?) with axis and epsilon, one output; LRN with size, alpha,
//    beta, bias; Softmax and LogSoftmax with axis = -1 and flatten = 0. flatten = 1 is the rule
//    before opset 13: the dimensions from `axis` to the last are normalised together (loaders then
//    set axis = 1 when the file has none).
//  * Unary: Abs Ceil Erf Exp Floor HardSwish Log Neg Reciprocal Relu Round Sigmoid Sign Softplus
//    Softsign Sqrt Tanh; with alpha (beta, gamma) as ONNX has them: Celu Elu HardSigmoid LeakyRelu
//    Selu Swish ThresholdedRelu. Gelu with approximate = none. PRelu(x, slope).
//  * Binary with broadcasting: Add Sub Mul Div Pow; of one or more inputs: Sum Mean Max Min. For
//    shape arithmetic: Equal, Where(condition, x, y).
//  * QuantizeLinear(x, scale, zero_point?), DequantizeLinear(x, scale, zero_point?) with axis = 1.
//  * Cast with `to`, a string as of ToString(DType): "f32", "i64" …
//  * Concat with axis, Flatten with axis, Transpose with perm, Shape with start and end, Size.
//  * Identity; Dropout(x, ratio?, training_mode?) with an optional mask output, for inference only.
//  * Constant is not in it: loaders add a constant value (Graph::AddConstant) instead of a node.
//
// Attributes beyond those named in the operator's OpDef are refused; loaders leave out those that
// mean nothing here (BatchNormalization's momentum and spatial = 1, Dropout's seed, MaxPool's
// storage_order = 0, consumed_inputs). An attribute that is absent has ONNX's default. Dimensions
// follow engine/tensor.h: kBatch = N, -k = k·N.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// An integer known at load up to the batch: `constant + batch * N`. Shape arithmetic runs on
/// these.
struct SymbolicInt {
  int64_t constant = 0;
  int64_t batch = 0;
  bool operator==(const SymbolicInt&) const = default;
};
using SymbolicInts = std::vector<SymbolicInt>;

/// What shape inference knows about a value besides Value::dtype and Value::shape.
using ContentsTable = std::vector<std::optional<SymbolicInts>>;  // by ValueId, in row-major order

/// Typed, checked access to one node whose input shapes are inferred: what inference and kernels
/// read.
class NodeView {
 public:
  NodeView(const Graph& graph, const Node& node, const ContentsTable& contents)
      : graph_(graph), node_(node), contents_(contents) {}

  const Graph& graph() const { return graph_; }
  const Node& node() const { return node_; }
  const Attributes& attributes() const { return node_.attributes; }
  size_t input_count() const { return node_.inputs.size(); }
  bool HasInput(size_t i) const { return i < node_.inputs.size() && node_.inputs[i] != kNoValue; }
  /// Of a present input.
  const Shape& shape(size_t i) const { return *graph_.value(node_.inputs[i]).shape; }
  DType dtype(size_t i) const { return graph_.value(node_.inputs[i]).dtype; }
  /// The weight or folded value, or nullptr when the input is computed, or absent.
  const Tensor* constant(size_t i) const;
  size_t output_count() const { return node_.outputs.size(); }
  bool WantsOutput(size_t i) const {
    return i < node_.outputs.size() && node_.outputs[i] != kNoValue;
  }
  /// Of a wanted output; only after inference.
  const Shape& output_shape(size_t i) const { return *graph_.value(node_.outputs[i]).shape; }

  /// Contents of an integer input, when they are known up to the batch.
  const SymbolicInts* contents(size_t i) const;
  /// The same where the operator needs them as plain numbers. Errors: kUnimplemented when they are
  /// known only at run time or depend on the batch; `what` names them ("pads").
  Result<std::vector<int64_t>> Operand(size_t i, std::string_view what) const;

  /// Errors: kUnimplemented naming the type, unless input `i` has one of `allowed`.
  Status RequireDType(size_t i, std::initializer_list<DType> allowed) const;
  /// Attribute or operand `axis` of `rank` dimensions, made non-negative. Errors: kInvalidArgument.
  static Result<size_t> Axis(int64_t axis, size_t rank);

 private:
  const Graph& graph_;
  const Node& node_;
  const ContentsTable& contents_;
};

/// One node under inference: OpDef::infer reads its inputs and sets its outputs.
class InferContext : public NodeView {
 public:
  InferContext(Graph& graph, const Node& node, ContentsTable& contents)
      : NodeView(graph, node, contents), mutable_graph_(graph), mutable_contents_(contents) {}

  /// Errors: kResourceExhausted when the shape is beyond engine/limits.h.
  Status SetOutput(size_t i, DType dtype, Shape shape);
  void SetContents(size_t i, SymbolicInts contents);

 private:
  Graph& mutable_graph_;
  ContentsTable& mutable_contents_;
};

inline constexpr size_t kVariadic = SIZE_MAX;

struct OpDef {
  std::string_view name;
  size_t min_inputs = 1;
  size_t max_inputs = 1;  // or kVariadic
  size_t max_outputs = 1;
  std::string_view attributes = {};  // names, separated by spaces
  Status (*infer)(InferContext&) = nullptr;
  /// Made by a pass, refused in a model file.
  bool internal = false;
};

/// The operator, or nullptr.
const OpDef* FindOp(std::string_view name);
/// All names that a loader may use, sorted.
std::vector<std::string> SupportedOps();

/// Types and shapes of all values of a verified graph, in topological order, and the contents of
/// its shape arithmetic.
/// `from_file`: refuse internal operators. Errors: kUnimplemented or kInvalidArgument, naming node
/// and operator.
Result<ContentsTable> InferShapes(Graph& graph, bool from_file);

}  // namespace trawl::engine
