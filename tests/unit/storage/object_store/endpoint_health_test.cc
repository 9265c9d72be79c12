// Goal: how much an endpoint is asked for adapts to what it bears, and an object is blamed only for
// what is its own. Method: replies made up one by one, and a time that only the test moves.
#include "storage/object_store/http/endpoint_health.h"

#include <gtest/gtest.h>

#include <string>

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = EndpointHealth::Time;

const Time kStart{seconds(1'000)};

// ConcurrencyLimit

size_t After(ConcurrencyLimit& limit, int served) {
  for (int i = 0; i < served; ++i) limit.OnServed();
  return limit.Get();
}

TEST(ConcurrencyLimit, DoublesEachRoundUpToItsMaximum) {
  ConcurrencyLimit limit(100);
  EXPECT_EQ(limit.Get(), 16u);
  EXPECT_EQ(After(limit, 16), 32u);
  EXPECT_EQ(After(limit, 32), 64u);
  EXPECT_EQ(After(limit, 1'000), 100u);
  ConcurrencyLimit small(3);
  EXPECT_EQ(small.Get(), 3u);
}

TEST(ConcurrencyLimit, HalvesOnceASecondAndOnlyForWhatWasSentSinceThen) {
  ConcurrencyLimit limit(16);
  EXPECT_TRUE(limit.OnThrottled(kStart, kStart));
  EXPECT_EQ(limit.Get(), 8u);
  EXPECT_FALSE(limit.OnThrottled(kStart + milliseconds(1), kStart + milliseconds(999)));
  EXPECT_FALSE(limit.OnThrottled(kStart - milliseconds(1), kStart + seconds(5)));
  EXPECT_TRUE(limit.OnThrottled(kStart + milliseconds(1), kStart + seconds(1)));
  EXPECT_EQ(limit.Get(), 4u);
  for (int i = 2; i < 10; ++i) limit.OnThrottled(kStart + seconds(i), kStart + seconds(i));
  EXPECT_EQ(limit.Get(), 1u);
  EXPECT_EQ(limit.cuts(), 10u);
}

TEST(ConcurrencyLimit, GrowsByOneARoundAfterACutAndDoublesAgainAfterARestart) {
  ConcurrencyLimit limit(64);
  After(limit, 1'000);
  limit.OnThrottled(kStart, kStart);
  EXPECT_EQ(limit.Get(), 32u);
  EXPECT_EQ(After(limit, 33), 33u);
  limit.Restart();
  EXPECT_EQ(limit.Get(), 1u);
  EXPECT_EQ(After(limit, 1), 2u);
  EXPECT_EQ(After(limit, 62), 64u);  // six rounds
}

// RetryBudget

TEST(RetryBudget, InTheLongRunGivesSixRetriesForTenServed) {
  RetryBudget budget;
  int retries = 0;
  while (budget.Take()) ++retries;
  EXPECT_EQ(retries, 100);
  retries = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.OnServed();
    while (budget.Take()) ++retries;
  }
  EXPECT_NEAR(retries, 6'000, 1);
}

// Hedge

TEST(Hedge, WaitsTwiceThe95thPercentileOfRecentAnswers) {
  Hedge hedge;
  for (int i = 0; i < 63; ++i) hedge.OnFirstByte(milliseconds(200));
  EXPECT_FALSE(hedge.After().has_value());
  for (int i = 0; i < 1'000; ++i) hedge.OnFirstByte(milliseconds(i % 100 + 1));
  ASSERT_TRUE(hedge.After().has_value());
  EXPECT_GE(*hedge.After(), milliseconds(188));
  EXPECT_LE(*hedge.After(), milliseconds(198));
  for (int i = 0; i < 1'000; ++i) hedge.OnFirstByte(milliseconds(1));
  EXPECT_EQ(*hedge.After(), milliseconds(100));  // sooner saves nothing
}

TEST(Hedge, SendsThreeInAHundredAgainAtMost) {
  Hedge hedge;
  int second = 0;
  for (int i = 0; i < 1'000; ++i) {
    hedge.OnRequest();
    if (hedge.Take()) ++second;
  }
  EXPECT_NEAR(second, 30, 1);
  for (int i = 0; i < 1'000; ++i) hedge.OnRequest();
  second = 0;
  while (hedge.Take()) ++second;
  EXPECT_EQ(second, 4);  // what may be saved up
}

// Outage

TEST(Outage, ProbesEverMoreSeldomUpToFiveSecondsAndAsTheServerWishes) {
  std::mt19937_64 random(1);
  Outage outage;
  EXPECT_FALSE(outage.on());
  Time now = kStart;
  for (const int interval_ms : {500, 1'000, 2'000, 4'000, 5'000, 5'000}) {
    outage.Prolong(now, "why", milliseconds(0), random);
    EXPECT_GE(outage.next_probe() - now, milliseconds(interval_ms / 2));
    EXPECT_LE(outage.next_probe() - now, milliseconds(interval_ms));
    now = outage.next_probe();
  }
  EXPECT_EQ(outage.since(), kStart);
  outage.Prolong(now, "why", seconds(20), random);
  EXPECT_EQ(outage.next_probe() - now, seconds(20));
  outage.Prolong(now, "why", seconds(3'600), random);
  EXPECT_EQ(outage.next_probe() - now, seconds(60));
  outage.End();
  outage.Prolong(now, "again", milliseconds(0), random);
  EXPECT_EQ(outage.since(), now);
  EXPECT_LE(outage.next_probe() - now, milliseconds(500));
}

// EndpointHealth

class EndpointHealthTest : public ::testing::Test {
 protected:
  Next Reply(Route route) { return Reply(route, strikes_); }
  Next Reply(Route route, Strikes& strikes) {
    now_ += milliseconds(10);
    EndpointHealth::Attempt attempt = attempt_;
    attempt.started = now_ - milliseconds(1);
    attempt.now = now_;
    return health_.After({route, {ObjectErrorCode::kHttpError, "trouble"}, {}}, attempt, strikes);
  }
  // Of so many replies of another object.
  void Others(Route route, int count) {
    for (int i = 0; i < count; ++i) {
      Strikes others;
      Reply(route, others);
    }
  }

  EndpointHealth health_{64};
  EndpointHealth::Attempt attempt_{
      .allowed = 3, .longest = seconds(60), .may_wait = true, .known_good = true};
  Strikes strikes_;
  Time now_ = kStart;
};

TEST_F(EndpointHealthTest, AnObjectThatFailsWhileOthersAreAnsweredIsToBlameWhereNoneIsKnownGood) {
  attempt_.known_good = false;
  EXPECT_EQ(Reply(Route::kRetry), Next::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kRetry);
  Others(Route::kAccept, 1);
  EXPECT_EQ(Reply(Route::kRetry), Next::kFinish);
  EXPECT_FALSE(health_.outage.on());
}

TEST_F(EndpointHealthTest, AnObjectThatFailsWhileOthersAreServedIsDoubted) {
  Reply(Route::kRetry);
  Others(Route::kAccept, 1);
  Reply(Route::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kDoubt);
  EXPECT_FALSE(health_.outage.on());
}

TEST_F(EndpointHealthTest, AnObjectThatFailsAloneIsDoubtedUntilTheKnownGoodOneAnswers) {
  Others(Route::kAccept, 1);
  EXPECT_EQ(Reply(Route::kRetry), Next::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kDoubt);
  health_.OnKnownGood(true, {}, now_);
  EXPECT_FALSE(health_.outage.on());
  health_.OnKnownGood(false, {Route::kRetry, {ObjectErrorCode::kHttpError, "why"}, {}}, now_);
  EXPECT_TRUE(health_.outage.on());
  EXPECT_EQ(health_.outage.reason(), "why");
}

TEST_F(EndpointHealthTest, ConnectionsThatNobodyAnswersAreAnOutageHoweverManyOldOnesServe) {
  Reply(Route::kRetry);
  Reply(Route::kRetry);
  Reply(Route::kUnreached);
  Others(Route::kAccept, 1);
  EXPECT_EQ(Reply(Route::kUnreached), Next::kRetry);
  EXPECT_EQ(Reply(Route::kUnreached), Next::kHold);
  EXPECT_TRUE(health_.outage.on());
  EXPECT_EQ(strikes_.faults, 0);
}

TEST_F(EndpointHealthTest, WhoCannotBeReachedAndIsNotWorthWaitingForFailsAfterItsAttempts) {
  attempt_.may_wait = attempt_.known_good = false;
  EXPECT_EQ(Reply(Route::kUnreached), Next::kRetry);
  EXPECT_EQ(Reply(Route::kUnreached), Next::kRetry);
  EXPECT_EQ(Reply(Route::kUnreached), Next::kFinish);
}

TEST_F(EndpointHealthTest, WithNothingKnownToBeGoodFaultsAreAnOutage) {
  attempt_.known_good = false;
  Reply(Route::kRetry);
  Reply(Route::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kHold);
  EXPECT_TRUE(health_.outage.on());
  EXPECT_EQ(strikes_.faults, 0);  // they were the endpoint's
}

TEST_F(EndpointHealthTest, WhoIsNotWorthWaitingForFailsAfterItsAttempts) {
  attempt_.may_wait = attempt_.known_good = false;
  Reply(Route::kRetry);
  EXPECT_EQ(Reply(Route::kThrottled), Next::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kRetry);
  EXPECT_EQ(Reply(Route::kRetry), Next::kFinish);
  EXPECT_EQ(Reply(Route::kRefused), Next::kFinish);
  EXPECT_EQ(Reply(Route::kLockedOut), Next::kFinish);
  EXPECT_FALSE(health_.outage.on());
}

TEST_F(EndpointHealthTest, ThrottlingIsCountedApartAndSlowsDown) {
  for (int i = 0; i < 11; ++i) {
    Others(Route::kAccept, 1);
    ASSERT_EQ(Reply(Route::kThrottled), Next::kRetry) << i;
  }
  EXPECT_EQ(strikes_.faults, 0);
  EXPECT_EQ(health_.limit.cuts(), 1u);
  EXPECT_FALSE(health_.CanHedge(now_));
  EXPECT_TRUE(health_.CanHedge(now_ + seconds(10)));
  EXPECT_EQ(Reply(Route::kThrottled), Next::kDoubt);  // this one alone is asked to, and always
}

TEST_F(EndpointHealthTest, WrongBytesAreTheObjectsOwnFault) {
  attempt_.known_good = false;
  Reply(Route::kDamaged);
  Reply(Route::kDamaged);
  EXPECT_EQ(Reply(Route::kDamaged), Next::kFinish);
}

TEST_F(EndpointHealthTest, AnEmptyRetryBudgetIsAnOutageAndNobodysFault) {
  int retries = 0;
  Strikes each;
  while (Reply(Route::kRetry, each) == Next::kRetry) {
    ++retries;
    each = {};
  }
  EXPECT_EQ(retries, 100);
  EXPECT_TRUE(health_.outage.on());
  EXPECT_EQ(Reply(Route::kRetry), Next::kHold);
}

TEST_F(EndpointHealthTest, AnOutageEndsWithAProbeThatIsServedNotWithAnOldReply) {
  attempt_.known_good = false;
  EXPECT_EQ(Reply(Route::kLockedOut), Next::kHold);
  Strikes old;
  const EndpointHealth::Attempt before{.started = kStart,
                                       .now = now_ + seconds(1),
                                       .allowed = 3,
                                       .longest = seconds(60),
                                       .may_wait = true};
  EXPECT_EQ(health_.After({Route::kAccept, {}, {}}, before, old), Next::kFinish);
  EXPECT_TRUE(health_.outage.on());
  Others(Route::kAccept, 1);
  EXPECT_FALSE(health_.outage.on());
  EXPECT_EQ(health_.limit.Get(), 1u);
}

TEST_F(EndpointHealthTest, ARefusalIsDoubtedAndWithoutAnythingKnownGoodTheTwentiethIs) {
  EXPECT_EQ(Reply(Route::kRefused), Next::kDoubt);
  health_.OnKnownGood(true, {}, now_);
  attempt_.known_good = false;
  for (int i = 1; i < 20; ++i) ASSERT_EQ(Reply(Route::kRefused), Next::kFinish) << i;
  EXPECT_EQ(Reply(Route::kRefused), Next::kHold);
  EXPECT_TRUE(health_.outage.on());
}

TEST_F(EndpointHealthTest, RefusedCredentialsAreNobodysFault) {
  EXPECT_EQ(Reply(Route::kLockedOut), Next::kDoubt);
  attempt_.known_good = false;
  EXPECT_EQ(Reply(Route::kLockedOut), Next::kHold);
}

}  // namespace
}  // namespace trawl::storage
