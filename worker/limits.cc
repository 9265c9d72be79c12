#include "worker/limits.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace trawl::worker {
namespace {

size_t AffinityCores() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
    return static_cast<size_t>(std::max(1, CPU_COUNT(&cpus)));
  return std::max(1U, std::thread::hardware_concurrency());
}

/// The quota in `<folder>/cpu.max` in cores ("200000 100000" is 2), or 0 when there is none.
double QuotaCores(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period_us = 0;
  if (!(file >> quota >> period_us) || quota == "max" || period_us <= 0) return 0;
  char* end = nullptr;
  const double quota_us = std::strtod(quota.c_str(), &end);
  return *end == '\0' && quota_us > 0 ? quota_us / period_us : 0;
}

/// This process's control group (version 2), as a path below the mount; "" when unknown.
std::string ControlGroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return "";
}

}  // namespace

size_t AvailableCores() {
  auto cores = static_cast<double>(AffinityCores());
  // Every group up to the root may set a quota of its own; the tightest one holds.
  for (std::string group = ControlGroup();; group.resize(group.rfind('/'))) {
    const double quota = QuotaCores("/sys/fs/cgroup" + group);
    if (quota > 0) cores = std::min(cores, std::ceil(quota));
    if (group.rfind('/') == std::string::npos) break;
  }
  return static_cast<size_t>(std::max(1.0, cores));
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
  const size_t memory = setting(settings.memory);
  limits.download_bytes = std::min(setting(settings.download_bytes_in_flight), memory / 3);
  limits.decode_bytes = memory - limits.download_bytes;
  limits.model_bytes = limits.decode_bytes - limits.decode_bytes / 4;
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
