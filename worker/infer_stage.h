#pragma once
// From prepared images to predictions.

#include <memory>
#include <span>
#include <vector>

#include "config/status.h"
#include "engine/model.h"
#include "worker/batcher.h"

namespace trawl::worker {

/// The k best classes of one image, named. Errors: model_error when a score is no number.
ObjectResult<std::vector<Prediction>> Classify(std::span<const float> probabilities, int top_k,
                                               const std::vector<std::string>& labels);

/// One thread's sessions, a few models deep. Not thread-safe: one per thread.
class InferStage {
 public:
  explicit InferStage(size_t batch_size) : batch_size_(batch_size) {}

  /// Lets the sessions of all other models go.
  void KeepOnly(std::span<const std::shared_ptr<const engine::Model>> models);

  /// Ends every image of the batch. All are of one model; 1 <= batch.size() <= batch_size.
  void Run(std::vector<PreparedImage> batch);

 private:
  struct Bound {
    std::shared_ptr<const engine::Model> model;
    std::unique_ptr<engine::Session> session;
  };

  Result<engine::Session*> SessionFor(const std::shared_ptr<const engine::Model>& model);
  /// As Run. A batch that fails as a whole is halved until it is known which image it was.
  void RunSome(std::span<PreparedImage> batch);
  /// Fills probabilities_, [n, classes].
  Status Score(std::span<const PreparedImage> batch);
  void EndWithScores(std::span<PreparedImage> batch);

  const size_t batch_size_;
  std::vector<Bound> sessions_;  // the most recently used last
  std::vector<float> images_, probabilities_;
};

}  // namespace trawl::worker
