#pragma once
// What the CPU does next. Decoding and inference share one set of threads, as many as cores, and
// each thread that is free takes what the network's end needs most. So there are never more threads
// that compute than cores, and no share of them has to be guessed beforehand.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <variant>
#include <vector>

#include "config/clock.h"
#include "worker/batcher.h"
#include "worker/budget.h"
#include "worker/limits.h"
#include "worker/stage_meter.h"

namespace trawl::worker {

/// An object's bytes, and the budgets that they hold.
struct FetchedObject {
  WorkItem item;
  std::shared_ptr<const engine::Model> model;
  std::vector<std::byte> bytes;
  Reservation slot, byte_share;
};

/// Pictures to decode, of one model: one, or a few small ones; or a batch of one model to run.
using Task = std::variant<std::vector<FetchedObject>, std::vector<PreparedImage>>;

/// Objects come from the store's threads, tasks go to the CPU's. Thread-safe.
///
/// The order: a full batch; a batch that has waited kPatience delays; a picture to decode; a batch
/// that is not full and has waited for the delay. A full batch first keeps what waits small. A
/// partial one goes last because decoding fills it, and a fuller batch costs less an image;
/// patience is for the image of a rare model between those of a common one.
class Scheduler {
 public:
  static constexpr int kPatience = 10;

  Scheduler(const WorkerLimits& limits, std::chrono::milliseconds delay, StageMeter& meter,
            const Clock& clock = SystemClock());

  /// Never waits: what comes holds a slot of the download budget, which bounds it.
  void Offer(FetchedObject object);
  /// No more objects come; Next ends once those that came are done.
  void Close();

  /// Waits for something to do. None: closed and done, or `stop` requested. Whoever gets a task
  /// says how it ended, before it asks for another.
  std::optional<Task> Next(std::stop_token stop);
  /// What there is to do right now; never waits.
  std::optional<Task> TryNext();
  /// `pictures`: how many the task had. `images`: those that have not ended as a failure, or were
  /// dropped.
  void EndDecoding(size_t pictures, std::vector<PreparedImage> images);
  void EndInference();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Does `function` under the lock and wakes a thread that waits.
  template <class Function>
  void Change(const Function& function);
  /// What may be done now, by the order above.
  std::optional<Task> Pick(TimePoint now);
  std::vector<PreparedImage> PickUrgent(TimePoint now);
  std::vector<FetchedObject> PickPictures();
  bool IsDue(TimePoint now) const;
  bool Done() const;

  const WorkerLimits limits_;
  const std::chrono::milliseconds delay_;
  StageMeter& meter_;
  const Clock& clock_;
  std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::deque<FetchedObject> fetched_;
  Batcher batcher_;
  size_t decoding_ = 0, inferring_ = 0;  // threads
  size_t pictures_ = 0;                  // being decoded
  uint64_t changes_ = 0;                 // of anything that a waiting thread may have waited for
  bool closed_ = false;
};

}  // namespace trawl::worker
