#include "worker/work_item.h"

#include <utility>

#include "config/clock.h"

namespace trawl::worker {

void FinishedBatches::Add(std::shared_ptr<BatchInFlight> batch) {
  const std::lock_guard lock(mutex_);
  batches_.push_back(std::move(batch));
}

std::vector<std::shared_ptr<BatchInFlight>> FinishedBatches::TakeAll() {
  const std::lock_guard lock(mutex_);
  return std::exchange(batches_, {});
}

BatchInFlight::BatchInFlight(WorkBatch batch, Origin origin, const std::string& worker,
                             FinishedBatches& finished)
    : work_(std::move(batch)),
      origin_(std::move(origin)),
      finished_(finished),
      records_(work_.objects.size()),
      unfinished_(work_.objects.size()) {
  for (size_t i = 0; i < records_.size(); ++i) {
    ResultRecord& record = records_[i];
    record.job_id = work_.job_id;
    record.batch_seq = work_.seq;
    record.index = work_.IndexOf(i);
    record.attempt = work_.attempt;
    record.key = work_.objects[i].key;
    record.model_name = work_.spec.model.name;
    record.model_digest = work_.spec.model.digest;
    record.worker = worker;
  }
}

WorkItem& WorkItem::operator=(WorkItem&& other) noexcept {
  if (this != &other) {
    WorkItem dropped(std::move(*this));
    batch_ = std::move(other.batch_);
    index_ = other.index_;
  }
  return *this;
}

WorkItem::~WorkItem() {
  if (batch_ == nullptr) return;
  batch_->dropped_ = true;
  End();
}

void WorkItem::Succeed(std::vector<Prediction> predictions) {
  record().outcome = std::move(predictions);
  record().finished_at_ms = SystemClock().WallMillis();
  End();
}

void WorkItem::Fail(ObjectError error) {
  record().outcome = std::move(error);
  record().finished_at_ms = SystemClock().WallMillis();
  End();
}

void WorkItem::End() {
  const std::shared_ptr<BatchInFlight> batch = std::exchange(batch_, nullptr);
  // Acquire and release: whoever sees 0 also sees every record.
  if (batch->unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) batch->finished_.Add(batch);
}

std::vector<WorkItem> ItemsOf(const std::shared_ptr<BatchInFlight>& batch) {
  std::vector<WorkItem> items;
  items.reserve(batch->work().objects.size());
  for (uint32_t i = 0; i < batch->work().objects.size(); ++i) items.emplace_back(batch, i);
  return items;
}

}  // namespace trawl::worker
