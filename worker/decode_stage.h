#pragma once
// From bytes to the model's levels.

#include <stop_token>
#include <vector>

#include "worker/budget.h"
#include "worker/sandbox/decoder_pool.h"
#include "worker/scheduler.h"

namespace trawl::worker {

/// Frees the bytes, and the budgets that they hold, whatever happens. Waits until `memory` has what
/// the largest picture's header asks for: they are decoded one after the other. `objects`: as
/// Scheduler gives them. What is not among those returned has ended (as a failure, or dropped).
/// Thread-safe.
std::vector<PreparedImage> Decode(std::vector<FetchedObject> objects, DecoderPool& pictures,
                                  Budget& memory, std::stop_token stop);

}  // namespace trawl::worker
