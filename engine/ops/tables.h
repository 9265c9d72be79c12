#pragma once
// The operator tables, one per family; engine/ops/registry.cc joins them.

#include <span>

#include "engine/ops.h"

namespace trawl::engine {

std::span<const OpDef> ElementwiseOps();
std::span<const OpDef> WindowOps();
std::span<const OpDef> MatMulOps();
std::span<const OpDef> NormalizeOps();
std::span<const OpDef> ReduceOps();
std::span<const OpDef> ReshapeOps();
std::span<const OpDef> MovementOps();
std::span<const OpDef> QuantizeOps();
std::span<const OpDef> QuantizedOps();

}  // namespace trawl::engine
