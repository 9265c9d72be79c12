#pragma once
// Whether an endpoint serves us, and what to do with a request that it did not serve: one bad
// object is a failure, an endpoint in trouble is waited for. Counts and decides; sends nothing
// itself.

#include <chrono>
#include <cstdint>
#include <random>

#include "storage/object_store/http/concurrency_limit.h"
#include "storage/object_store/http/hedge.h"
#include "storage/object_store/http/outage.h"
#include "storage/object_store/http/retry_budget.h"
#include "storage/object_store/http/verdict.h"

namespace trawl::storage {

/// What speaks against one object: its attempts that failed since the endpoint was last in trouble.
/// Throttling and connections that nobody answered are counted apart, since they say nothing about
/// the object.
struct Strikes {
  int faults = 0;
  int throttles = 0;
  int unreached = 0;
  /// How often a request was in vain for the reason that this verdict names.
  int& Of(Route route) {
    if (route == Route::kThrottled) return throttles;
    return route == Route::kUnreached ? unreached : faults;
  }
  std::chrono::steady_clock::time_point first{};
};

/// Where to go with a request after an attempt.
enum class Next {
  kFinish,  // with the reply, or with the verdict's error
  kRetry,   // after BackoffDelay
  kHold,    // until the endpoint serves again
  kDoubt,   // is it the object or the endpoint? Ask for something that was served before.
};

/// Not thread-safe.
class EndpointHealth {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Attempt {
    Time started{}, now{};
    int allowed = 1;                    // attempts that an object has
    std::chrono::milliseconds longest;  // from its first failed attempt to its last
    bool may_wait = false;              // whether the endpoint is worth waiting for
    bool known_good = false;            // whether there is something that was served before
  };

  explicit EndpointHealth(size_t in_flight_max) : limit(in_flight_max) {}

  /// An object that keeps failing is to blame when what was served before still is: that is a
  /// doubt. With nothing known to be good it is to blame when others were answered meanwhile, else
  /// that is an outage. So are connections that nobody answers (whoever is served still has an old
  /// one), and a retry budget that is empty. A refusal (403) is the object's own if the known good
  /// one is still served; where none is known, until 20 came in a row or one names the credentials.
  Next After(const Verdict& verdict, const Attempt& attempt, Strikes& strikes);
  /// A doubt, or a probe, was answered: what was served before is served, or is not.
  void OnKnownGood(bool served, const Verdict& doubt, Time now);
  /// No second requests while there is trouble, or was a moment ago.
  bool CanHedge(Time now) const;
  /// Starts afresh, carefully.
  void Recover();

  ConcurrencyLimit limit;
  RetryBudget budget;
  Hedge hedge;
  Outage outage;

 private:
  void OnServed(const Attempt& attempt);
  Next AfterRefusal(const Verdict& verdict, const Attempt& attempt);
  Next AfterFault(const Verdict& verdict, const Attempt& attempt, Strikes& strikes);
  void Prolong(const Verdict& verdict, Time now);

  Time last_served_{};
  int refused_in_row_ = 0;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace trawl::storage
