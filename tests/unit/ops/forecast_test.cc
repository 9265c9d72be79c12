// Goal: a forecast follows from what a sample cost, and says nothing where nothing is known.
// Method: costs for which the answer is known by hand.
#include "ops/cli/forecast.h"

#include <gtest/gtest.h>

#include <numeric>

namespace trawl::ops {
namespace {

TEST(Sizes, AreSummedUpByNearestRank) {
  std::vector<uint64_t> sizes(100);
  std::iota(sizes.rbegin(), sizes.rend(), 1);  // 100, 99, …, 1: the order does not matter
  const SizeSummary summary = SizeSummary::Of(sizes);
  EXPECT_EQ(summary.median, 50U);
  EXPECT_EQ(summary.p95, 95U);
  EXPECT_EQ(summary.largest, 100U);
  EXPECT_EQ(summary.total, 5050U);
}

TEST(Sizes, OfOneAndOfNone) {
  const SizeSummary one = SizeSummary::Of({7});
  EXPECT_EQ(one.median, 7U);
  EXPECT_EQ(one.p95, 7U);
  EXPECT_EQ(SizeSummary::Of({}).total, 0U);
}

TEST(Forecast, CoresDecodeAndInferInTurn) {
  // 10 ms of a core: 200/s on two cores, 800/s on four such workers.
  const Forecast forecast = Predict({.decode_s = 0.002, .infer_s = 0.008, .download_s = 0.05},
                                    8'000, {.workers = 4, .cores = 2, .downloads_in_flight = 64});
  EXPECT_DOUBLE_EQ(forecast.objects_per_second, 800);
  EXPECT_DOUBLE_EQ(forecast.seconds, 10);
  EXPECT_EQ(forecast.limit, "inference");
}

TEST(Forecast, TheSlowerOfDownloadsAndCoresBoundsIt) {
  const ObjectCost cost{.decode_s = 0.002, .infer_s = 0.001, .download_s = 1};
  const Forecast few = Predict(cost, 100, {.workers = 1, .cores = 3, .downloads_in_flight = 10});
  EXPECT_DOUBLE_EQ(few.objects_per_second, 10);
  EXPECT_EQ(few.limit, "download");
  const Forecast many =
      Predict(cost, 100, {.workers = 1, .cores = 3, .downloads_in_flight = 10'000});
  EXPECT_DOUBLE_EQ(many.objects_per_second, 1'000);
  EXPECT_EQ(many.limit, "decode");
}

TEST(Forecast, WorkersForADeadlineAreRoundedUp) {
  const ObjectCost cost{.decode_s = 0.005, .infer_s = 0.005, .download_s = 0};
  const Fleet fleet{.workers = 3, .cores = 1, .downloads_in_flight = 64};  // of one: 100/s
  EXPECT_EQ(WorkersFor(cost, 100'000, fleet, 1'000), 1);
  EXPECT_EQ(WorkersFor(cost, 100'000, fleet, 999), 2);
  EXPECT_EQ(WorkersFor(cost, 100'000, fleet, 100), 10);
  EXPECT_EQ(WorkersFor(cost, 0, fleet, 100), 1);
  EXPECT_EQ(WorkersFor(cost, 100'000, fleet, 1e-9), std::nullopt);
}

TEST(Forecast, DownloadsKeepTheCoresBusyTwiceOver) {
  // Two cores take 200/s; at 100 ms each that is 20 on the wire.
  EXPECT_EQ(SuggestDownloads({.decode_s = 0.002, .infer_s = 0.008, .download_s = 0.1}, 2), 40);
  EXPECT_EQ(SuggestDownloads({.decode_s = 1, .infer_s = 1, .download_s = 0.001}, 2), 8);
  EXPECT_EQ(SuggestDownloads({.decode_s = 0.001, .infer_s = 0, .download_s = 60}, 64), 1024);
  EXPECT_EQ(SuggestDownloads({}, 2), 1024);
}

TEST(Forecast, MemoryHoldsWhatIsOnTheWireAndWhatIsDecoded) {
  const int64_t mebibyte = 1 << 20;
  EXPECT_EQ(SuggestMemory({.p95 = 100'000}, 40, 2, 0), 256 * mebibyte);
  EXPECT_EQ(SuggestMemory({.p95 = 8U << 20}, 64, 2, 0), 1536 * mebibyte);
  EXPECT_EQ(SuggestMemory({.p95 = 100'000}, 40, 16, 0), 1664 * mebibyte);
  EXPECT_EQ(SuggestMemory({.p95 = 100'000}, 40, 2, 100 * mebibyte), 384 * mebibyte);
  EXPECT_EQ(SuggestMemory({.p95 = 100'000}, 40, 2, 1536 * mebibyte), 2048 * mebibyte);
  EXPECT_EQ(SuggestMemory({.p95 = 100'000}, 40, 2, 640 * mebibyte), 896 * mebibyte);
}

TEST(Forecast, CostsAllWorkersForTheWholeTime) {
  EXPECT_DOUBLE_EQ(Cost(7'200, 3, 0.5), 3);
  EXPECT_DOUBLE_EQ(Cost(7'200, 3, 0), 0);
}

}  // namespace
}  // namespace trawl::ops
