#include "worker/scheduler.h"

#include <utility>

#include "worker/sandbox/decoder_pool.h"

namespace trawl::worker {

Scheduler::Scheduler(const WorkerLimits& limits, std::chrono::milliseconds delay, StageMeter& meter,
                     const Clock& clock)
    : limits_(limits), delay_(delay), meter_(meter), clock_(clock), batcher_(limits.batch_size) {}

template <class Function>
void Scheduler::Change(const Function& function) {
  {
    const std::lock_guard lock(mutex_);
    function();
    ++changes_;
  }
  changed_.notify_one();
}

void Scheduler::Offer(FetchedObject object) {
  Change([&] {
    fetched_.push_back(std::move(object));
    meter_.Change(StageMeter::kFetched, 1);
  });
}

void Scheduler::Close() {
  Change([this] { closed_ = true; });
  changed_.notify_all();
}

std::optional<Task> Scheduler::Next(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (std::optional<Task> task = Pick(clock_.Now())) {
      ++changes_;  // it may have made room for another thread
      changed_.notify_one();
      return task;
    }
    if (Done()) {
      changed_.notify_all();  // whoever else waits was not told
      return std::nullopt;
    }
    const auto news = [this, seen = changes_] { return changes_ != seen; };
    if (const auto oldest = batcher_.oldest(); oldest && inferring_ < limits_.sessions) {
      changed_.wait_until(lock, stop, *oldest + delay_, news);
    } else {
      changed_.wait(lock, stop, news);
    }
  }
  return std::nullopt;
}

std::optional<Task> Scheduler::TryNext() {
  const std::lock_guard lock(mutex_);
  return Pick(clock_.Now());
}

void Scheduler::EndDecoding(size_t pictures, std::vector<PreparedImage> images) {
  Change([&] {
    --decoding_;
    pictures_ -= pictures;
    meter_.Change(StageMeter::kDecoding, -1);
    for (PreparedImage& image : images) batcher_.Add(std::move(image), clock_.Now());
  });
}

void Scheduler::EndInference() {
  Change([this] {
    --inferring_;
    meter_.Change(StageMeter::kInferring, -1);
  });
}

std::optional<Task> Scheduler::Pick(TimePoint now) {
  std::vector<PreparedImage> batch;
  if (inferring_ < limits_.sessions) batch = PickUrgent(now);
  if (batch.empty() && decoding_ < limits_.decode_threads) {
    std::vector<FetchedObject> pictures = PickPictures();
    if (!pictures.empty()) return pictures;
  }
  if (batch.empty() && inferring_ < limits_.sessions && IsDue(now)) batch = batcher_.TakeAny();
  if (batch.empty()) return std::nullopt;
  ++inferring_;
  meter_.Change(StageMeter::kInferring, 1);
  return batch;
}

std::vector<FetchedObject> Scheduler::PickPictures() {
  std::vector<FetchedObject> pictures;
  size_t bytes = 0;
  while (!fetched_.empty() && pictures.size() < kMostAtOnce &&
         batcher_.size() + pictures_ < limits_.prepared_images) {
    FetchedObject& next = fetched_.front();
    bytes += next.bytes.size();
    if (!pictures.empty() &&
        (bytes > DecoderPool::kBytesAtOnce || next.model != pictures.front().model))
      break;
    pictures.push_back(std::move(next));
    fetched_.pop_front();
    ++pictures_;
    meter_.Change(StageMeter::kFetched, -1);
  }
  if (pictures.empty()) return pictures;
  ++decoding_;
  meter_.Change(StageMeter::kDecoding, 1);
  return pictures;
}

std::vector<PreparedImage> Scheduler::PickUrgent(TimePoint now) {
  const auto oldest = batcher_.oldest();
  if (!oldest) return {};
  // Room that is full of images of many models, without a full batch among them, is made here.
  if (batcher_.size() >= limits_.prepared_images || now - *oldest >= kPatience * delay_)
    return batcher_.TakeAny();
  return batcher_.TakeFull();
}

bool Scheduler::IsDue(TimePoint now) const {
  const auto oldest = batcher_.oldest();
  const bool no_more = closed_ && fetched_.empty() && decoding_ == 0;
  return oldest && (no_more || now - *oldest >= delay_);
}

bool Scheduler::Done() const {
  return closed_ && fetched_.empty() && decoding_ == 0 && batcher_.size() == 0;
}

}  // namespace trawl::worker
