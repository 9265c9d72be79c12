#include "storage/object_store/http/outage.h"

#include <algorithm>
#include <utility>

namespace trawl::storage {

void Outage::Prolong(Time now, std::string reason, Duration wish, std::mt19937_64& random) {
  constexpr Duration kFirst{500}, kLast{5'000}, kLongestWish{60'000};
  interval_ = on_ ? std::min(kLast, interval_ * 2) : kFirst;
  if (!std::exchange(on_, true)) since_ = now;
  reason_ = std::move(reason);
  // Half of it is certain, half is chance: many workers find out at different times.
  std::uniform_int_distribution<Duration::rep> jitter(0, interval_.count() / 2);
  const Duration wait = interval_ / 2 + Duration(jitter(random));
  next_probe_ = now + std::max(wait, std::min(wish, kLongestWish));
}

}  // namespace trawl::storage
