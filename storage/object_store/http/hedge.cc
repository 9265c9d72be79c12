#include "storage/object_store/http/hedge.h"

#include <algorithm>

namespace trawl::storage {
namespace {

constexpr Hedge::Duration kSoonest{100'000};
constexpr double kBurst = 4;  // second requests that may be saved up
constexpr size_t kAnswersMin = 64;
constexpr size_t kAnswersBetween = 16;  // sorting for each answer would be waste

}  // namespace

void Hedge::OnRequest() { tokens_ = std::min(kBurst, tokens_ + kShare); }

void Hedge::OnFirstByte(Duration took) {
  took_[answers_++ % kWindow] = took;
  if (answers_ < kAnswersMin || answers_ % kAnswersBetween != 0) return;
  std::array<Duration, kWindow> sorted = took_;
  const size_t known = std::min(answers_, kWindow);
  const auto p95 = sorted.begin() + static_cast<std::ptrdiff_t>(known * 95 / 100);
  std::nth_element(sorted.begin(), p95, sorted.begin() + static_cast<std::ptrdiff_t>(known));
  after_ = std::max(kSoonest, *p95 * 2);
}

bool Hedge::Take() {
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace trawl::storage
