#include "ops/cli/bottleneck.h"

#include <fmt/format.h>

namespace trawl::ops {
namespace {

/// Threads idle for less than this are taken for busy: batches end at different times, and the last
/// ones of a job keep one thread only.
constexpr double kIdleShare = 0.25;
/// A log that takes this much of the time keeps new work out.
constexpr double kPublishShare = 0.5;
constexpr double kLeastSeconds = 0.1;

/// `stage` has most of the CPU.
Bottleneck OfCpu(const char* stage, double busy, const char* other, double other_busy,
                 double other_waits) {
  return {stage, fmt::format("busy {:.0f} %; {} busy {:.0f} %, waits {:.0f} % of the time",
                             100 * busy, other, 100 * other_busy, 100 * other_waits)};
}

}  // namespace

std::optional<Bottleneck> FindBottleneck(const WorkerTimes& times) {
  if (times.wall_s < kLeastSeconds || times.cpu_s <= 0) return std::nullopt;
  const double idle = (times.await_download_s + times.await_work_s) / times.cpu_s;
  const double decode_waits = times.decode_waits_s / times.wall_s;
  const double publish = times.publish_s / times.wall_s;
  if (idle < kIdleShare) {
    const double decode = times.decode_s / times.cpu_s;
    const double infer = times.infer_s / times.cpu_s;
    return decode > infer
               ? OfCpu("decode", decode, "inference", infer, times.infer_waits_s / times.wall_s)
               : OfCpu("inference", infer, "decode", decode, decode_waits);
  }
  if (publish > kPublishShare)
    return Bottleneck{"publish", fmt::format("busy {:.0f} % of the time", 100 * publish)};
  return Bottleneck{times.await_download_s >= times.await_work_s ? "download" : "listing",
                    fmt::format("decode waits {:.0f} % of the time; {:.0f} % of the CPU is idle",
                                100 * decode_waits, 100 * idle)};
}

}  // namespace trawl::ops
