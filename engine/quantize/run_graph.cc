#include "engine/quantize/run_graph.h"

#include <algorithm>

namespace trawl::engine {
namespace {

/// All observed values are live at once, so batches are small.
constexpr size_t kPicturesAtOnce = 4;

}  // namespace

Result<std::unique_ptr<GraphRunner>> GraphRunner::Create(Graph graph,
                                                         const std::vector<ValueId>& values,
                                                         RunOptions options) {
  graph.outputs() = values;
  CompileOptions compile;
  compile.bf16 = options.bf16;
  TRAWL_ASSIGN(auto compiled, CompiledGraph::Compile(std::move(graph), compile));
  if (compiled->LacksBf16()) {
    return Error(
        Code::kFailedPrecondition,
        "this processor has no products of bf16 (AVX-512 BF16), so what they change cannot "
        "be measured here");
  }
  if (compiled->input_count() != 1) {
    return Error(Code::kInvalidArgument, "the values do not depend on one picture alone");
  }
  auto runner =
      std::unique_ptr<GraphRunner>(new GraphRunner(std::move(compiled), std::move(options)));
  TRAWL_ASSIGN(runner->execution_,
               Execution::Create(*runner->compiled_, kPicturesAtOnce, runner->options_.threads));
  return runner;
}

Status GraphRunner::Run(const Pictures& pictures,
                        const std::function<void(size_t i, const ConstTensorView& x)>& visit) {
  Shape shape = *compiled_->input(0).shape;
  shape[0] = 1;
  const auto size = static_cast<size_t>(ElementCount(shape));
  std::vector<float> batch;
  for (size_t first = 0; first < pictures.size(); first += kPicturesAtOnce) {
    if (options_.stopped && options_.stopped()) return Error(Code::kCancelled, "interrupted");
    batch.clear();
    const size_t count = std::min(kPicturesAtOnce, pictures.size() - first);
    for (size_t i = first; i < first + count; ++i) {
      if (pictures[i].size() != size) {
        return Error(Code::kInvalidArgument, "a picture of {} numbers instead of {}",
                     pictures[i].size(), size);
      }
      batch.insert(batch.end(), pictures[i].begin(), pictures[i].end());
    }
    shape[0] = static_cast<int64_t>(count);
    const ConstTensorView input{DType::kF32, shape,
                                reinterpret_cast<const std::byte*>(batch.data())};
    TRAWL_TRY(execution_->Run(shape[0], {&input, 1}));
    for (size_t i = 0; i < compiled_->output_count(); ++i) visit(i, execution_->output(i));
  }
  return OkStatus();
}

}  // namespace trawl::engine
