#pragma once
// ONNX files before they are parsed: how much they would grow in memory, and where weights lie.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"
#include "engine/loaders/file.h"

namespace trawl::engine {

/// Counts the messages and texts of a serialised ModelProto without making them. Two bytes of file
/// can become two hundred in memory, so a file is asked how many it has before it is parsed. Of
/// damaged bytes it counts what comes before the damage; parsing tells of the rest.
/// Errors: kResourceExhausted beyond 25 for each of kMaxNodes.
Status CheckOnnxParts(std::string_view bytes);

struct ByteRange {
  uint64_t offset = 0, size = 0;
};

/// A serialised ModelProto without its weights.
struct OnnxSkeleton {
  std::string bytes;  // a ModelProto, too: its initialisers have no raw_data
  /// Where the file has the raw_data of each initialiser; nullopt when it has none.
  std::vector<std::optional<ByteRange>> weights;
};

/// Skips the weights, so that they are read once, and straight to where they are to be.
/// Errors: kDataLoss (no ONNX file, or a damaged one).
Result<OnnxSkeleton> ReadOnnxSkeleton(const ByteSource& source);

}  // namespace trawl::engine
