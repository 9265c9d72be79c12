#include "worker/log_loop.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "config/check.h"
#include "ops/telemetry/log.h"
#include "storage/topics.h"

namespace trawl::worker {
namespace {

using ops::Log;
using ops::LogLevel;
using std::chrono::milliseconds;

// How long one poll waits: short while work is under way, because finished work is looked for
// between polls; the log wants to hear from us once a second.
constexpr milliseconds kBusyPoll{10};
constexpr milliseconds kIdlePoll{100};
/// What has arrived and was not polled is fetched again after a pause, so intake that is full waits
/// for this long before it pauses. The log is not polled meanwhile.
constexpr milliseconds kFullPatience{500};
constexpr milliseconds kFullPoll{2};
/// What is finished of partitions that go is committed within this time, or not at all: the whole
/// group waits meanwhile, and the log allows its callbacks 10 s.
constexpr milliseconds kRevocation{5'000};
constexpr milliseconds kRetryPause{100};
constexpr milliseconds kMaxRetryPause{800};
constexpr milliseconds kReportInterval{1'000};
/// A transaction that took longer takes its time for the way to the brokers, not for its results:
/// the next one had better take more of them.
constexpr milliseconds kQuickTransaction{200};
/// Percent of the drain's time in which accepted work may finish; the rest is for the last
/// transaction and for leaving the group, so that a drain ends as a drain.
constexpr int kDrainShare = 60;

size_t ObjectsOf(const std::shared_ptr<BatchInFlight>& batch) {
  return batch->work().objects.size();
}

/// kInvalidArgument when a result of this batch might be more than the log can hold.
Status CheckKeys(const WorkBatch& batch) {
  for (const ObjectRef& object : batch.objects) {
    if (object.key.size() > kMaxKeyBytes)
      return Error(Code::kInvalidArgument, "a key of {} bytes; {} are allowed", object.key.size(),
                   kMaxKeyBytes);
  }
  return OkStatus();
}

/// Work that failed with it can be done again.
bool IsPassing(Code code) {
  return code == Code::kAborted || code == Code::kUnavailable || code == Code::kDeadlineExceeded;
}

Result<WorkBatch> DecodeChecked(const std::string& value) {
  TRAWL_ASSIGN(WorkBatch batch, DecodeWorkBatch(value));
  TRAWL_TRY(CheckKeys(batch));
  return batch;
}

DownloadTraffic TrafficOf(const storage::ObjectStore& objects) {
  const storage::DownloadCounts counts = objects.Counts();
  return {.requests = counts.requests,
          .retries = counts.retries,
          .throttled = counts.throttled,
          .hedges = counts.hedges,
          .outages = counts.outages,
          .bytes = counts.bytes};
}

}  // namespace

std::string MalformedJobId(const std::string& topic) { return "malformed/" + topic; }

LogLoop::LogLoop(const WorkerOptions& options, const WorkerLimits& limits, Pipeline& pipeline,
                 StopSignals stop)
    : options_(options),
      limits_(limits),
      topic_(storage::WorkTopic(options.settings.queue)),
      pipeline_(pipeline),
      stop_(std::move(stop)),
      clock_(options.clock),
      attempts_(options.log, options.settings.group, clock_),
      jobs_(options.log, clock_),
      transaction_results_(static_cast<size_t>(options.settings.commit_results)) {}

Status LogLoop::Open() {
  publisher_.reset();  // first: the new one's producer would fence it
  TRAWL_ASSIGN(auto producer, options_.log.OpenProducer(options_.transactional_id));
  publisher_ = std::make_unique<Publisher>(std::move(producer));
  // Before any work: a job may have been cancelled while nobody worked.
  return jobs_.Open(stop_.drain);
}

Status LogLoop::Run() {
  const Status opened = storage::OpenPatiently(
      "the worker", [this] { return Open(); }, stop_.drain, clock_);
  if (opened.code() == Code::kCancelled && !stop_.abort.stop_requested()) return OkStatus();
  TRAWL_TRY(opened);
  TRAWL_ASSIGN(consumer_, options_.log.Subscribe(options_.settings.group, {topic_}, *this));

  Status ended = Loop();
  abandoned_ = !ended.ok();
  consumer_->Close();
  ForgetAll();
  Report(/*force=*/true);
  return ended.ok() ? callback_failure_ : ended;
}

Status LogLoop::Loop() {
  while (true) {
    if (stop_.abort.stop_requested()) return Error(Code::kCancelled, "worker stopped at once");
    if (rewind_pending_) TRAWL_TRY(Rewind());
    TRAWL_TRY(PollOnce());
    TRAWL_TRY(FollowJobs());
    TRAWL_TRY(ClaimNew());
    TRAWL_TRY(Submit());
    Settle();
    if (CommitDue()) {
      const Status committed = CommitReady(transaction_results_, {});
      if (committed.code() == Code::kAborted) {
        rewind_pending_ = true;
      } else {
        TRAWL_TRY(committed);
      }
    }
    if (Drained()) return OkStatus();
    TRAWL_TRY(UpdateFlow());
    Report(/*force=*/false);
  }
}

bool LogLoop::Drained() {
  // An abort implies a drain, but ends as an abort: the loop sees to it.
  if (!stop_.drain.stop_requested() || stop_.abort.stop_requested()) return false;
  const TimePoint now = clock_.Now();
  if (!drain_deadline_) {
    GiveBackBacklog();
    drain_deadline_ = now + milliseconds(options_.settings.drain_timeout_ms) * kDrainShare / 100;
    Log(LogLevel::kInfo, "draining", {{"objects", in_flight_objects_}});
  }
  if (tracker_.empty()) return true;
  if (now < *drain_deadline_) return false;
  Log(LogLevel::kWarn, "drain timed out; the rest will be redelivered",
      {{"objects", in_flight_objects_}});
  return true;
}

void LogLoop::GiveBackBacklog() {
  if (!isolation_) {  // what runs alone has begun
    std::deque<DispatchOrder> orders = pipeline_.TakeBack();
    for (auto order = orders.rbegin(); order != orders.rend(); ++order) {
      running_.erase(order->batch.get());
      backlog_.push_front(std::move(order->batch));
    }
  }
  for (const Batch& batch : backlog_) {
    in_flight_objects_ -= ObjectsOf(batch);
    // What is finished behind it needed no work: a malformed message, or a cancelled job's.
    for (const BatchTracker::Entry& entry :
         tracker_.Retract(batch->origin().at, batch->origin().offset)) {
      if (!entry.finished) continue;  // in the backlog itself, or yet to be settled
      in_flight_objects_ -= ObjectsOf(entry.batch);
      finished_objects_ -= ObjectsOf(entry.batch);
    }
  }
  backlog_.clear();
}

Status LogLoop::PollOnce() {
  received_ = false;
  if (full_since_ && !paused_) {
    refilling_ = false;
    clock_.SleepFor(kFullPoll, stop_.abort);
    return OkStatus();
  }
  auto polled = consumer_->Poll(in_flight_objects_ > 0 ? kBusyPoll : kIdlePoll);
  TRAWL_TRY(callback_failure_);
  if (!polled) {
    if (!IsRetryable(polled.error().code()))
      return Annotate(polled.error(), "consuming {}", topic_);
    refilling_ = false;
    Log(LogLevel::kWarn, "polling does not work", {{"reason", polled.error().message()}});
    clock_.SleepFor(kRetryPause, stop_.abort);
    return OkStatus();
  }
  if (polled->record) {
    received_ = true;
    Accept(*polled->record);
  }
  if ((!polled->record && !polled->end_of) || IsFull()) refilling_ = false;
  return OkStatus();
}

void LogLoop::Accept(const storage::LogRecord& record) {
  // What comes while draining stays where it is, for whoever works next.
  if (drain_deadline_) return;
  if (held_.contains(record.at)) {
    rewind_pending_ = true;  // it would pass the record that is held
    return;
  }
  Result<WorkBatch> work = DecodeChecked(record.value);
  if (!work) {
    AcceptMalformed(record, work.error());
    return;
  }
  switch (jobs_.WishFor(*work)) {
    case Wish::kHold:
      Hold(record);
      return;
    case Wish::kCancel:
      AcceptCancelled(std::move(*work), record);
      return;
    case Wish::kWork:
      break;
  }
  auto batch = std::make_shared<BatchInFlight>(
      std::move(*work), Origin{record.at, record.offset, tracker_.epoch(record.at)}, options_.name,
      pipeline_.finished());
  if (Track(batch)) backlog_.push_back(std::move(batch));
}

void LogLoop::AcceptCancelled(WorkBatch work, const storage::LogRecord& record) {
  auto batch = std::make_shared<BatchInFlight>(
      std::move(work), Origin{record.at, record.offset, tracker_.epoch(record.at)}, options_.name,
      pipeline_.finished());
  if (!Track(batch)) return;
  for (WorkItem& item : ItemsOf(batch))
    item.Fail({ObjectErrorCode::kCancelled, "the job was cancelled", 1});
}

void LogLoop::Hold(const storage::LogRecord& record) {
  if (held_.empty()) Log(LogLevel::kInfo, "holding the work of a paused job", {{"topic", topic_}});
  const Status paused = consumer_->Pause({&record.at, 1});
  held_.insert_or_assign(record.at, record);
  // The next record of the partition must not pass this one.
  if (!paused.ok()) rewind_pending_ = true;
}

Status LogLoop::FollowJobs() {
  TRAWL_ASSIGN(const bool changed, jobs_.Refresh());
  if (!changed || rewind_pending_) return OkStatus();
  if (HasUnwanted()) return GiveBackUnwanted();
  if (held_.empty()) return OkStatus();
  for (const auto& [at, record] : std::exchange(held_, {})) Accept(record);  // may hold it again
  if (paused_) return OkStatus();
  const Status resumed = ResumeUnheld();
  if (!resumed.ok() && !IsRetryable(resumed.code()))
    return Annotate(resumed, "resuming {}", topic_);
  if (!resumed.ok()) rewind_pending_ = true;
  return OkStatus();
}

bool LogLoop::HasUnwanted() const {
  if (drain_deadline_) return false;  // it ends soon anyway
  const auto is_unwanted = [this](const BatchInFlight& batch) {
    return !batch.cancelled().stop_requested() && jobs_.WishFor(batch.work()) != Wish::kWork;
  };
  return std::any_of(backlog_.begin(), backlog_.end(),
                     [&](const Batch& batch) { return is_unwanted(*batch); }) ||
         std::any_of(running_.begin(), running_.end(),
                     [&](const BatchInFlight* batch) { return is_unwanted(*batch); });
}

Status LogLoop::GiveBackUnwanted() {
  Log(LogLevel::kInfo, "giving back what is under way of a job that was paused or cancelled",
      {{"objects", in_flight_objects_ - finished_objects_}});
  Settle();
  // What is finished is kept. The rest comes again, and is held then, or ended.
  const Status committed = CommitReady(std::numeric_limits<size_t>::max(), {});
  if (!committed.ok() && committed.code() != Code::kAborted) return committed;
  rewind_pending_ = true;
  return OkStatus();
}

/// Idempotent, like the log's own Resume.
Status LogLoop::ResumeUnheld() {
  std::vector<storage::TopicPartition> partitions = Assigned();
  std::erase_if(partitions, [this](const auto& at) { return held_.contains(at); });
  return consumer_->Resume(partitions);
}

void LogLoop::AcceptMalformed(const storage::LogRecord& record, const Status& why) {
  const std::string place =
      fmt::format("{}/{}/{}", record.at.topic, record.at.partition, record.offset);
  Log(LogLevel::kWarn, "malformed work message", {{"at", place}, {"reason", why.message()}});
  WorkBatch work;
  work.job_id = MalformedJobId(record.at.topic);
  work.seq = static_cast<uint64_t>(record.offset);
  work.objects.push_back({place, "", std::nullopt, ""});
  // (topic, offset, partition) as (job, seq, index): an identity that no other message has.
  work.indices = {static_cast<uint32_t>(record.at.partition)};
  auto batch = std::make_shared<BatchInFlight>(
      std::move(work), Origin{record.at, record.offset, tracker_.epoch(record.at)}, options_.name,
      pipeline_.finished());
  if (!Track(batch)) return;
  ItemsOf(batch).front().Fail(
      {ObjectErrorCode::kInternal, fmt::format("message {}: {}", place, why.message()), 1});
}

bool LogLoop::Track(const Batch& batch) {
  const Origin& origin = batch->origin();
  if (!tracker_.Track(origin.at, origin.offset, batch)) {
    // Expected only between an abort and its rewind.
    Log(rewind_pending_ ? LogLevel::kDebug : LogLevel::kWarn, "stale delivery dropped",
        {{"partition", origin.at.partition}, {"offset", origin.offset}});
    return false;
  }
  if (in_flight_objects_ == 0) told_.times = pipeline_.meter().Read();  // it had nothing to do
  in_flight_objects_ += ObjectsOf(batch);
  return true;
}

Status LogLoop::ClaimNew() {
  if (unclaimed_.empty() || rewind_pending_ || stop_.drain.stop_requested()) return OkStatus();
  const Status claimed =
      attempts_.Claim(std::vector<storage::TopicPartition>(unclaimed_.begin(), unclaimed_.end()),
                      *publisher_, stop_.drain);
  if (claimed.ok()) {
    unclaimed_.clear();
    return OkStatus();
  }
  if (claimed.code() == Code::kCancelled) return OkStatus();  // nothing of theirs has begun
  if (!IsPassing(claimed.code())) return Annotate(claimed, "claiming partitions of {}", topic_);
  Log(LogLevel::kWarn, "partitions cannot be claimed yet", {{"reason", claimed.message()}});
  clock_.SleepFor(kRetryPause, stop_.abort);
  return OkStatus();
}

Status LogLoop::Submit() {
  if (rewind_pending_ || !unclaimed_.empty() || survivor_) return OkStatus();
  if (isolation_) return ContinueIsolation();
  while (!backlog_.empty()) {
    const Origin& origin = backlog_.front()->origin();
    if (attempts_.Suspects(origin.at, origin.offset))
      return running_.empty() ? Isolate() : OkStatus();
    if (!pipeline_.TrySubmit({backlog_.front()})) break;
    running_.insert(backlog_.front().get());
    backlog_.pop_front();
  }
  return OkStatus();
}

Status LogLoop::Isolate() {
  const Batch batch = backlog_.front();
  const Origin& origin = batch->origin();
  const bool split = attempts_.MustSplit(origin.at, origin.offset);
  if (!split) {
    TRAWL_ASSIGN(const bool announced, Announce(origin, std::nullopt));
    if (!announced) return OkStatus();
    CHECK(pipeline_.TrySubmit({batch}));  // it is empty
  }
  running_.insert(batch.get());
  backlog_.pop_front();
  isolation_ = Isolation{batch, split, 0, attempts_.Condemned(origin.at, origin.offset)};
  return ContinueIsolation();
}

Status LogLoop::ContinueIsolation() {
  if (!isolation_->split) return OkStatus();
  const size_t objects = ObjectsOf(isolation_->batch);
  // While all that have been started have ended.
  while (isolation_->next < objects &&
         isolation_->batch->unfinished() == objects - isolation_->next && !rewind_pending_) {
    TRAWL_TRY(RunNextAlone());
  }
  return OkStatus();
}

Status LogLoop::RunNextAlone() {
  const Batch& batch = isolation_->batch;
  const uint32_t index = isolation_->next;
  if (isolation_->condemned.contains(index)) {
    Log(LogLevel::kError, "an object is given up: it killed its worker",
        {{"job", batch->work().job_id}, {"key", batch->work().objects[index].key}});
    WorkItem(batch, index)
        .Fail({ObjectErrorCode::kInternal,
               fmt::format("its worker died {} times while it worked on this", Attempts::kTries),
               Attempts::kTries});
  } else {
    TRAWL_ASSIGN(const bool announced, Announce(batch->origin(), index));
    if (!announced) return OkStatus();
    CHECK(pipeline_.TrySubmit({batch, index}));  // it is empty
  }
  ++isolation_->next;
  return OkStatus();
}

Result<bool> LogLoop::Announce(const Origin& origin, std::optional<uint32_t> index) {
  const Status started = attempts_.Start(origin.at, origin.offset, index, *publisher_);
  if (started.ok()) return true;
  if (!IsPassing(started.code())) return Annotate(started, "announcing work of {}", topic_);
  Log(LogLevel::kWarn, "work cannot be announced yet", {{"reason", started.message()}});
  rewind_pending_ = true;
  return false;
}

void LogLoop::EndIsolation() {
  const Isolation ended = *std::exchange(isolation_, std::nullopt);
  if (!ended.split) return;
  // What was never started ends here, as dropped.
  for (uint32_t index = ended.next; index < ObjectsOf(ended.batch); ++index)
    WorkItem(ended.batch, index);
}

void LogLoop::Settle() {
  for (const Batch& batch : pipeline_.finished().TakeAll()) {
    const Origin& origin = batch->origin();
    running_.erase(batch.get());
    const bool alone = isolation_ && isolation_->batch == batch;
    if (alone) isolation_.reset();
    if (!tracker_.Finish(origin.at, origin.epoch, origin.offset)) {
      in_flight_objects_ -= ObjectsOf(batch);
      continue;
    }
    CHECK(batch->complete());  // items are dropped only from batches that nobody tracks
    if (alone) survivor_ = origin;
    if (finished_objects_ == 0) finished_since_ = clock_.Now();
    finished_objects_ += ObjectsOf(batch);
  }
}

bool LogLoop::CommitDue() const {
  if (finished_objects_ == 0) return false;
  if (survivor_) return true;
  if (refilling_) return false;  // so that there is work while the next transaction is under way
  if (finished_objects_ >= static_cast<size_t>(options_.settings.commit_results)) return true;
  // Nothing left to wait for.
  if (finished_objects_ == in_flight_objects_ && !received_) return true;
  return clock_.Now() - finished_since_ >= milliseconds(options_.settings.commit_interval_ms);
}

Status LogLoop::CommitReady(size_t limit, std::span<const storage::TopicPartition> within,
                            Patience patience) {
  const BatchTracker::Ready ready = tracker_.Take(limit, ObjectsOf, {within.begin(), within.end()});
  finished_since_ = clock_.Now();
  if (ready.batches.empty()) return OkStatus();
  for (const Batch& batch : ready.batches) {
    in_flight_objects_ -= ObjectsOf(batch);
    finished_objects_ -= ObjectsOf(batch);
  }
  const Usage usage{pipeline_.meter().Read(), TrafficOf(options_.objects)};
  const MeterScope publishing(pipeline_.meter(), StageMeter::kPublishing);
  const TimePoint began = clock_.Now();
  const Usage spent{usage.times - told_.times, usage.downloads - told_.downloads};
  const auto report = publisher_->Commit(ready, *consumer_, spent, patience);
  if (!report) {
    if (!IsPassing(report.error().code())) return report.error();
    ++stats_.aborted_transactions;
    ++aborts_in_a_row_;
    transaction_results_ = static_cast<size_t>(options_.settings.commit_results);
    Log(LogLevel::kWarn, "transaction aborted", {{"reason", report.error().message()}});
    return Status(Code::kAborted, report.error().message());
  }
  for (const storage::TopicOffset& next : ready.offsets) {
    if (!survivor_ || next.at != survivor_->at || next.offset <= survivor_->offset) continue;
    attempts_.Survived(survivor_->at, survivor_->offset);
    survivor_.reset();
  }
  AdaptTransactions(clock_.Now() - began);
  aborts_in_a_row_ = 0;
  told_ = usage;
  ++stats_.transactions;
  stats_.batches += report->batches;
  stats_.succeeded += report->succeeded;
  stats_.failed += report->failed;
  return OkStatus();
}

void LogLoop::AdaptTransactions(std::chrono::steady_clock::duration took) {
  const auto least = static_cast<size_t>(options_.settings.commit_results);
  transaction_results_ = took > kQuickTransaction
                             ? std::min(2 * transaction_results_, limits_.in_flight_objects)
                             : transaction_results_ / 2;
  transaction_results_ = std::max(transaction_results_, least);
  refilling_ = true;
  full_since_.reset();  // nobody could have polled meanwhile
}

Status LogLoop::Rewind() {
  for (const storage::TopicPartition& at : Assigned()) {
    Forget(at);
    assigned_.insert(at);
  }
  // Against a log that refuses every transaction: at most about one attempt a second.
  clock_.SleepFor(std::min(kRetryPause * (1 << std::min(aborts_in_a_row_, 4)), kMaxRetryPause),
                  stop_.abort);
  Status rewound = consumer_->RewindToCommitted();
  TRAWL_TRY(callback_failure_);
  if (rewound.ok() && !paused_) rewound = ResumeUnheld();  // what was held comes again
  if (!rewound.ok()) {
    if (!IsRetryable(rewound.code())) return Annotate(rewound, "rewinding {}", topic_);
    Log(LogLevel::kWarn, "rewinding does not work yet", {{"reason", rewound.message()}});
    return OkStatus();
  }
  rewind_pending_ = false;
  for (const storage::TopicPartition& at : assigned_) {
    if (tracker_.epoch(at) == 0) tracker_.Begin(at);
  }
  return OkStatus();
}

Status LogLoop::UpdateFlow() {
  if (!IsFull()) {
    full_since_.reset();
  } else if (!full_since_) {
    full_since_ = clock_.Now();
  }
  const bool stuck = full_since_ && clock_.Now() - *full_since_ >= kFullPatience;
  const bool pause =
      drain_deadline_ || stuck || (paused_ && in_flight_objects_ >= limits_.resume_objects);
  if (pause == paused_ && !(pause && flow_stale_)) return OkStatus();
  const std::vector<storage::TopicPartition> partitions = Assigned();
  const Status status = pause ? consumer_->Pause(partitions) : ResumeUnheld();
  if (!status.ok()) {
    if (!IsRetryable(status.code()))
      return Annotate(status, "{} {}", pause ? "pausing" : "resuming", topic_);
    return OkStatus();  // the next round tries again
  }
  paused_ = pause;
  flow_stale_ = false;
  return OkStatus();
}

void LogLoop::OnAssigned(std::span<const storage::TopicPartition> partitions) {
  Log(LogLevel::kInfo, "partitions assigned", {{"topic", topic_}, {"count", partitions.size()}});
  for (const storage::TopicPartition& at : partitions) {
    assigned_.insert(at);
    tracker_.Begin(at);
    unclaimed_.insert(at);
  }
  flow_stale_ = true;
}

void LogLoop::OnRevoked(std::span<const storage::TopicPartition> partitions) {
  // With a rewind pending, a transaction has failed: what is finished lies behind what it lost, and
  // its offsets would pass over that.
  const TimePoint deadline = clock_.Now() + kRevocation;
  Status committed;
  if (!abandoned_ && !rewind_pending_) {
    Settle();
    committed = CommitReady(std::numeric_limits<size_t>::max(), partitions, kRevocation);
    // Not committed: somebody else will do it again.
    if (!committed.ok() && committed.code() != Code::kAborted) callback_failure_ = committed;
  }
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - clock_.Now());
  if (committed.ok() && left.count() > 0) Release(partitions, left);
  for (const storage::TopicPartition& at : partitions) unclaimed_.erase(at);
  for (const storage::TopicPartition& at : partitions) Forget(at);
}

void LogLoop::OnLost(std::span<const storage::TopicPartition> partitions) {
  Log(LogLevel::kWarn, "partitions lost", {{"topic", topic_}, {"count", partitions.size()}});
  for (const storage::TopicPartition& at : partitions) {
    Forget(at);
    unclaimed_.erase(at);
  }
  attempts_.Forget(partitions);
}

void LogLoop::Release(std::span<const storage::TopicPartition> partitions, Patience patience) {
  if (abandoned_ || !callback_failure_.ok()) return;
  // Unreleased, they only make the next owner start with care.
  if (const Status released = attempts_.Release(partitions, *publisher_, patience); !released.ok())
    Log(LogLevel::kWarn, "partitions are not released", {{"reason", released.message()}});
}

void LogLoop::Forget(const storage::TopicPartition& at) {
  assigned_.erase(at);
  held_.erase(at);
  if (survivor_ && survivor_->at == at) survivor_.reset();
  for (const BatchTracker::Entry& entry : tracker_.End(at)) {
    if (entry.finished) {
      in_flight_objects_ -= ObjectsOf(entry.batch);
      finished_objects_ -= ObjectsOf(entry.batch);
    } else {
      entry.batch->Cancel();
    }
  }
  if (isolation_ && isolation_->batch->cancelled().stop_requested()) EndIsolation();
  std::erase_if(backlog_, [this](const Batch& batch) {
    if (!batch->cancelled().stop_requested()) return false;
    in_flight_objects_ -= ObjectsOf(batch);
    return true;
  });
}

void LogLoop::ForgetAll() {
  for (const storage::TopicPartition& at : Assigned()) Forget(at);
}

std::vector<storage::TopicPartition> LogLoop::Assigned() const {
  return {assigned_.begin(), assigned_.end()};
}

void LogLoop::Report(bool force) {
  const TimePoint now = clock_.Now();
  if (!options_.on_progress || (!force && now - reported_ < kReportInterval)) return;
  reported_ = now;
  stats_.times = pipeline_.meter().Read();
  options_.on_progress(stats_);
}

}  // namespace trawl::worker
