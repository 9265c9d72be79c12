// Reference kernels of the reductions: one pass over the data, accumulating into the output.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/kernels/reference/numeric_type.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"
#include "engine/strided.h"

namespace trawl::engine {
namespace {

/// Strides into the output for each dimension of the data: 0 where it is reduced.
Dims OutputStrides(std::span<const int64_t> data, const std::array<bool, kMaxRank>& reduced) {
  Dims strides{};
  int64_t stride = 1;
  for (size_t i = data.size(); i-- > 0;) {
    if (reduced[i]) continue;
    strides[i] = stride;
    stride *= data[i];
  }
  return strides;
}

/// y = finish(function(… function(start, x0) …), count of elements per output).
template <class T, class Function, class Finish>
KernelResult ReduceOf(const NodeView& node, T start, Function function, Finish finish) {
  TRAWL_ASSIGN(const auto flags, ReducedDims(node));
  std::array<bool, kMaxRank> reduced{};
  std::copy(flags.begin(), flags.end(), reduced.begin());
  return MakeKernel([=](const KernelCall& call) {
    const auto shape = call.inputs[0].shape;
    const auto x = call.inputs[0].data<T>();
    const auto y = call.outputs[0].data<T>();
    std::fill(y.begin(), y.end(), start);
    size_t i = 0;
    ForEachIndex<1>(shape, {OutputStrides(shape, reduced)}, [&](const auto& at) {
      T& out = y[static_cast<size_t>(at[0])];
      out = function(out, x[i++]);
    });
    const size_t count = y.empty() ? 0 : x.size() / y.size();
    for (T& out : y) out = finish(out, count);
    return OkStatus();
  });
}

constexpr auto kAsIs = [](auto value, size_t) { return value; };

/// Integer sums and products wrap around instead of being undefined.
template <class T>
T WrappingAdd(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    T sum = 0;
    static_cast<void>(__builtin_add_overflow(a, b, &sum));
    return sum;
  } else {
    return a + b;
  }
}

template <class T>
T WrappingMultiply(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    T product = 0;
    static_cast<void>(__builtin_mul_overflow(a, b, &product));
    return product;
  } else {
    return a * b;
  }
}

KernelResult MakeReduceSum(const NodeView& node) {
  return WithNumericType(
      node, 0, [&]<class T>(T) { return ReduceOf<T>(node, T{0}, WrappingAdd<T>, kAsIs); });
}

KernelResult MakeReduceProd(const NodeView& node) {
  return WithNumericType(
      node, 0, [&]<class T>(T) { return ReduceOf<T>(node, T{1}, WrappingMultiply<T>, kAsIs); });
}

KernelResult MakeReduceMean(const NodeView& node) {
  return ReduceOf<float>(node, 0.0f, WrappingAdd<float>,
                         [](float sum, size_t count) { return sum / static_cast<float>(count); });
}

KernelResult MakeReduceMax(const NodeView& node) {
  return WithNumericType(node, 0, [&]<class T>(T) {
    return ReduceOf<T>(
        node, std::numeric_limits<T>::lowest(), [](T a, T b) { return std::max(a, b); }, kAsIs);
  });
}

KernelResult MakeReduceMin(const NodeView& node) {
  return WithNumericType(node, 0, [&]<class T>(T) {
    return ReduceOf<T>(
        node, std::numeric_limits<T>::max(), [](T a, T b) { return std::min(a, b); }, kAsIs);
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "ReduceSum", .make = MakeReduceSum},
    {.name = "reference", .op = "ReduceProd", .make = MakeReduceProd},
    {.name = "reference", .op = "ReduceMean", .make = MakeReduceMean},
    {.name = "reference", .op = "ReduceMax", .make = MakeReduceMax},
    {.name = "reference", .op = "ReduceMin", .make = MakeReduceMin},
};

}  // namespace

std::span<const KernelDef> ReferenceReduceKernels() { return kKernels; }

}  // namespace trawl::engine
