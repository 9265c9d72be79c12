#pragma once
// Activations that convolutions and matrix products apply to their result while it is in the cache.

#include <cstddef>
#include <optional>

#include "config/status.h"
#include "engine/graph.h"
#include "engine/simd/activation.h"

namespace trawl::engine {

using simd::Activation;
using simd::ActivationKind;

/// The activation that `node` (Relu, Clip with constant bounds, …) is; nullopt when it is none that
/// can be fused.
std::optional<Activation> AsActivation(const Graph& graph, const Node& node);

/// Writes it as, and reads it from, the attributes activation, activation_alpha and
/// activation_beta.
void SetActivation(const Activation& activation, Attributes& attributes);
Result<Activation> GetActivation(const Attributes& attributes);

float Activate(const Activation& activation, float x);
/// data[i] = activation((data[i] + bias) * scale).
void AddBiasAndActivate(const Activation& activation, float bias, float scale, float* data,
                        size_t count);

}  // namespace trawl::engine
