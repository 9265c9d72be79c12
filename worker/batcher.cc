#include "worker/batcher.h"

#include <algorithm>

namespace trawl::worker {

Batcher::Batcher(size_t capacity, size_t batch_size, Duration delay)
    : capacity_(std::max(capacity, batch_size)), batch_size_(batch_size), delay_(delay) {}

PushResult Batcher::Push(PreparedImage image, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (waiting_.size() >= capacity_ && !closed_) {
    const TimePoint began = std::chrono::steady_clock::now();
    room_.wait(lock, stop, [this] { return waiting_.size() < capacity_ || closed_; });
    blocked_ += std::chrono::steady_clock::now() - began;
  }
  if (stop.stop_requested()) return PushResult::kStopped;
  if (closed_) return PushResult::kClosed;
  waiting_.push_back({std::chrono::steady_clock::now(), std::move(image)});
  // The first image starts a session's timer, a full batch ends its wait.
  filled_.notify_one();
  return PushResult::kOk;
}

std::vector<PreparedImage> Batcher::Next(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (waiting_.empty()) {
      if (closed_) return {};
      filled_.wait(lock, stop, [this] { return !waiting_.empty() || closed_; });
      continue;
    }
    // A full capacity with no full batch in it (many models) must not wait for room that only it
    // can make.
    const bool flush = closed_ || waiting_.size() >= capacity_;
    const TimePoint due = waiting_.front().since + delay_;
    const engine::Model* model = FullModel();
    if (model == nullptr && (flush || std::chrono::steady_clock::now() >= due))
      model = waiting_.front().image.model.get();
    if (model != nullptr) return Take(model);
    filled_.wait_until(lock, stop, due, [this, front = waiting_.front().since] {
      return closed_ || waiting_.empty() || waiting_.front().since != front ||
             waiting_.size() >= capacity_ || FullModel() != nullptr;
    });
  }
  return {};
}

const engine::Model* Batcher::FullModel() const {
  if (waiting_.size() < batch_size_) return nullptr;
  std::vector<std::pair<const engine::Model*, size_t>> counts;  // a handful of models
  for (const Waiting& each : waiting_) {
    const engine::Model* const model = each.image.model.get();
    auto count = std::find_if(counts.begin(), counts.end(),
                              [model](const auto& pair) { return pair.first == model; });
    if (count == counts.end()) count = counts.insert(counts.end(), {model, 0});
    if (++count->second == batch_size_) return model;
  }
  return nullptr;
}

std::vector<PreparedImage> Batcher::Take(const engine::Model* model) {
  std::vector<PreparedImage> batch;
  std::deque<Waiting> rest;
  for (Waiting& each : waiting_) {
    if (batch.size() < batch_size_ && each.image.model.get() == model) {
      batch.push_back(std::move(each.image));
    } else {
      rest.push_back(std::move(each));
    }
  }
  waiting_ = std::move(rest);
  room_.notify_all();
  // What stays behind may be another session's batch already.
  if (!waiting_.empty()) filled_.notify_one();
  return batch;
}

void Batcher::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  room_.notify_all();
  filled_.notify_all();
}

size_t Batcher::depth() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

double Batcher::blocked_seconds() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double>(blocked_).count();
}

}  // namespace trawl::worker
