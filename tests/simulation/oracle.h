#pragma once
// What must hold when a history is over. It believes the keys that the scenario made, the committed
// topics and the rows, and compares them; what Trawl says of itself has to agree.

#include <map>
#include <string>

#include "storage/result_store/result_store.h"
#include "tests/simulation/log.h"
#include "tests/simulation/stores.h"

namespace trawl::simulation {

struct Truth {
  const Bucket& bucket;
  std::string job_id;
  std::string work_topic;
  /// Of the messages that are no work: "<topic>/<partition>/<offset>".
  std::set<std::string> malformed;
  bool refusals = false;  // the object store may have refused pictures
};

/// Empty: everything is as it must be. Otherwise what is wrong.
std::string FindProblem(const Truth& truth, const Cluster& cluster, storage::ResultReader& reader);

}  // namespace trawl::simulation
