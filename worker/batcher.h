#pragma once
// Makes inference batches: images of one model each, closed by size or by age.

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model.h"
#include "worker/image/image.h"
#include "worker/work_item.h"

namespace trawl::worker {

/// An object, ready for the model.
struct PreparedImage {
  WorkItem item;
  std::shared_ptr<const engine::Model> model;
  Samples levels;  // [C, H, W] or [H, W, C], as the model's layout says
};

/// Never waits: whoever owns it does. Not thread-safe.
class Batcher {
 public:
  using Duration = std::chrono::steady_clock::duration;
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Batcher(size_t batch_size) : batch_size_(batch_size) {}

  void Add(PreparedImage image, TimePoint now);

  /// `batch_size` images of one model: of the one whose oldest image has waited longest, if there
  /// are several. Empty when no model has that many.
  std::vector<PreparedImage> TakeFull();
  /// As TakeFull, and else what there is of the oldest image's model. Empty when nothing is there.
  std::vector<PreparedImage> TakeAny();

  size_t size() const { return waiting_.size(); }
  /// Since when the oldest image has waited.
  std::optional<TimePoint> oldest() const;

 private:
  struct Waiting {
    TimePoint since;
    PreparedImage image;
  };

  const engine::Model* FullModel() const;
  /// Takes up to batch_size images of `model`, oldest first.
  std::vector<PreparedImage> Take(const engine::Model* model);

  const size_t batch_size_;
  std::deque<Waiting> waiting_;  // oldest first, models mixed
};

}  // namespace trawl::worker
