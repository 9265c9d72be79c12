// Goal: what bounds a worker follows its settings and holds together. Method: arithmetic on chosen
// settings.

#include "worker/limits.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <thread>

namespace trawl::worker {
namespace {

TEST(WorkerLimits, TakesOneSessionAndDecoderPerCoreUnlessTold) {
  Settings settings;
  EXPECT_EQ(WorkerLimits::From(settings, 6).sessions, 6U);
  EXPECT_EQ(WorkerLimits::From(settings, 6).decode_threads, 6U);
  settings.sessions = 2;
  settings.decode_threads = 3;
  EXPECT_EQ(WorkerLimits::From(settings, 6).sessions, 2U);
  EXPECT_EQ(WorkerLimits::From(settings, 6).decode_threads, 3U);
}

TEST(WorkerLimits, ComputesOnAsManyThreadsAsCoresUnlessTold) {
  const auto threads = [](int64_t sessions, int64_t decoders) {
    Settings settings;
    settings.sessions = sessions;
    settings.decode_threads = decoders;
    return WorkerLimits::From(settings, 6).threads;
  };
  EXPECT_EQ(threads(0, 0), 6U);
  EXPECT_EQ(threads(1, 0), 6U);
  EXPECT_EQ(threads(1, 2), 3U);
  EXPECT_EQ(threads(9, 1), 9U);
}

TEST(WorkerLimits, LetsEnoughIntoFlightToKeepEveryStageBusy) {
  for (const int64_t downloads : {1, 64, 4'096}) {
    for (const int64_t batch : {1, 8, 1'024}) {
      for (const size_t cores : {size_t{1}, size_t{2}, size_t{128}}) {
        Settings settings;
        settings.downloads_in_flight = downloads;
        settings.batch_size = batch;
        const WorkerLimits limits = WorkerLimits::From(settings, cores);
        EXPECT_GE(limits.download_slots, static_cast<size_t>(downloads));
        EXPECT_GE(limits.prepared_images, limits.batch_size);
        EXPECT_LT(limits.resume_objects, limits.in_flight_objects);
        EXPECT_GE(limits.resume_objects, limits.download_slots + limits.prepared_images +
                                             limits.sessions * limits.batch_size);
      }
    }
  }
}

TEST(WorkerLimits, SharesOneMemoryBetweenDownloadsPicturesAndModels) {
  Settings settings;
  for (const int64_t memory : {64LL << 20, 1LL << 30, 64LL << 30}) {
    settings.memory = memory;
    const WorkerLimits limits = WorkerLimits::From(settings, 2);
    const auto all = static_cast<size_t>(memory);
    EXPECT_EQ(limits.model_bytes, all / 4 * 3);
    for (const size_t models : {size_t{0}, all / 10, all / 2, limits.model_bytes, all, 2 * all}) {
      const auto [downloads, pictures] = limits.Beside(models);
      EXPECT_EQ(downloads + pictures, all - std::min(models, limits.model_bytes));
      EXPECT_GE(pictures, 2 * downloads);
      EXPECT_GT(downloads, 0U);
      EXPECT_LE(downloads, static_cast<size_t>(settings.download_bytes_in_flight));
    }
  }
}

TEST(AvailableCores, IsNoMoreThanTheAffinityMaskAllows) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const size_t cores = AvailableCores();
  EXPECT_GE(cores, 1U);
  EXPECT_LE(cores, static_cast<size_t>(CPU_COUNT(&before)));

  // A thread's mask is its own; the other tests keep theirs.
  std::jthread([&before] {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
      if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(AvailableCores(), 1U);
  }).join();
}

}  // namespace
}  // namespace trawl::worker
