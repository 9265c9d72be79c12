// Goal: a notice is told once and soon, and a service that is out of order is asked ever more
// rarely and stops nobody. Method: answers made up by the test, on a clock that jumps.
#include "ops/cli/spot_notice.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "tests/support/manual_clock.h"

namespace trawl::ops {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kNotice = R"({"action": "terminate", "time": "2026-11-22T08:22:00Z"})";

TEST(ParseSpotNotice, TakesWhatEc2Says) {
  const auto notice = ParseSpotNotice(kNotice);
  ASSERT_TRUE(notice) << notice.error().message();
  EXPECT_EQ(notice->action, "terminate");
  EXPECT_EQ(notice->time, "2026-11-22T08:22:00Z");
  // A field more, or an action that was not known when this was written.
  EXPECT_EQ(ParseSpotNotice(R"({"action":"move","time":"soon","why":1})")->action, "move");
}

TEST(ParseSpotNotice, TakesNothingElseForANotice) {
  for (const std::string& text :
       {std::string(), std::string("terminate"), std::string("<html></html>"), std::string("[]"),
        std::string("{}"), std::string(R"({"action":"stop"})"),
        std::string(R"({"action":7,"time":"2026-11-22T08:22:00Z"})"),
        std::string(R"({"action":"stop","time":")") + std::string(5'000, '0') + "\"}"}) {
    const auto notice = ParseSpotNotice(text);
    ASSERT_FALSE(notice) << text;
    EXPECT_EQ(notice.error().code(), Code::kInvalidArgument) << text;
  }
}

/// Plays `answers`, the last of them the notice, and returns how long after each but the last the
/// next one was asked for.
std::vector<milliseconds> PausesBetween(const std::vector<Result<std::string>>& answers) {
  testing::ManualClock clock;
  std::vector<milliseconds> pauses;
  auto last = clock.Now();
  size_t next = 0;
  std::promise<void> told;
  const SpotWatch watch(
      [&]() -> Result<std::string> {
        if (next > 0)
          pauses.push_back(std::chrono::duration_cast<milliseconds>(clock.Now() - last));
        last = clock.Now();
        return answers.at(next++);
      },
      [&told] { told.set_value(); }, clock);  // a second time, it would throw
  told.get_future().wait();
  return pauses;
}

const Result<std::string> kNone = Error(Code::kNotFound, "404");
const Result<std::string> kSilence = Error(Code::kUnavailable, "no answer");

TEST(SpotWatch, AsksEveryTwoSecondsUntilThereIsANotice) {
  EXPECT_EQ(PausesBetween({std::string(kNotice)}), std::vector<milliseconds>());
  EXPECT_EQ(PausesBetween({kNone, kNone, std::string(kNotice)}),
            (std::vector<milliseconds>{seconds(2), seconds(2)}));
}

TEST(SpotWatch, AsksMoreRarelyWhileNobodyAnswersAndGoesOnAsBeforeThen) {
  EXPECT_EQ(
      PausesBetween({kNone, kSilence, kSilence, Error(Code::kPermissionDenied, "403"),
                     std::string("no JSON"), kSilence, kNone, kSilence, std::string(kNotice)}),
      (std::vector<milliseconds>{seconds(2), seconds(4), seconds(8), seconds(16), seconds(30),
                                 seconds(30), seconds(2), seconds(4)}));
}

TEST(SpotWatch, EndsWithItsOwnerAndTellsNothing) {
  const SpotWatch watch([] { return kNone; }, [] { FAIL() << "there was no notice"; });
}

TEST(WatchForSpotNotice, IsAskedForOnly) {
  Settings settings;
  SignalStops signals(settings.drain_timeout_ms);
  const auto watch = WatchForSpotNotice(settings, signals);
  ASSERT_TRUE(watch);
  EXPECT_EQ(*watch, nullptr);
}

}  // namespace
}  // namespace trawl::ops
