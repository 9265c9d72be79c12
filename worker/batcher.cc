#include "worker/batcher.h"

#include <algorithm>
#include <utility>

namespace trawl::worker {

void Batcher::Add(PreparedImage image, TimePoint now) {
  waiting_.push_back({now, std::move(image)});
}

std::vector<PreparedImage> Batcher::TakeFull() {
  const engine::Model* const model = FullModel();
  return model != nullptr ? Take(model) : std::vector<PreparedImage>();
}

std::vector<PreparedImage> Batcher::TakeAny() {
  if (waiting_.empty()) return {};
  const engine::Model* const model = FullModel();
  return Take(model != nullptr ? model : waiting_.front().image.model.get());
}

std::optional<Batcher::TimePoint> Batcher::oldest() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().since;
}

const engine::Model* Batcher::FullModel() const {
  if (waiting_.size() < batch_size_) return nullptr;
  std::vector<std::pair<const engine::Model*, size_t>> counts;  // a handful of models
  for (const Waiting& each : waiting_) {
    const engine::Model* const model = each.image.model.get();
    const auto same = [model](const auto& pair) { return pair.first == model; };
    if (std::none_of(counts.begin(), counts.end(), same)) counts.emplace_back(model, 0);
    ++std::find_if(counts.begin(), counts.end(), same)->second;
  }
  const auto full = std::find_if(counts.begin(), counts.end(),
                                 [this](const auto& pair) { return pair.second >= batch_size_; });
  return full != counts.end() ? full->first : nullptr;
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
  return batch;
}

}  // namespace trawl::worker
