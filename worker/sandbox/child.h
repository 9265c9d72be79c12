#pragma once
// The decoder process: one thread, which locks itself in and then serves one request after the
// other until the channel closes.

#include <span>
#include <string>
#include <vector>

#include "worker/image/image.h"

namespace trawl::worker {

/// What it does with a request: PrepareImage. Tests pass functions that crash, hang and pry.
using PrepareFunction = ObjectResult<void> (*)(std::span<const std::byte> bytes,
                                               const ImageLimits& limits,
                                               const engine::PreprocessSpec& spec,
                                               std::span<uint8_t> levels);

/// The argument that makes an executable a decoder, in the place of a subcommand: main() hands over
/// to RunDecoder when it is the only one. Nothing for people to type.
inline constexpr const char* kDecoderArgument = "decoder-process";

/// This executable as a decoder, for one whose main() does so.
std::vector<std::string> DecoderCommand();

/// Where the worker puts what they share.
inline constexpr int kChannelFd = 3, kMemoryFd = 4;

/// How a decoder ends when it cannot get the memory that it asks for.
inline constexpr int kOutOfMemoryExit = 12;

/// Returns the process's exit code: 0 once the channel is closed. Call before anything else, in a
/// process with one thread.
int RunDecoder(PrepareFunction prepare);

}  // namespace trawl::worker
