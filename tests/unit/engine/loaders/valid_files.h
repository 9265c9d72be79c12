#pragma once
// A small valid file of each kind that the loaders read: what the tests of hostile bytes, and the
// fuzz targets, begin with.

#include <string>

#include "engine/loaders/loaders.h"

namespace trawl::engine::testing {

/// Conv, MaxPool, Reshape and Softmax on 8×8 pictures.
std::string ValidOnnx();
/// Convolution, Pooling, Reshape and SoftmaxOutput, and their parameters.
std::string ValidSymbol();
std::string ValidParams();
/// What ValidSymbol is loaded with.
MxnetOptions ValidMxnetOptions();

}  // namespace trawl::engine::testing
