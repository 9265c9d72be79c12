#pragma once
// MXNet's .params container: named arrays, little-endian, whatever machine wrote them.

#include <map>
#include <string>
#include <string_view>

#include "config/status.h"
#include "engine/tensor.h"

namespace trawl::engine {

/// Arrays by name, without the prefixes `arg:` and `aux:`, widened or narrowed to f32.
using MxnetParams = std::map<std::string, Tensor, std::less<>>;

/// Every length is checked against the bytes that are left before anything is allocated.
/// Errors: kDataLoss (not a .params file, truncated, lying sizes), kUnimplemented (sparse arrays).
Result<MxnetParams> ParseMxnetParams(std::string_view bytes);

}  // namespace trawl::engine
