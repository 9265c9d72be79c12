#pragma once
// From bytes to the model's levels.

#include <optional>
#include <stop_token>

#include "worker/budget.h"
#include "worker/sandbox/decoder_pool.h"
#include "worker/scheduler.h"

namespace trawl::worker {

/// Frees the bytes, and the budgets that they hold, whatever happens. Waits until `memory` has what
/// the picture's header asks for. None: the object has ended (as a failure, or dropped).
/// Thread-safe.
std::optional<PreparedImage> Decode(FetchedObject object, DecoderPool& pictures, Budget& memory,
                                    std::stop_token stop);

}  // namespace trawl::worker
