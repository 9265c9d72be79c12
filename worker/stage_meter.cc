#include "worker/stage_meter.h"

#include <algorithm>

namespace trawl::worker {

StageMeter::StageMeter(size_t threads, const Clock& clock)
    : threads_(static_cast<double>(threads)), clock_(clock), since_(clock.Now()) {}

void StageMeter::Change(Gauge gauge, int by) {
  const std::lock_guard lock(mutex_);
  Advance();
  under_way_[gauge] += by;
}

WorkerTimes StageMeter::Read() {
  const std::lock_guard lock(mutex_);
  Advance();
  return times_;
}

void StageMeter::Advance() {
  const auto now = clock_.Now();
  const double passed = std::chrono::duration<double>(now - since_).count();
  since_ = now;
  const auto decoding = static_cast<double>(under_way_[kDecoding]);
  const auto inferring = static_cast<double>(under_way_[kInferring]);
  const double idle = std::max(0.0, threads_ - decoding - inferring);
  times_.wall_s += passed;
  times_.cpu_s += passed * threads_;
  times_.decode_s += passed * decoding;
  times_.infer_s += passed * inferring;
  (under_way_[kDownloading] > 0 ? times_.await_download_s : times_.await_work_s) += passed * idle;
  if (decoding == 0 && under_way_[kFetched] == 0) times_.decode_waits_s += passed;
  if (inferring == 0) times_.infer_waits_s += passed;
  if (under_way_[kPublishing] > 0) times_.publish_s += passed;
}

}  // namespace trawl::worker
