#include "storage/object_store/http/concurrency_limit.h"

#include <algorithm>

namespace trawl::storage {
namespace {

constexpr double kStart = 16;
constexpr std::chrono::seconds kBetweenCuts{1};

}  // namespace

ConcurrencyLimit::ConcurrencyLimit(size_t max)
    : max_(static_cast<double>(std::max<size_t>(1, max))),
      limit_(std::min(kStart, max_)),
      threshold_(max_) {}

void ConcurrencyLimit::OnServed() {
  limit_ = std::min(max_, limit_ + (limit_ < threshold_ ? 1 : 1 / limit_));
}

bool ConcurrencyLimit::OnThrottled(Time started, Time now) {
  if (cuts_ > 0 && (started < last_cut_ || now - last_cut_ < kBetweenCuts)) return false;
  limit_ = std::max(1.0, limit_ / 2);
  threshold_ = limit_;
  last_cut_ = now;
  ++cuts_;
  return true;
}

void ConcurrencyLimit::Restart() {
  limit_ = 1;
  threshold_ = max_;
}

}  // namespace trawl::storage
