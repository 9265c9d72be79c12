#pragma once
// The tables of MXNet operators, one per family; mxnet_operators.cc joins them.

#include <span>

#include "engine/loaders/mxnet_operators.h"

namespace trawl::engine {

std::span<const MxnetOperator> MxnetLayers();
std::span<const MxnetOperator> MxnetArithmetic();
std::span<const MxnetOperator> MxnetMovement();

}  // namespace trawl::engine
