// Reference kernels of data movement, for elements of any type: bytes are copied, never read.
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/kernels/strided_read.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

int64_t Product(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (const int64_t dim : dims) product *= dim;
  return product;
}

/// Copies `rows` runs of `bytes` each between two strided places.
void CopyRows(std::byte* to, size_t to_stride, const std::byte* from, size_t from_stride,
              size_t bytes, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i, to += to_stride, from += from_stride) {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
}

size_t RunBytes(const ConstTensorView& view, size_t axis) {
  return static_cast<size_t>(Product(view.shape.subspan(axis))) * ByteSize(view.dtype);
}

KernelResult MakeConcat(const NodeView& node) {
  TRAWL_ASSIGN(const int64_t attribute, node.attributes().Int("axis", 0));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, node.shape(0).size()));
  return MakeKernel([axis](const KernelCall& call) {
    const TensorView& y = call.outputs[0];
    const size_t row = RunBytes(y, axis);
    const int64_t rows = Product(y.shape.first(axis));
    std::byte* to = y.bytes;
    for (const ConstTensorView& x : call.inputs) {
      const size_t run = RunBytes(x, axis);
      CopyRows(to, row, x.bytes, run, run, rows);
      to += run;
    }
    return OkStatus();
  });
}

KernelResult MakeSplit(const NodeView& node) {
  TRAWL_ASSIGN(const int64_t attribute, node.attributes().Int("axis", 0));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, node.shape(0).size()));
  TRAWL_ASSIGN(const auto sizes, SplitSizes(node, axis));
  return MakeKernel([axis, sizes](const KernelCall& call) {
    const ConstTensorView& x = call.inputs[0];
    const size_t row = RunBytes(x, axis);
    const size_t unit = RunBytes(x, axis + 1);
    const std::byte* from = x.bytes;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const size_t run = static_cast<size_t>(sizes[i]) * unit;
      if (call.outputs[i].bytes != nullptr) {
        CopyRows(call.outputs[i].bytes, run, from, row, run, Product(x.shape.first(axis)));
      }
      from += run;
    }
    return OkStatus();
  });
}

/// One element after the other.
KernelResult MakeStrided(const NodeView& node) {
  return MakeStridedCopy(node, [](auto* to, const auto* from, auto shape, const Dims& strides) {
    ForEachIndex<1>(shape, {strides}, [&](const auto& at) { *to++ = from[at[0]]; });
  });
}

int64_t IndexAt(const ConstTensorView& indices, int64_t i) {
  const auto at = static_cast<size_t>(i);
  return indices.dtype == DType::kI64 ? indices.data<int64_t>()[at] : indices.data<int32_t>()[at];
}

KernelResult MakeGather(const NodeView& node) {
  TRAWL_ASSIGN(const int64_t attribute, node.attributes().Int("axis", 0));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, node.shape(0).size()));
  return MakeKernel([axis](const KernelCall& call) -> Status {
    const ConstTensorView& x = call.inputs[0];
    const ConstTensorView& indices = call.inputs[1];
    const int64_t dim = x.shape[axis], count = indices.size();
    const size_t run = RunBytes(x, axis + 1);
    std::byte* to = call.outputs[0].bytes;
    for (int64_t outer = 0; outer < Product(x.shape.first(axis)); ++outer) {
      for (int64_t i = 0; i < count; ++i, to += run) {
        int64_t index = IndexAt(indices, i);
        if (index < 0) index += dim;
        if (index < 0 || index >= dim) {
          return Error(Code::kInvalidArgument, "index {} is out of range for a dimension of {}",
                       index, dim);
        }
        if (run > 0) std::memcpy(to, x.bytes + static_cast<size_t>(outer * dim + index) * run, run);
      }
    }
    return OkStatus();
  });
}

/// Where element `i` of a padded dimension comes from; -1: from the padding value.
int64_t PadSource(PadMode mode, int64_t i, int64_t begin, int64_t dim) {
  const int64_t at = i - begin;
  if (at >= 0 && at < dim) return at;
  if (mode == PadMode::kConstant) return -1;
  if (mode == PadMode::kEdge) return at < 0 ? 0 : dim - 1;
  return at < 0 ? -at : 2 * (dim - 1) - at;
}

KernelResult MakePad(const NodeView& node) {
  TRAWL_ASSIGN(const PadSpec spec, ReadPads(node));
  return MakeKernel([spec](const KernelCall& call) {
    const ConstTensorView& x = call.inputs[0];
    const TensorView& y = call.outputs[0];
    const size_t element = ByteSize(x.dtype);
    const bool has_value = call.inputs.size() > 2 && call.inputs[2].bytes != nullptr;
    const std::array<std::byte, 8> zero{};
    const std::byte* value = has_value ? call.inputs[2].bytes : zero.data();
    const Dims x_strides = RowMajorStrides(x.shape);
    const Dims y_strides = RowMajorStrides(y.shape);
    const int64_t size = y.size();
    for (int64_t out = 0; out < size; ++out) {
      int64_t rest = out, in = 0;
      bool padded = false;
      for (size_t d = 0; d < y.shape.size(); ++d) {
        const int64_t source = PadSource(spec.mode, rest / y_strides[d], spec.begin[d], x.shape[d]);
        rest %= y_strides[d];
        padded = padded || source < 0;
        in += source * x_strides[d];
      }
      const std::byte* from = padded ? value : x.bytes + static_cast<size_t>(in) * element;
      std::memcpy(y.bytes + static_cast<size_t>(out) * element, from, element);
    }
    return OkStatus();
  });
}

KernelResult MakeConstantOfShape(const NodeView& node) {
  const Tensor* attribute = node.attributes().FindTensor("value");
  const Tensor value = attribute == nullptr ? Tensor(DType::kF32, {1}) : *attribute;
  return MakeKernel([value](const KernelCall& call) {
    const TensorView& y = call.outputs[0];
    const size_t element = ByteSize(y.dtype);
    for (size_t at = 0; at < y.byte_size(); at += element) {
      std::memcpy(y.bytes + at, value.bytes(), element);
    }
    return OkStatus();
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "Concat", .make = MakeConcat},
    {.name = "reference", .op = "Split", .make = MakeSplit},
    {.name = "reference", .op = "Transpose", .make = MakeStrided},
    {.name = "reference", .op = "Slice", .make = MakeStrided},
    {.name = "reference", .op = "Expand", .make = MakeStrided},
    {.name = "reference", .op = "Gather", .make = MakeGather},
    {.name = "reference", .op = "Pad", .make = MakePad},
    {.name = "reference", .op = "ConstantOfShape", .make = MakeConstantOfShape},
};

}  // namespace

std::span<const KernelDef> ReferenceMovementKernels() { return kKernels; }

}  // namespace trawl::engine
