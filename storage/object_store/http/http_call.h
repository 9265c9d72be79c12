#pragma once
// One request, waited for: for the few that no download depends on while they run.

#include "storage/object_store/http/http_message.h"
#include "storage/object_store/http/transfer.h"

namespace trawl::storage {

/// Blocks for at most `limits.total_timeout`. Follows no redirect, keeps no connection.
/// Thread-safe.
HttpReply CallHttp(HttpRequest request, const TransferLimits& limits);

}  // namespace trawl::storage
