#include "worker/classifier.h"

#include <utility>

#include "worker/infer_stage.h"

namespace trawl::worker {

Result<std::unique_ptr<Classifier>> Classifier::Create(std::shared_ptr<const engine::Model> model,
                                                       const ImageLimits& limits) {
  TRAWL_ASSIGN(auto session, engine::Session::Create(model, /*max_batch=*/1));
  return std::unique_ptr<Classifier>(new Classifier(std::move(model), std::move(session), limits));
}

Classifier::Classifier(std::shared_ptr<const engine::Model> model,
                       std::unique_ptr<engine::Session> session, const ImageLimits& limits)
    : model_(std::move(model)),
      session_(std::move(session)),
      limits_(limits),
      levels_(model_->input_size()),
      input_(model_->input_size()),
      probabilities_(static_cast<size_t>(model_->classes())) {}

ObjectResult<std::vector<Prediction>> Classifier::Classify(std::span<const std::byte> bytes,
                                                           int top_k) {
  const engine::ModelPackage& package = model_->package();
  if (auto ready = PrepareImage(bytes, limits_, package.preprocess, levels_); !ready)
    return tl::unexpected(ready.error());
  Normalize(levels_, package.preprocess, input_);
  if (const Status status = session_->Run(input_, 1, probabilities_); !status.ok())
    return tl::unexpected(ObjectError{ObjectErrorCode::kModelError, status.message()});
  return worker::Classify(probabilities_, top_k, package.labels);
}

}  // namespace trawl::worker
