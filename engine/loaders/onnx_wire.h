#pragma once
// How much an ONNX file would grow in memory, told from its bytes.

#include <string_view>

#include "config/status.h"

namespace trawl::engine {

/// Counts the messages and texts of a serialised ModelProto without making them. Two bytes of file
/// can become two hundred in memory, so a file is asked how many it has before it is parsed. Of
/// damaged bytes it counts what comes before the damage; parsing tells of the rest.
/// Errors: kResourceExhausted beyond 25 for each of kMaxNodes.
Status CheckOnnxParts(std::string_view bytes);

}  // namespace trawl::engine
