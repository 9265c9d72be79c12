// Reference kernels of the elementwise operators: one loop over the output with broadcasting
// strides.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/kernels/activation.h"
#include "engine/kernels/reference/numeric_type.h"
#include "engine/kernels/tables.h"
#include "engine/strided.h"

namespace trawl::engine {
namespace {

template <class Function>
KernelResult UnaryF32(Function function) {
  return MakeKernel(
      [function](const KernelCall& call) {
        const auto x = call.inputs[0].data<float>();
        const auto y = call.outputs[0].data<float>();
        for (size_t i = 0; i < y.size(); ++i) y[i] = function(x[i]);
        return OkStatus();
      },
      0);
}

/// A capture-free function as a table entry.
template <auto kFunction>
KernelResult MakeUnary(const NodeView&) {
  return UnaryF32([](float x) { return kFunction(x); });
}

template <class T, class Function>
KernelResult UnaryOf(Function function) {
  return MakeKernel(
      [function](const KernelCall& call) {
        const auto x = call.inputs[0].data<T>();
        const auto y = call.outputs[0].data<T>();
        for (size_t i = 0; i < y.size(); ++i) y[i] = function(x[i]);
        return OkStatus();
      },
      0);
}

/// Integer arithmetic wraps around: shape arithmetic of a hostile file must not be undefined.
template <class T, class Function>
T Wrap(T a, T b, Function function) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(function(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return function(a, b);
  }
}

template <class T>
T Divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if (b == -1) return Wrap<T>(0, a, [](auto x, auto y) { return x - y; });
  }
  return a / b;
}

float Erf(float x) { return std::erf(x); }
float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float Softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }
float Softsign(float x) { return x / (1 + std::fabs(x)); }
float Reciprocal(float x) { return 1 / x; }
float Relu(float x) { return x < 0 ? 0 : x; }
float HardSwish(float x) { return Activate({ActivationKind::kHardSwish, 0, 0}, x); }
float Sign(float x) { return x > 0 ? 1.0f : (x < 0 ? -1.0f : x); }
float RoundHalfEven(float x) { return std::nearbyint(x); }
float Ceil(float x) { return std::ceil(x); }
float Floor(float x) { return std::floor(x); }
float Exp(float x) { return std::exp(x); }
float Log(float x) { return std::log(x); }
float Sqrt(float x) { return std::sqrt(x); }
float Tanh(float x) { return std::tanh(x); }

KernelResult MakeAbs(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return UnaryOf<T>(
        [](T x) { return x < 0 ? Wrap<T>(0, x, [](auto a, auto b) { return a - b; }) : x; });
  });
}

KernelResult MakeNeg(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return UnaryOf<T>([](T x) {
      if constexpr (std::is_integral_v<T>) {
        return Wrap<T>(0, x, [](auto a, auto b) { return a - b; });
      } else {
        return -x;
      }
    });
  });
}

KernelResult MakeCelu(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1));
  return UnaryF32([alpha](float x) {
    return std::max(0.0f, x) + std::min(0.0f, alpha * std::expm1(x / alpha));
  });
}

KernelResult MakeElu(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1));
  return UnaryF32([alpha](float x) { return x < 0 ? alpha * std::expm1(x) : x; });
}

KernelResult MakeSelu(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1.67326319217681884765625f));
  TRAWL_ASSIGN(const float gamma, node.attributes().Float("gamma", 1.05070102214813232421875f));
  return UnaryF32([=](float x) { return gamma * (x > 0 ? x : alpha * std::expm1(x)); });
}

KernelResult MakeThresholdedRelu(const NodeView& node) {
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1));
  return UnaryF32([alpha](float x) { return x > alpha ? x : 0; });
}

/// LeakyRelu and HardSigmoid, whose defaults activation.h knows.
KernelResult MakeActivation(const NodeView& node) {
  const auto activation = AsActivation(node.graph(), node.node());
  CHECK(activation.has_value());
  return UnaryF32([activation = *activation](float x) { return Activate(activation, x); });
}

/// y = function(a, b) with broadcasting; In and Out are element types.
template <class In, class Out, class Function>
KernelResult BinaryOf(Function function) {
  return MakeKernel([function](const KernelCall& call) {
    const auto a = call.inputs[0].data<In>();
    const auto b = call.inputs[1].data<In>();
    const auto y = call.outputs[0].data<Out>();
    const auto shape = call.outputs[0].shape;
    size_t i = 0;
    ForEachIndex<2>(shape,
                    {BroadcastStrides(call.inputs[0].shape, shape),
                     BroadcastStrides(call.inputs[1].shape, shape)},
                    [&](const auto& at) {
                      y[i++] =
                          function(a[static_cast<size_t>(at[0])], b[static_cast<size_t>(at[1])]);
                    });
    return OkStatus();
  });
}

KernelResult MakeAdd(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return BinaryOf<T, T>(
        [](T a, T b) { return Wrap(a, b, [](auto x, auto y) { return x + y; }); });
  });
}

KernelResult MakeSub(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return BinaryOf<T, T>(
        [](T a, T b) { return Wrap(a, b, [](auto x, auto y) { return x - y; }); });
  });
}

KernelResult MakeMul(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return BinaryOf<T, T>(
        [](T a, T b) { return Wrap(a, b, [](auto x, auto y) { return x * y; }); });
  });
}

KernelResult MakeDiv(const NodeView& node) {
  return WithNumericType(
      node, 0, []<class T>(T) { return BinaryOf<T, T>([](T a, T b) { return Divide(a, b); }); });
}

KernelResult MakePow(const NodeView&) {
  return BinaryOf<float, float>([](float a, float b) { return std::pow(a, b); });
}

KernelResult MakePRelu(const NodeView&) {
  return BinaryOf<float, float>([](float x, float slope) { return x < 0 ? slope * x : x; });
}

KernelResult MakeEqual(const NodeView& node) {
  return WithNumericType(
      node, 0, []<class T>(T) { return BinaryOf<T, bool>([](T a, T b) { return a == b; }); });
}

KernelResult MakeWhere(const NodeView& node) {
  return WithNumericType(node, 1, []<class T>(T) {
    return MakeKernel([](const KernelCall& call) {
      const auto condition = call.inputs[0].data<bool>();
      const auto x = call.inputs[1].data<T>();
      const auto z = call.inputs[2].data<T>();
      const auto y = call.outputs[0].data<T>();
      const auto shape = call.outputs[0].shape;
      size_t i = 0;
      ForEachIndex<3>(shape,
                      {BroadcastStrides(call.inputs[0].shape, shape),
                       BroadcastStrides(call.inputs[1].shape, shape),
                       BroadcastStrides(call.inputs[2].shape, shape)},
                      [&](const auto& at) {
                        y[i++] = condition[static_cast<size_t>(at[0])]
                                     ? x[static_cast<size_t>(at[1])]
                                     : z[static_cast<size_t>(at[2])];
                      });
      return OkStatus();
    });
  });
}

/// y = function(… function(x0, x1) …, xn), then `finish(y, n)`.
template <class T, class Function, class Finish>
KernelResult VariadicOf(Function function, Finish finish) {
  return MakeKernel([=](const KernelCall& call) {
    const auto y = call.outputs[0].data<T>();
    const auto shape = call.outputs[0].shape;
    for (size_t k = 0; k < call.inputs.size(); ++k) {
      const auto x = call.inputs[k].data<T>();
      size_t i = 0;
      ForEachIndex<1>(shape, {BroadcastStrides(call.inputs[k].shape, shape)}, [&](const auto& at) {
        const T value = x[static_cast<size_t>(at[0])];
        y[i] = k == 0 ? value : function(y[i], value);
        ++i;
      });
    }
    for (T& value : y) value = finish(value, call.inputs.size());
    return OkStatus();
  });
}

constexpr auto kAsIs = [](auto value, size_t) { return value; };

/// max and min as the standard means them: a NaN stays.
KernelResult MakeMax(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return VariadicOf<T>([](T a, T b) { return a > b || a != a ? a : b; }, kAsIs);
  });
}

KernelResult MakeMin(const NodeView& node) {
  return WithNumericType(node, 0, []<class T>(T) {
    return VariadicOf<T>([](T a, T b) { return a < b || a != a ? a : b; }, kAsIs);
  });
}

KernelResult MakeSum(const NodeView&) {
  return VariadicOf<float>([](float a, float b) { return a + b; }, kAsIs);
}

KernelResult MakeMean(const NodeView&) {
  return VariadicOf<float>([](float a, float b) { return a + b; },
                           [](float sum, size_t n) { return sum / static_cast<float>(n); });
}

template <class T>
KernelResult ClipOf() {
  return MakeKernel(
      [](const KernelCall& call) {
        const auto bound = [&](size_t i, T fallback) {
          const bool given = i < call.inputs.size() && call.inputs[i].bytes != nullptr;
          return given ? call.inputs[i].data<T>()[0] : fallback;
        };
        const T low = bound(1, std::numeric_limits<T>::lowest());
        const T high = bound(2, std::numeric_limits<T>::max());
        const auto x = call.inputs[0].data<T>();
        const auto y = call.outputs[0].data<T>();
        for (size_t i = 0; i < y.size(); ++i) y[i] = std::min(std::max(x[i], low), high);
        return OkStatus();
      },
      0);
}

KernelResult MakeClip(const NodeView& node) {
  if (node.dtype(0) == DType::kI8) return ClipOf<int8_t>();
  return WithNumericType(node, 0, []<class T>(T) { return ClipOf<T>(); });
}

/// A C++ conversion, but saturating from floating point to integers, where C++ leaves it undefined.
template <class To, class From>
To ConvertElement(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (std::isnan(x)) return 0;
    const auto wide = static_cast<double>(x);
    if (wide <= static_cast<double>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    if (wide >= static_cast<double>(std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    return static_cast<To>(wide);
  } else {
    return static_cast<To>(x);
  }
}

template <class Function>
KernelResult WithAnyType(DType dtype, Function function) {
  switch (dtype) {
    case DType::kF32:
      return function(float{});
    case DType::kF64:
      return function(double{});
    case DType::kI8:
      return function(int8_t{});
    case DType::kU8:
      return function(uint8_t{});
    case DType::kI32:
      return function(int32_t{});
    case DType::kI64:
      return function(int64_t{});
    case DType::kBool:
      return function(bool{});
  }
  CHECK(false);
}

KernelResult MakeCast(const NodeView& node) {
  const DType to = node.graph().value(node.node().outputs[0]).dtype;
  return WithAnyType(node.dtype(0), [to]<class From>(From) {
    return WithAnyType(to, []<class To>(To) {
      return MakeKernel([](const KernelCall& call) {
        const auto x = call.inputs[0].data<From>();
        const auto y = call.outputs[0].data<To>();
        std::transform(x.begin(), x.end(), y.begin(), ConvertElement<To, From>);
        return OkStatus();
      });
    });
  });
}

KernelResult MakeDropout(const NodeView&) {
  return MakeKernel(
      [](const KernelCall& call) {
        std::memmove(call.outputs[0].bytes, call.inputs[0].bytes, call.inputs[0].byte_size());
        if (call.outputs.size() > 1 && call.outputs[1].bytes != nullptr) {
          const auto mask = call.outputs[1].data<bool>();
          std::fill(mask.begin(), mask.end(), true);
        }
        return OkStatus();
      },
      0);
}

constexpr KernelDef Reference(std::string_view op, KernelResult (*make)(const NodeView&)) {
  return {.name = "reference", .op = op, .make = make};
}

constexpr KernelDef kKernels[] = {
    Reference("Abs", MakeAbs),
    Reference("Neg", MakeNeg),
    Reference("Ceil", MakeUnary<Ceil>),
    Reference("Erf", MakeUnary<Erf>),
    Reference("Exp", MakeUnary<Exp>),
    Reference("Floor", MakeUnary<Floor>),
    Reference("HardSwish", MakeUnary<HardSwish>),
    Reference("Log", MakeUnary<Log>),
    Reference("Reciprocal", MakeUnary<Reciprocal>),
    Reference("Relu", MakeUnary<Relu>),
    Reference("Round", MakeUnary<RoundHalfEven>),
    Reference("Sigmoid", MakeUnary<Sigmoid>),
    Reference("Sign", MakeUnary<Sign>),
    Reference("Softplus", MakeUnary<Softplus>),
    Reference("Softsign", MakeUnary<Softsign>),
    Reference("Sqrt", MakeUnary<Sqrt>),
    Reference("Tanh", MakeUnary<Tanh>),
    Reference("Celu", MakeCelu),
    Reference("Elu", MakeElu),
    Reference("HardSigmoid", MakeActivation),
    Reference("LeakyRelu", MakeActivation),
    Reference("Swish", MakeActivation),
    Reference("Gelu", MakeActivation),
    Reference("Selu", MakeSelu),
    Reference("ThresholdedRelu", MakeThresholdedRelu),
    Reference("PRelu", MakePRelu),
    Reference("Clip", MakeClip),
    Reference("Add", MakeAdd),
    Reference("Sub", MakeSub),
    Reference("Mul", MakeMul),
    Reference("Div", MakeDiv),
    Reference("Pow", MakePow),
    Reference("Equal", MakeEqual),
    Reference("Where", MakeWhere),
    Reference("Max", MakeMax),
    Reference("Min", MakeMin),
    Reference("Sum", MakeSum),
    Reference("Mean", MakeMean),
    Reference("Cast", MakeCast),
    Reference("Dropout", MakeDropout),
};

}  // namespace

std::span<const KernelDef> ReferenceElementwiseKernels() { return kKernels; }

}  // namespace trawl::engine
