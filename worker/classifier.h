#pragma once
// One picture, no queue: the same steps as the pipeline's, in the calling thread.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/object_error.h"
#include "config/records.h"
#include "config/status.h"
#include "engine/model.h"
#include "worker/image/image.h"

namespace trawl::worker {

/// A model loaded once, with a session for one picture at a time. Not thread-safe.
class Classifier {
 public:
  /// Errors: those of Session::Create.
  static Result<std::unique_ptr<Classifier>> Create(std::shared_ptr<const engine::Model> model,
                                                    const ImageLimits& limits);

  /// The `top_k` best classes of the picture in `bytes` (a whole JPEG, PNG or WebP file), by
  /// falling probability. Errors: those of DecodeImage and Preprocess; model_error when a score is
  /// no number.
  ObjectResult<std::vector<Prediction>> Classify(std::span<const std::byte> bytes, int top_k);

  const engine::Model& model() const { return *model_; }

 private:
  Classifier(std::shared_ptr<const engine::Model> model, std::unique_ptr<engine::Session> session,
             const ImageLimits& limits);

  const std::shared_ptr<const engine::Model> model_;
  const std::unique_ptr<engine::Session> session_;
  const ImageLimits limits_;
  std::vector<uint8_t> levels_;
  std::vector<float> input_, probabilities_;
};

}  // namespace trawl::worker
