#pragma once
// What the consumers and producers of one embedded log share.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "storage/message_log/embedded_group.h"
#include "storage/message_log/embedded_store.h"

namespace trawl::storage {

/// One mutex for everything, held across SQLite's I/O: all work needs the one connection, and a run
/// makes some tens of transactions of a few milliseconds each second, so a finer lock would have
/// nothing to win. It is never held while a listener runs.
struct EmbeddedState {
  std::mutex mutex;
  std::condition_variable changed;  // records were committed, or a group moved
  std::unique_ptr<EmbeddedStore> store;
  std::map<std::string, EmbeddedGroup> groups;
  std::map<std::string, uint64_t>
      epochs;  // of transactional ids; a new process starts with none and fences nobody
};

}  // namespace trawl::storage
