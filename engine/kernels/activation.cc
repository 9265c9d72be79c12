#include "engine/kernels/activation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace trawl::engine {
namespace {

struct Name {
  ActivationKind kind;
  std::string_view op;
};

constexpr std::array kNames{
    Name{ActivationKind::kRelu, "Relu"},
    Name{ActivationKind::kClip, "Clip"},
    Name{ActivationKind::kLeakyRelu, "LeakyRelu"},
    Name{ActivationKind::kSigmoid, "Sigmoid"},
    Name{ActivationKind::kTanh, "Tanh"},
    Name{ActivationKind::kHardSigmoid, "HardSigmoid"},
    Name{ActivationKind::kHardSwish, "HardSwish"},
    Name{ActivationKind::kSwish, "Swish"},
    Name{ActivationKind::kGelu, "Gelu"},
};

/// A bound of Clip: `fallback` when absent, nullopt when it is computed.
std::optional<float> Bound(const Graph& graph, const Node& node, size_t i, float fallback) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return fallback;
  const Value& value = graph.value(node.inputs[i]);
  if (!value.constant || value.dtype != DType::kF32 || value.constant->size() != 1)
    return std::nullopt;
  return value.constant->data<float>()[0];
}

float DefaultAlpha(ActivationKind kind) {
  if (kind == ActivationKind::kLeakyRelu) return 0.01f;
  return kind == ActivationKind::kSwish ? 1.0f : 0.2f;
}

template <class Function>
void ForEach(float* data, size_t count, Function function) {
  for (size_t i = 0; i < count; ++i) data[i] = function(data[i]);
}

}  // namespace

std::optional<Activation> AsActivation(const Graph& graph, const Node& node) {
  const auto name = std::find_if(kNames.begin(), kNames.end(),
                                 [&](const Name& candidate) { return candidate.op == node.op; });
  if (name == kNames.end()) return std::nullopt;
  Activation activation{name->kind, 0, 0};
  if (name->kind == ActivationKind::kClip) {
    const auto low = Bound(graph, node, 1, std::numeric_limits<float>::lowest());
    const auto high = Bound(graph, node, 2, std::numeric_limits<float>::max());
    if (!low || !high) return std::nullopt;
    activation.alpha = *low;
    activation.beta = *high;
    return activation;
  }
  const float default_alpha = DefaultAlpha(name->kind);
  activation.alpha = node.attributes.Float("alpha", default_alpha).value_or(default_alpha);
  activation.beta = node.attributes.Float("beta", 0.5f).value_or(0.5f);
  return activation;
}

void SetActivation(const Activation& activation, Attributes& attributes) {
  for (const Name& name : kNames) {
    if (name.kind != activation.kind) continue;
    attributes.Set("activation", std::string(name.op));
    attributes.Set("activation_alpha", activation.alpha);
    attributes.Set("activation_beta", activation.beta);
  }
}

Result<Activation> GetActivation(const Attributes& attributes) {
  TRAWL_ASSIGN(const std::string op, attributes.String("activation", ""));
  if (op.empty()) return Activation{};
  TRAWL_ASSIGN(const float alpha, attributes.Float("activation_alpha", 0));
  TRAWL_ASSIGN(const float beta, attributes.Float("activation_beta", 0));
  for (const Name& name : kNames) {
    if (name.op == op) return Activation{name.kind, alpha, beta};
  }
  return Error(Code::kInternal, "activation '{}' is not known", op);
}

float Activate(const Activation& activation, float x) {
  switch (activation.kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kRelu:
      return x < 0 ? 0 : x;
    case ActivationKind::kClip:
      return std::min(std::max(x, activation.alpha), activation.beta);
    case ActivationKind::kLeakyRelu:
      return x < 0 ? activation.alpha * x : x;
    case ActivationKind::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kHardSigmoid:
      return std::clamp(activation.alpha * x + activation.beta, 0.0f, 1.0f);
    case ActivationKind::kHardSwish:
      return x * std::clamp(x / 6 + 0.5f, 0.0f, 1.0f);
    case ActivationKind::kSwish:
      return x / (1 + std::exp(-activation.alpha * x));
    case ActivationKind::kGelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  }
  return x;
}

void AddBiasAndActivate(const Activation& activation, float bias, float scale, float* data,
                        size_t count) {
  // The kinds of nearly every layer get loops that vectorise; the rest are rare or dominated by
  // exp.
  switch (activation.kind) {
    case ActivationKind::kNone:
      if (bias == 0 && scale == 1) return;
      return ForEach(data, count, [=](float x) { return (x + bias) * scale; });
    case ActivationKind::kRelu:
      return ForEach(data, count, [=](float x) {
        const float y = (x + bias) * scale;
        return y < 0 ? 0 : y;
      });
    case ActivationKind::kClip:
      return ForEach(data, count, [=, low = activation.alpha, high = activation.beta](float x) {
        return std::min(std::max((x + bias) * scale, low), high);
      });
    case ActivationKind::kHardSwish:
      return ForEach(data, count, [=](float x) {
        const float y = (x + bias) * scale;
        return y * std::min(std::max(y / 6 + 0.5f, 0.0f), 1.0f);
      });
    default:
      return ForEach(data, count,
                     [&](float x) { return Activate(activation, (x + bias) * scale); });
  }
}

}  // namespace trawl::engine
