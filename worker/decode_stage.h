#pragma once
// From bytes to the model's input.

#include <optional>

#include "worker/batcher.h"
#include "worker/dispatch_stage.h"
#include "worker/sandbox/decoder_pool.h"
#include "worker/stage_stats.h"

namespace trawl::worker {

/// Frees the bytes, and the budgets that they hold, whatever happens. None: the object has ended
/// (as a failure, or dropped). Thread-safe.
std::optional<PreparedImage> Decode(FetchedObject object, DecoderPool& pictures, StageTimes& times);

}  // namespace trawl::worker
