#pragma once
// A small classifier in a file: what Model and Session are tested on.

#include <string>

#include "engine/model_package.h"

namespace trawl::engine::testing {

/// Writes an ONNX model of 8×8 pictures to `folder`: Conv, Relu, MaxPool, a residual block, global
/// pooling, and a 1×1 Conv to 4 classes ("scores", [N, 4, 1, 1]), then Flatten ("logits", [N, 4]).
/// Its package says kLogits.
ModelPackage WriteSmallModel(const std::string& folder);

}  // namespace trawl::engine::testing
