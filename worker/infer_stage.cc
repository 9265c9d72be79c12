#include "worker/infer_stage.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace trawl::worker {

ObjectResult<std::vector<Prediction>> Classify(std::span<const float> probabilities, int top_k,
                                               const std::vector<std::string>& labels) {
  if (!std::all_of(probabilities.begin(), probabilities.end(),
                   [](float score) { return std::isfinite(score); }))
    return tl::unexpected(ObjectError{ObjectErrorCode::kModelError,
                                      "the model's scores for this image are not finite", 1});
  std::vector<Prediction> predictions;
  for (const engine::ClassScore& score : engine::TopK(probabilities, top_k)) {
    const auto index = static_cast<size_t>(score.class_index);
    predictions.push_back(
        {score.class_index, index < labels.size() ? labels[index] : "", score.probability});
  }
  return predictions;
}

void InferStage::KeepOnly(std::span<const std::shared_ptr<const engine::Model>> models) {
  std::erase_if(sessions_, [models](const Bound& bound) {
    return std::ranges::find(models, bound.model) == models.end();
  });
}

void InferStage::Run(std::vector<PreparedImage> batch) {
  std::erase_if(batch, [](const PreparedImage& image) { return image.item.cancelled(); });
  if (!batch.empty()) RunSome(batch);
}

void InferStage::RunSome(std::span<PreparedImage> batch) {
  const auto began = std::chrono::steady_clock::now();
  const Status scored = Score(batch);
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - began;
  const double share_ms = elapsed.count() / static_cast<double>(batch.size());
  for (PreparedImage& image : batch) image.item.timings().infer_ms += share_ms;
  if (scored.ok()) return EndWithScores(batch);
  if (batch.size() == 1)
    return batch.front().item.Fail({ObjectErrorCode::kModelError, scored.message(), 1});
  const size_t half = batch.size() / 2;
  RunSome(batch.first(half));
  RunSome(batch.subspan(half));
}

void InferStage::EndWithScores(std::span<PreparedImage> batch) {
  const engine::Model& model = *batch.front().model;
  const auto classes = static_cast<size_t>(model.classes());
  for (size_t i = 0; i < batch.size(); ++i) {
    WorkItem& item = batch[i].item;
    auto predictions = Classify(std::span(probabilities_).subspan(i * classes, classes),
                                item.work().spec.top_k, model.package().labels);
    if (predictions) {
      item.Succeed(std::move(*predictions));
    } else {
      item.Fail(std::move(predictions.error()));
    }
  }
}

Status InferStage::Score(std::span<const PreparedImage> batch) {
  TRAWL_ASSIGN(engine::Session* const session, SessionFor(batch.front().model));
  const engine::Model& model = *batch.front().model;
  const size_t numbers = model.input_size();
  images_.resize(batch.size() * numbers);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].levels.size() != numbers)
      return Error(Code::kInvalidArgument, "an image of {} levels; the model takes {}",
                   batch[i].levels.size(), numbers);
    Normalize(batch[i].levels, model.package().preprocess,
              std::span(images_).subspan(i * numbers, numbers));
  }
  probabilities_.resize(batch.size() * static_cast<size_t>(model.classes()));
  return session->Run(images_, static_cast<int>(batch.size()), probabilities_);
}

Result<engine::Session*> InferStage::SessionFor(const std::shared_ptr<const engine::Model>& model) {
  const auto found = std::find_if(sessions_.begin(), sessions_.end(),
                                  [&model](const Bound& bound) { return bound.model == model; });
  if (found != sessions_.end()) {
    std::rotate(found, found + 1, sessions_.end());
    return sessions_.back().session.get();
  }
  TRAWL_ASSIGN(auto session, engine::Session::Create(model, static_cast<int>(batch_size_)));
  sessions_.push_back({model, std::move(session)});
  return sessions_.back().session.get();
}

}  // namespace trawl::worker
