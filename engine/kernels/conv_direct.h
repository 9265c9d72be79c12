#pragma once
// The direct convolution, for kernels that leave some cases to it.

#include <memory>

#include "engine/kernels/conv_node.h"

namespace trawl::engine {

/// Of any node for which WhyNotDense is empty.
std::unique_ptr<const Kernel> MakeDirectConv(ConvNode conv, const simd::Microkernels& microkernels);

}  // namespace trawl::engine
