#include "storage/object_store/http/endpoint_health.h"

#include <algorithm>

namespace trawl::storage {
namespace {

// Where nothing known to be good can be asked for, a small job must still get its failures.
constexpr int kRefusalsUnlessServed = 20;
// At 30 % throttling, 20 in a row happen to one object in 10^10.
constexpr int kThrottlesPerAttempt = 4;

}  // namespace

Next EndpointHealth::After(const Verdict& verdict, const Attempt& attempt, Strikes& strikes) {
  switch (verdict.route) {
    case Route::kAccept:
    case Route::kFail:
      OnServed(attempt);
      return Next::kFinish;
    case Route::kRefused:
    case Route::kLockedOut:
      return AfterRefusal(verdict, attempt);
    case Route::kRetry:
    case Route::kUnreached:
    case Route::kThrottled:
    case Route::kDamaged:
    case Route::kCorrected:
      break;
  }
  return AfterFault(verdict, attempt, strikes);
}

void EndpointHealth::OnServed(const Attempt& attempt) {
  last_served_ = attempt.now;
  refused_in_row_ = 0;
  limit.OnServed();
  budget.OnServed();
  // What was sent before the outage says nothing about its end.
  if (outage.on() && attempt.started >= outage.since()) Recover();
}

Next EndpointHealth::AfterRefusal(const Verdict& verdict, const Attempt& attempt) {
  ++refused_in_row_;
  if (!attempt.may_wait) return Next::kFinish;
  if (outage.on()) {
    if (attempt.started >= outage.since()) Prolong(verdict, attempt.now);
    return Next::kHold;
  }
  const bool few = !attempt.known_good && refused_in_row_ < kRefusalsUnlessServed;
  if (verdict.route == Route::kRefused && few) return Next::kFinish;
  if (attempt.known_good) return Next::kDoubt;
  Prolong(verdict, attempt.now);
  return Next::kHold;
}

Next EndpointHealth::AfterFault(const Verdict& verdict, const Attempt& attempt, Strikes& strikes) {
  const bool throttled = verdict.route == Route::kThrottled;
  if (throttled) limit.OnThrottled(attempt.started, attempt.now);
  const bool unreached = verdict.route == Route::kUnreached;
  if (strikes.faults + strikes.throttles + strikes.unreached == 0) strikes.first = attempt.now;
  ++strikes.Of(verdict.route);
  if (outage.on() && attempt.may_wait) {
    if (attempt.started >= outage.since()) Prolong(verdict, attempt.now);
    strikes = {};
    return Next::kHold;
  }
  const int throttles_allowed = attempt.allowed * (attempt.may_wait ? kThrottlesPerAttempt : 1);
  const bool too_late = !throttled && attempt.now - strikes.first > attempt.longest;
  if (std::max(strikes.faults, strikes.unreached) >= attempt.allowed ||
      strikes.throttles >= throttles_allowed || too_late) {
    if (verdict.route == Route::kDamaged || !attempt.may_wait) return Next::kFinish;
    // That others were served meanwhile tells little where many machines are one endpoint.
    if (attempt.known_good && !unreached) return Next::kDoubt;
    if (last_served_ > strikes.first && !unreached) return Next::kFinish;
  } else if (!attempt.may_wait || budget.Take()) {
    return Next::kRetry;
  }
  Prolong(verdict, attempt.now);
  strikes = {};
  return Next::kHold;
}

void EndpointHealth::OnKnownGood(bool served, const Verdict& doubt, Time now) {
  if (!served) return Prolong(doubt, now);
  last_served_ = now;
  refused_in_row_ = 0;
  if (outage.on()) Recover();
}

bool EndpointHealth::CanHedge(Time now) const {
  constexpr std::chrono::seconds kCalm{10};
  return !outage.on() && (limit.cuts() == 0 || now - limit.last_cut() >= kCalm);
}

void EndpointHealth::Prolong(const Verdict& verdict, Time now) {
  outage.Prolong(now, verdict.error.message,
                 verdict.retry_after.value_or(std::chrono::milliseconds(0)), random_);
}

void EndpointHealth::Recover() {
  outage.End();
  refused_in_row_ = 0;
  limit.Restart();
  budget.Restart();
}

}  // namespace trawl::storage
