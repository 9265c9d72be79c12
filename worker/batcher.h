#pragma once
// Makes inference batches: images of one model each, closed by size or by age.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "engine/model.h"
#include "worker/bounded_queue.h"
#include "worker/work_item.h"

namespace trawl::worker {

/// An object, ready for the model.
struct PreparedImage {
  WorkItem item;
  std::shared_ptr<const engine::Model> model;
  std::vector<float> input;  // [C, H, W] or [H, W, C], as the model's layout says
};

/// Written by the decoders, read by the sessions. Thread-safe.
class Batcher {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// `capacity`: images; at least `batch_size`.
  Batcher(size_t capacity, size_t batch_size, Duration delay);

  /// Waits for room. Unless kOk, the image is gone.
  PushResult Push(PreparedImage image, std::stop_token stop);
  /// Waits for a batch: `batch_size` images of one model, or fewer once the oldest has waited for
  /// `delay` or the batcher is closed. Empty: closed and nothing left, or `stop` requested.
  std::vector<PreparedImage> Next(std::stop_token stop);
  void Close();

  size_t depth() const;
  double blocked_seconds() const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Waiting {
    TimePoint since;
    PreparedImage image;
  };

  /// The first model, in the order of its oldest image, that has a full batch; else none.
  const engine::Model* FullModel() const;
  /// Takes up to batch_size images of `model`, oldest first.
  std::vector<PreparedImage> Take(const engine::Model* model);

  const size_t capacity_;
  const size_t batch_size_;
  const Duration delay_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any room_, filled_;
  std::deque<Waiting> waiting_;  // oldest first, models mixed
  bool closed_ = false;
  Duration blocked_{};
};

}  // namespace trawl::worker
