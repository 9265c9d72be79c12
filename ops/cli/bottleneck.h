#pragma once
// Which part of the way limits a job's rate.

#include <optional>
#include <string>

#include "config/records.h"

namespace trawl::ops {

struct Bottleneck {
  std::string stage;   // listing | download | decode | inference | publish
  std::string reason;  // "busy 62 %; inference busy 35 %, waits 41 % of the time"
};

/// None while too little is known.
std::optional<Bottleneck> FindBottleneck(const WorkerTimes& times);

}  // namespace trawl::ops
