#pragma once
// Kernels: the code that computes one node. Several may serve an operator; the registry ranks them.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "config/status.h"
#include "engine/ops.h"
#include "engine/simd/microkernels.h"
#include "engine/tensor_view.h"
#include "engine/thread_team.h"

namespace trawl::engine {

/// One call. Views of absent optional inputs and unwanted outputs have bytes == nullptr.
struct KernelCall {
  int64_t batch = 1;
  std::span<const ConstTensorView> inputs;
  std::span<const TensorView> outputs;
  std::byte* scratch = nullptr;  // ScratchBytes(batch, team->size()) bytes, aligned to kAlignment
  ThreadTeam* team = nullptr;    // never null; what may be split goes through ThreadTeam::ForEach
};

/// Bound to one node at load, with its parameters read and its weights packed; shared by all
/// threads.
class Kernel {
 public:
  virtual ~Kernel() = default;

  /// Computes the outputs in full. Allocates nothing. Errors: only for data out of an operator's
  /// range.
  virtual Status Run(const KernelCall& call) const = 0;
  /// `images`: the first dimension of the call's first output, which is not the batch where a graph
  /// has fixed it or folded others into it. May not fall when it grows: an execution reserves for
  /// its largest batch.
  virtual size_t ScratchBytes(int64_t /*images*/, int /*threads*/) const { return 0; }
  /// The input whose buffer the first output may take (same bytes in size), or -1. Run then sees
  /// equal addresses.
  virtual int InPlaceInput() const { return -1; }
  /// True when the kernel has a copy of its own of the constant input `i` and never reads the
  /// original, whose memory may then be given back.
  virtual bool PacksInput(size_t /*i*/) const { return false; }
  /// Bytes of its own packed weights that a call reads; 0 when it reads the node's constants.
  virtual size_t PackedBytes() const { return 0; }
  /// What else a person should know about how it serves the node, or "": which calls it hands to
  /// another kernel.
  virtual std::string Remark() const { return ""; }
};

/// A kernel from a callable `Status(const KernelCall&)`; captures are its parameters.
template <class Function>
class FunctionKernel final : public Kernel {
 public:
  FunctionKernel(Function function, int in_place_input)
      : function_(std::move(function)), in_place_input_(in_place_input) {}
  Status Run(const KernelCall& call) const override { return function_(call); }
  int InPlaceInput() const override { return in_place_input_; }

 private:
  Function function_;
  int in_place_input_;
};

using KernelResult = Result<std::unique_ptr<const Kernel>>;

template <class Function>
KernelResult MakeKernel(Function function, int in_place_input = -1) {
  return std::make_unique<FunctionKernel<Function>>(std::move(function), in_place_input);
}

/// An entry of the registry.
struct KernelDef {
  /// "reference", or after XNNPACK dtype_op_tile__isa.
  std::string_view name;
  std::string_view op;
  /// The highest-ranked kernel that supports a node serves it; 0 is the reference, which supports
  /// all that inference lets by.
  int rank = 0;
  /// Empty when the kernel supports the node, else the reason. nullptr: supports every node.
  std::string (*why_not)(const NodeView&) = nullptr;
  KernelResult (*make)(const NodeView&) = nullptr;
  /// Instead of `make`, for kernels over microkernels; their names get the instruction set behind.
  KernelResult (*make_simd)(const NodeView&, const simd::Microkernels&) = nullptr;
  /// Layout of the first output. A kernel serves only nodes whose output has it.
  Layout layout = Layout::kPlain;
  /// Of a blocked kernel: its first input is plain, not blocked (the network's first convolution).
  bool plain_input = false;
  /// Of a kernel with a plain output: its first input is interleaved.
  bool interleaved_input = false;
  /// Only where the instruction set has products of bytes (Microkernels::int8).
  bool needs_int8 = false;
  /// Rounds what it multiplies to bf16: only where the model asks for it, and the instruction set
  /// has such products (Microkernels::bf16). Of no other layout than what serves the node in f32.
  bool needs_bf16 = false;
};

/// The kernel that serves a node, and why better-ranked ones do not.
struct BoundKernel {
  std::unique_ptr<const Kernel> kernel;
  std::string name;
  std::string reason;
};

/// `microkernels`: nullptr for the reference kernels alone. `bf16`: kernels may round to bf16.
/// Errors: kUnimplemented when no kernel serves the operator.
Result<BoundKernel> BindKernel(const NodeView& node, const simd::Microkernels* microkernels,
                               bool bf16 = false);

/// The best kernel that would serve the node if its values had `layout`, or nullptr: what the
/// passes that choose layouts ask.
const KernelDef* FindKernel(const NodeView& node, Layout layout);

}  // namespace trawl::engine
