#include "worker/pipeline.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "config/check.h"
#include "worker/decode_stage.h"

namespace trawl::worker {

// Member order matters: stages refer to queues, threads to everything.
Pipeline::Pipeline(const Settings& settings, const WorkerLimits& limits,
                   storage::ObjectStore& objects, DecoderPool& pictures, Clock& clock, Mode mode)
    : limits_(limits),
      pictures_(pictures),
      meter_(limits.threads, clock),
      decode_memory_(limits.Beside(0).pictures),
      budget_{Budget(limits.download_slots), Budget(limits.Beside(0).downloads)},
      accepted_(limits.in_flight_objects + 1),
      scheduler_(limits, std::chrono::milliseconds(settings.batch_delay_ms), meter_, clock),
      models_(settings, clock, {limits.model_bytes, limits.sessions, limits.batch_size},
              [this](const Models& models, size_t bytes) { Keep(models, bytes); }),
      dispatch_(objects, models_, budget_, scheduler_, meter_) {
  for (size_t i = 0; i < limits.sessions; ++i)
    idle_sessions_.push_back(std::make_unique<InferStage>(limits.batch_size));
  if (mode == Mode::kSteps) return;
  dispatcher_ = std::jthread([this] { Dispatch(); });
  for (size_t i = 0; i < limits.threads; ++i) threads_.emplace_back([this] { Compute(); });
}

Pipeline::~Pipeline() {
  accepted_.Close();
  if (dispatcher_.joinable()) dispatcher_.join();
  dispatch_.WaitForDownloads();
  scheduler_.Close();
  threads_.clear();
}

void Pipeline::Dispatch() noexcept {
  const std::stop_token stop = abort_.get_token();
  while (const auto order = accepted_.Pop(stop)) dispatch_.Run(*order, stop);
}

void Pipeline::Compute() noexcept {
  const std::stop_token stop = abort_.get_token();
  while (std::optional<Task> task = scheduler_.Next(stop)) Do(std::move(*task), stop);
}

bool Pipeline::Step() {
  if (const auto order = accepted_.TryPop()) {
    dispatch_.Run(*order, abort_.get_token());
    return true;
  }
  std::optional<Task> task = scheduler_.TryNext();
  if (task) Do(std::move(*task), abort_.get_token());
  return task.has_value();
}

void Pipeline::Do(Task task, std::stop_token stop) {
  if (auto* const objects = std::get_if<std::vector<FetchedObject>>(&task)) {
    const size_t pictures = objects->size();
    scheduler_.EndDecoding(pictures,
                           Decode(std::move(*objects), pictures_, decode_memory_, std::move(stop)));
  } else {
    Infer(std::get<std::vector<PreparedImage>>(std::move(task)));
    scheduler_.EndInference();
  }
}

/// Models leave the rest of the memory to downloads and pictures.
void Pipeline::Keep(const Models& models, size_t bytes) {
  const auto [downloads, pictures] = limits_.Beside(bytes);
  budget_.bytes.SetCapacity(downloads);
  decode_memory_.SetCapacity(pictures);
  const std::lock_guard lock(mutex_);
  kept_ = models;
  for (const auto& session : idle_sessions_) session->KeepOnly(kept_);
}

void Pipeline::Infer(std::vector<PreparedImage> batch) {
  std::unique_lock lock(mutex_);
  CHECK(!idle_sessions_.empty());  // the scheduler runs no more than there are
  std::unique_ptr<InferStage> session = std::move(idle_sessions_.back());
  idle_sessions_.pop_back();
  lock.unlock();
  session->Run(std::move(batch));
  lock.lock();
  session->KeepOnly(kept_);
  idle_sessions_.push_back(std::move(session));
}

}  // namespace trawl::worker
