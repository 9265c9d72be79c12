#include "worker/limits.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "worker/control_groups.h"

namespace trawl::worker {
namespace {

size_t AffinityCores() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
    return static_cast<size_t>(std::max(1, CPU_COUNT(&cpus)));
  return std::max(1U, std::thread::hardware_concurrency());
}

/// The quota of a group in cores, or 0 when it has none. Version 2 keeps "200000 100000" in one
/// file, which is 2, and "max 100000" for none; version 1 each number in its own, and -1 for none.
double QuotaCores(const ControlGroup& group) {
  double quota_us = 0, period_us = 0;
  if (group.version == 2) {
    std::ifstream(group.folder + "/cpu.max") >> quota_us >> period_us;
  } else {
    std::ifstream(group.folder + "/cpu.cfs_quota_us") >> quota_us;
    std::ifstream(group.folder + "/cpu.cfs_period_us") >> period_us;
  }
  return quota_us > 0 && period_us > 0 ? quota_us / period_us : 0;
}

}  // namespace

size_t AvailableCores(const std::string& root) {
  auto cores = static_cast<double>(AffinityCores());
  for (const ControlGroup& group : ControlGroupsOf("cpu", root)) {
    const double quota = QuotaCores(group);
    if (quota > 0) cores = std::min(cores, std::ceil(quota));
  }
  return static_cast<size_t>(std::max(1.0, cores));
}

WorkerLimits::Shares WorkerLimits::Beside(size_t models) const {
  const size_t rest = memory - std::min(models, model_bytes);
  const size_t downloads = std::min(download_bytes, rest / 3);
  return {.downloads = downloads, .pictures = rest - downloads};
}

WorkerLimits WorkerLimits::From(const Settings& settings, size_t cores) {
  const auto setting = [](int64_t value) {
    return static_cast<size_t>(std::max<int64_t>(1, value));
  };
  WorkerLimits limits;
  limits.sessions = settings.sessions > 0 ? setting(settings.sessions) : cores;
  limits.decode_threads = settings.decode_threads > 0 ? setting(settings.decode_threads) : cores;
  // As many as cores, unless people ask for more of one kind, or for less of both.
  limits.threads = std::min(limits.sessions + limits.decode_threads,
                            std::max({cores, limits.sessions, limits.decode_threads}));
  limits.batch_size = setting(settings.batch_size);
  // Beyond what may be on the wire, a few bodies wait so that a free decoder finds work at once.
  const size_t downloads = setting(settings.downloads_in_flight);
  limits.download_slots = downloads + 4 * limits.decode_threads;
  limits.memory = setting(settings.memory);
  limits.download_bytes = setting(settings.download_bytes_in_flight);
  limits.model_bytes = limits.memory - limits.memory / 4;
  // One batch in the making for each session beside the one that it runs.
  limits.prepared_images = 2 * limits.sessions * limits.batch_size;
  // Half of it keeps wire and cores busy while the other half is fetched, finishes or is committed.
  const size_t busy = limits.download_slots + limits.prepared_images +
                      limits.sessions * limits.batch_size + limits.decode_threads;
  limits.in_flight_objects = std::max(kObjectsInFlight, 2 * busy);
  limits.resume_objects = std::max(busy, limits.in_flight_objects * 3 / 4);
  return limits;
}

}  // namespace trawl::worker
