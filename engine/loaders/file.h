#pragma once
// Reading model files: whole, bounded, and only regular ones (a FIFO would block, a device never
// ends).

#include <cstdint>
#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl::engine {

/// The file's bytes. Errors: kNotFound, kPermissionDenied, kInvalidArgument (not a regular file),
/// kResourceExhausted (more than `max_bytes`), kDataLoss (reading stopped early).
Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

/// 64 lower-case hex digits. Errors: as ReadFile.
Result<std::string> Sha256OfFile(const std::string& path);
std::string Sha256OfText(std::string_view text);

}  // namespace trawl::engine
