#pragma once
// From the form that an operator has in a file's opset to the engine's vocabulary (engine/ops.h).

#include <cstdint>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// The opsets whose operators are known here. Opset 6 is read without its own rules of
/// broadcasting; from 18 on, what the vocabulary knows of new inputs and attributes is read. The
/// rest is refused where it occurs.
inline constexpr int64_t kOldestOpset = 6;
inline constexpr int64_t kNewestOpset = 28;

/// Rewrites `node`, which is as the file of opset `opset` has it, and may add constants to `graph`.
/// Errors: kInvalidArgument (attribute of a wrong type), kUnimplemented.
Status UpgradeNode(Graph& graph, int64_t opset, Node& node);

}  // namespace trawl::engine
