#pragma once
// The embedded adapter of the message_log port, for one process on one machine: topics, offsets and
// transactions in one SQLite file. It serves any number of threads, but no second process, and
// nothing over a network.

#include <cstdint>
#include <memory>
#include <string>

#include "storage/message_log/message_log.h"

namespace trawl::storage {

struct EmbeddedLogOptions {
  int64_t max_bytes = 0;  // a commit that would grow the file beyond this is kResourceExhausted; 0:
                          // the disk decides
};

/// Opens the log at `path`, or creates it. kill -9 and power loss at any moment lose nothing that
/// was committed. Nothing expires by age (a run may be taken up again after any time): see
/// MessageLog::Trim. Errors: kFailedPrecondition (in use by another process, which is named; a
/// database of another program), kUnimplemented (written by a newer Trawl), kDataLoss (not a
/// database, or damaged), kPermissionDenied (read-only), kNotFound (no such folder),
/// kResourceExhausted (disk full).
Result<std::unique_ptr<MessageLog>> OpenEmbeddedLog(const std::string& path,
                                                    const EmbeddedLogOptions& options = {});

}  // namespace trawl::storage
