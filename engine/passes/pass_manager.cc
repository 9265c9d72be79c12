// Runs the passes in order, each timed, switchable, and followed by verification and fresh shape
// inference.
#include <algorithm>
#include <chrono>

#include "config/suggest.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

struct Pass {
  std::string_view name;
  bool required;  // the graph does not run without it, or not at every batch
  Result<int> (*run)(Graph&, const ContentsTable&);
  bool for_fast_kernels = false;  // means nothing to the reference kernels
  bool for_integers = false;      // only where quantised models compute in integers
};

constexpr Pass kPasses[] = {
    {"resolve_shapes", true, ResolveShapes},
    {"use_integers", false, UseIntegers, false, /*for_integers=*/true},
    {"fuse_integer_sums", false, FuseIntegerSums, false, /*for_integers=*/true},
    {"fuse_quantization", false, FuseQuantization},
    {"fold_constants", false, FoldConstants},
    {"eliminate_identities", false, EliminateIdentities},
    {"compose_operators", false, ComposeOperators},
    {"channels_first", false, WorkOnChannelsFirst},
    {"fold_batch_norm", false, FoldBatchNorm},
    {"fuse_epilogues", false, FuseEpilogues},
    {"block_channels", false, BlockChannels, /*for_fast_kernels=*/true},
    {"interleave_pixels", false, InterleavePixels, /*for_fast_kernels=*/true, true},
};

Status CheckNames(const std::vector<std::string>& disabled) {
  const std::vector<std::string> names = PassNames();
  for (const std::string& name : disabled) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return Error(Code::kInvalidArgument, "there is no pass '{}'{}", name,
                   DidYouMean(name, names));
    }
  }
  return OkStatus();
}

/// One pass and what keeps the graph sound after it.
Result<int> RunPass(const Pass& pass, Graph& graph, ContentsTable& contents) {
  TRAWL_ASSIGN(const int changes, pass.run(graph, contents));
  if (changes == 0) return 0;
  RemoveDeadNodes(graph);
  TRAWL_TRY(graph.Verify());
  TRAWL_ASSIGN(contents, InferShapes(graph, /*from_file=*/false));
  return changes;
}

}  // namespace

std::vector<std::string> PassNames() {
  std::vector<std::string> names;
  for (const Pass& pass : kPasses) names.emplace_back(pass.name);
  return names;
}

Result<ContentsTable> RunPasses(Graph& graph, const CompileOptions& options,
                                std::vector<PassReport>& reports) {
  TRAWL_TRY(CheckNames(options.disabled_passes));
  RemoveDeadNodes(graph);
  TRAWL_TRY(graph.Verify());
  TRAWL_ASSIGN(ContentsTable contents, InferShapes(graph, /*from_file=*/true));
  for (const Pass& pass : kPasses) {
    const auto& disabled = options.disabled_passes;
    PassReport report{std::string(pass.name), true, 0, 0};
    report.enabled = (pass.required ||
                      std::find(disabled.begin(), disabled.end(), pass.name) == disabled.end()) &&
                     !(pass.for_fast_kernels && options.reference_kernels) &&
                     !(pass.for_integers && !*options.integers);
    if (report.enabled) {
      const auto start = std::chrono::steady_clock::now();
      auto changes = RunPass(pass, graph, contents);
      if (!changes) return Annotate(changes.error(), "pass {}", pass.name);
      report.changes = *changes;
      report.milliseconds =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count();
    }
    reports.push_back(std::move(report));
  }
  return contents;
}

}  // namespace trawl::engine
