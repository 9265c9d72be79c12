#include "ops/cli/sampling.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <span>

#include "config/clock.h"
#include "worker/image/sniff.h"
#include "worker/limits.h"
#include "worker/pipeline.h"
#include "worker/sandbox/child.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::ops {
namespace {

using std::chrono::milliseconds;
using worker::BatchInFlight;

constexpr int kPageKeys = 1'000;
constexpr milliseconds kPoll{5};
constexpr size_t kMaxWarmUp = 32;  // objects, and a tenth of the sample at most

/// Passes downloads on, and notes of what format they are.
class FormatCounter final : public storage::ObjectStore {
 public:
  explicit FormatCounter(storage::ObjectStore& inner) : inner_(inner) {}

  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override {
    return inner_.List(source, prefix, start_after, max_keys);
  }

  void Get(storage::GetRequest request, std::stop_token stop, storage::GetCallback done) override {
    inner_.Get(std::move(request), std::move(stop),
               [this, done = std::move(done)](ObjectResult<storage::Download> download) {
                 if (download) ++counts_[IndexOf(download->bytes)];
                 done(std::move(download));
               });
  }

  std::map<std::string, uint64_t> Formats() {
    std::map<std::string, uint64_t> counts;
    for (size_t i = 0; i < kNames.size(); ++i)
      if (counts_[i] > 0) counts[kNames[i]] = counts_[i];
    return counts;
  }

 private:
  static constexpr std::array kNames = {"jpeg", "png", "webp", "other"};

  static size_t IndexOf(const std::vector<std::byte>& bytes) {
    const auto format = worker::SniffFormat(bytes);
    return format ? static_cast<size_t>(*format) : kNames.size() - 1;
  }

  storage::ObjectStore& inner_;
  std::array<std::atomic<uint64_t>, kNames.size()> counts_{};  // written by the store's threads
};

/// Feeds a pipeline as a worker's log thread does, and takes what has ended.
class SampleRunner {
 public:
  SampleRunner(const JobSpec& spec, const Settings& settings, worker::Pipeline& pipeline)
      : spec_(spec), batch_keys_(static_cast<size_t>(settings.batch_keys)), pipeline_(pipeline) {}

  /// Returns when all objects have ended; their records.
  Result<std::vector<ResultRecord>> Run(std::span<const ObjectRef> objects, std::stop_token stop) {
    const std::vector<std::shared_ptr<BatchInFlight>> batches = ToBatches(objects);
    auto next = batches.begin();
    std::vector<ResultRecord> records;
    while (records.size() < objects.size()) {
      while (next != batches.end() && pipeline_.TrySubmit({*next})) ++next;
      for (const auto& batch : pipeline_.finished().TakeAll())
        std::ranges::move(batch->TakeRecords(), std::back_inserter(records));
      if (SystemClock().SleepFor(kPoll, stop)) continue;
      for (const auto& batch : batches) batch->Cancel();
      return Error(Code::kCancelled, "interrupted");
    }
    return records;
  }

 private:
  std::vector<std::shared_ptr<BatchInFlight>> ToBatches(std::span<const ObjectRef> objects) {
    std::vector<std::shared_ptr<BatchInFlight>> batches;
    for (; !objects.empty(); objects = objects.subspan(batches.back()->work().objects.size())) {
      const auto some = objects.first(std::min(batch_keys_, objects.size()));
      WorkBatch work;
      work.job_id = "plan";
      work.seq = next_batch_++;
      work.spec = spec_;
      work.objects.assign(some.begin(), some.end());
      batches.push_back(std::make_shared<BatchInFlight>(std::move(work), worker::Origin{}, "plan",
                                                        pipeline_.finished()));
    }
    return batches;
  }

  const JobSpec& spec_;
  const size_t batch_keys_;
  worker::Pipeline& pipeline_;
  uint64_t next_batch_ = 0;
};

void Count(const std::vector<ResultRecord>& records, SampleOutcome& outcome) {
  for (const ResultRecord& record : records) {
    const auto* error = std::get_if<ObjectError>(&record.outcome);
    ++(error != nullptr ? outcome.failed : outcome.succeeded);
    if (error != nullptr) ++outcome.errors[std::string(ToString(error->code))];
    if (record.size_bytes > 0) outcome.sizes.push_back(record.size_bytes);
  }
}

}  // namespace

Result<KeySample> DrawSample(producer::Feed& feed, uint64_t most_keys, size_t count,
                             std::stop_token stop) {
  KeySample sample;
  std::mt19937_64 random(1);  // the same plan for the same source
  while (!sample.whole && sample.keys < most_keys) {
    if (stop.stop_requested()) return Error(Code::kCancelled, "interrupted while listing");
    const auto left = std::min<uint64_t>(kPageKeys, most_keys - sample.keys);
    TRAWL_ASSIGN(producer::FeedPage page, feed.Next(static_cast<int>(left)));
    sample.whole = page.last;
    for (ObjectRef& object : page.objects) {
      ++sample.keys;
      if (object.size_bytes) sample.sizes.push_back(*object.size_bytes);
      // Algorithm R (Vitter, 1985): the nth key takes a place with a probability of count / n.
      if (sample.objects.size() < count) {
        sample.objects.push_back(std::move(object));
        continue;
      }
      const uint64_t place = std::uniform_int_distribution<uint64_t>(0, sample.keys - 1)(random);
      if (place < count) sample.objects[place] = std::move(object);
    }
  }
  // The first to come would be measured by the first keys of the source alone.
  std::ranges::shuffle(sample.objects, random);
  return sample;
}

Result<SampleOutcome> RunSample(const PreparedJob& job, std::vector<ObjectRef> objects,
                                const Settings& settings, storage::ObjectStore& store,
                                const StopSignals& stop) {
  const worker::WorkerLimits limits =
      worker::WorkerLimits::From(settings, worker::AvailableCores());
  TRAWL_ASSIGN(const auto decoders,
               worker::DecoderPool::Start(worker::DecoderOptions::From(
                   settings, worker::DecoderCommand(), limits.decode_threads)));
  FormatCounter counter(store);
  SampleOutcome outcome;
  {
    worker::Pipeline pipeline(settings, limits, counter, *decoders);
    pipeline.Adopt({job.spec.model, job.model});
    SampleRunner runner(job.spec, settings, pipeline);
    const auto run = [&](std::span<const ObjectRef> some) {
      auto records = runner.Run(some, stop.drain);
      if (!records) pipeline.Abort();
      return records;
    };
    const std::span<const ObjectRef> all(objects);
    const size_t warm_up = std::min(kMaxWarmUp, all.size() / 10);
    TRAWL_ASSIGN(const auto first, run(all.first(warm_up)));
    const WorkerTimes before = pipeline.meter().Read();
    TRAWL_ASSIGN(const auto rest, run(all.subspan(warm_up)));
    outcome.times = pipeline.meter().Read() - before;
    Count(first, outcome);
    Count(rest, outcome);
    outcome.measured = rest.size();
    for (const ResultRecord& record : rest) outcome.download_s += record.timings.download_ms / 1000;
  }
  outcome.formats = counter.Formats();
  return outcome;
}

}  // namespace trawl::ops
