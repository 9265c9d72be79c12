#include "tests/conformance/onnx/standard_tests.h"

#include <fmt/ranges.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "engine/compiled_graph.h"
#include "engine/loaders/loaders.h"
#include "engine/loaders/onnx_tensor.h"
#include "tests/support/temp_dir.h"

namespace trawl::engine::testing {
namespace {

namespace fs = std::filesystem;

Outcome Failed(std::string reason) { return {Verdict::kFailed, std::move(reason)}; }

/// A refusal is clean when it says what it is that is not supported.
Outcome Judge(const Status& status) {
  const std::string& message = status.message();
  const bool named = message.starts_with("node '") || message.starts_with("input '") ||
                     message.starts_with("weight '") || message.starts_with("opset ");
  if (status.code() == Code::kUnimplemented && named) return {Verdict::kRefused, message};
  return Failed(fmt::format("{}: {}", ToString(status.code()), message));
}

Result<Tensor> ReadTensor(const fs::path& path) {
  onnx::TensorProto proto;
  if (!proto.ParseFromString(trawl::testing::ReadFile(path))) {
    return Error(Code::kDataLoss, "{} is no tensor", path.string());
  }
  return ToTensor(proto);
}

/// `kind`_0.pb, `kind`_1.pb, … in the order of `names`.
Result<std::map<std::string, Tensor>> ReadTensors(const fs::path& folder, const std::string& kind,
                                                  const std::vector<std::string>& names) {
  std::map<std::string, Tensor> tensors;
  for (size_t i = 0; i < names.size(); ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", kind, i);
    if (!fs::exists(path)) break;
    TRAWL_ASSIGN(tensors[names[i]], ReadTensor(path));
  }
  return tensors;
}

template <class T>
bool Equal(const Tensor& actual, const Tensor& expected) {
  return std::ranges::equal(actual.data<T>(), expected.data<T>());
}

/// The bound of the standard's own runner: |actual - expected| <= 1e-7 + 1e-3 · |expected|.
bool Close(std::span<const float> actual, std::span<const float> expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const float a = actual[i], e = expected[i];
    if (std::isnan(a) && std::isnan(e)) continue;
    if (a == e) continue;  // infinities too
    if (!(std::abs(a - e) <= 1e-7f + 1e-3f * std::abs(e))) return false;
  }
  return true;
}

bool Matches(const Tensor& actual, const Tensor& expected) {
  if (actual.dtype() != expected.dtype() || actual.shape() != expected.shape()) return false;
  switch (expected.dtype()) {
    case DType::kF32:
      return Close(actual.data<float>(), expected.data<float>());
    case DType::kF64:
      return Equal<double>(actual, expected);
    case DType::kI8:
      return Equal<int8_t>(actual, expected);
    case DType::kU8:
      return Equal<uint8_t>(actual, expected);
    case DType::kI32:
      return Equal<int32_t>(actual, expected);
    case DType::kI64:
      return Equal<int64_t>(actual, expected);
    case DType::kBool:
      return Equal<bool>(actual, expected);
  }
  return false;
}

std::vector<std::string> Names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (const ValueId id : ids) names.push_back(graph.value(id).name);
  return names;
}

/// Shapes, axes and pads that come as inputs have to be known when a graph is compiled: when it is
/// refused with its integer inputs open, they are bound to the test's values.
Result<std::map<std::string, Tensor>> Run(const Graph& graph,
                                          const std::map<std::string, Tensor>& inputs,
                                          CompileOptions options) {
  auto outputs = RunOnce(graph, inputs, options);
  if (outputs || outputs.error().code() != Code::kUnimplemented) return outputs;
  for (const auto& [name, tensor] : inputs) {
    if (tensor.dtype() != DType::kF32) options.bound_inputs[name] = tensor;
  }
  return RunOnce(graph, inputs, options);
}

Outcome RunDataSet(const Graph& graph, const fs::path& folder, const CompileOptions& options) {
  const auto inputs = ReadTensors(folder, "input", Names(graph, graph.inputs()));
  if (!inputs) return Failed(inputs.error().message());
  const std::vector<std::string> names = Names(graph, graph.outputs());
  const auto actual = Run(graph, *inputs, options);
  if (!actual) return Judge(actual.error());
  const auto expected = ReadTensors(folder, "output", names);
  if (!expected) return Failed(expected.error().message());
  if (expected->size() != names.size()) return Failed("outputs are missing from the data");
  for (const auto& [name, tensor] : *expected) {
    const auto found = actual->find(name);
    if (found == actual->end()) return Failed(fmt::format("no output '{}'", name));
    if (!Matches(found->second, tensor)) {
      return Failed(fmt::format("output '{}' {} {} differs from {} {}", name,
                                ToString(found->second.dtype()), ToString(found->second.shape()),
                                ToString(tensor.dtype()), ToString(tensor.shape())));
    }
  }
  return {Verdict::kPassed, ""};
}

}  // namespace

std::vector<StandardTest> StandardTests(const std::string& group) {
  const char* configured = std::getenv("TRAWL_ONNX_TESTDATA");
  const fs::path root = configured != nullptr ? configured : "/usr/share/libonnx-testdata/data";
  std::vector<StandardTest> tests;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root / group, error)) {
    if (!fs::exists(entry.path() / "model.onnx")) continue;
    tests.push_back({group, entry.path().filename().string(), entry.path()});
  }
  std::ranges::sort(tests, {}, &StandardTest::name);
  return tests;
}

Outcome RunStandardTest(const StandardTest& test, bool reference_kernels) {
  const auto graph =
      LoadOnnx((test.folder / "model.onnx").string(), {.free_batch = false, .input_shape = {}});
  if (!graph) return Judge(graph.error());
  CompileOptions options;
  options.reference_kernels = reference_kernels;
  int data_sets = 0;
  for (const auto& entry : fs::directory_iterator(test.folder)) {
    if (!entry.path().filename().string().starts_with("test_data_set_")) continue;
    const Outcome outcome = RunDataSet(*graph, entry.path(), options);
    if (outcome.verdict != Verdict::kPassed) return outcome;
    ++data_sets;
  }
  if (data_sets == 0) return Failed("it has no data");
  return {Verdict::kPassed, ""};
}

}  // namespace trawl::engine::testing
