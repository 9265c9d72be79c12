#pragma once
// Instruction sets: which of the compiled ones this machine has, and which one the engine uses.

#include <optional>
#include <span>
#include <string_view>

#include "config/status.h"

namespace trawl::engine::simd {

/// What the microkernels are compiled for, slowest first. kAvx512 is F, BW, DQ and VL together.
enum class Isa { kPortable, kAvx2, kAvx512 };

std::string_view ToString(Isa isa);

/// What this machine can run, slowest first; kPortable at least.
std::span<const Isa> SupportedIsas();

/// The best of SupportedIsas(), or what the environment variable TRAWL_ISA names (portable, avx2,
/// avx512). Errors: kInvalidArgument when it names none, kFailedPrecondition when the machine lacks
/// it.
Result<Isa> ChooseIsa();

}  // namespace trawl::engine::simd
