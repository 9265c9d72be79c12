#pragma once
// Retries are paid for by requests that were served, so that an endpoint in trouble is not also
// given all its requests several times.

#include <algorithm>

namespace trawl::storage {

/// A bucket of tokens. Not thread-safe.
class RetryBudget {
 public:
  /// In the long run at most so many retries per request that is served: the store then sees at
  /// most 1.6 requests per object.
  static constexpr double kPerServed = 0.6;
  /// What a short fault may take at once: about one retry for each request under way.
  static constexpr double kCapacity = 100;

  void OnServed() { tokens_ = std::min(kCapacity, tokens_ + kPerServed); }
  /// False when it is empty.
  bool Take() {
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  /// After an outage: as much as a restart may need, not more.
  void Restart() { tokens_ = std::max(tokens_, kCapacity / 10); }

 private:
  double tokens_ = kCapacity;
};

}  // namespace trawl::storage
