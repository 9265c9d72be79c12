#include "worker/pipeline.h"

#include <chrono>
#include <utility>

#include "worker/decode_stage.h"
#include "worker/infer_stage.h"

namespace trawl::worker {

// Member order matters: stages refer to queues, threads to everything.
Pipeline::Pipeline(const Settings& settings, const WorkerLimits& limits,
                   storage::ObjectStore& objects, DecoderPool& pictures)
    : limits_(limits),
      pictures_(pictures),
      decode_memory_(limits.decode_bytes),
      budget_{Budget(limits.download_slots), Budget(limits.download_bytes)},
      accepted_(kDispatchQueue),
      fetched_(limits.download_slots),
      batcher_(limits.prepared_images, limits.batch_size,
               std::chrono::milliseconds(settings.batch_delay_ms)),
      models_(settings.allow_root, SystemClock()),
      dispatch_(objects, models_, budget_, fetched_, times_) {
  dispatcher_ = std::jthread([this] { Dispatch(); });
  for (size_t i = 0; i < limits.decode_threads; ++i)
    decoders_.emplace_back([this] { DecodeAll(); });
  for (size_t i = 0; i < limits.sessions; ++i) sessions_.emplace_back([this] { InferAll(); });
}

Pipeline::~Pipeline() {
  accepted_.Close();
  dispatcher_.join();
  dispatch_.WaitForDownloads();
  fetched_.Close();
  decoders_.clear();
  batcher_.Close();
  sessions_.clear();
}

void Pipeline::Dispatch() noexcept {
  const std::stop_token stop = abort_.get_token();
  while (const auto order = accepted_.Pop(stop)) dispatch_.Run(*order, stop);
}

void Pipeline::DecodeAll() noexcept {
  const std::stop_token stop = abort_.get_token();
  while (std::optional<FetchedObject> object = fetched_.Pop(stop)) {
    std::optional<PreparedImage> image =
        Decode(std::move(*object), pictures_, decode_memory_, stop, times_);
    if (image && batcher_.Push(std::move(*image), stop) != PushResult::kOk) return;
  }
}

void Pipeline::InferAll() noexcept {
  InferStage stage(limits_.batch_size, times_);
  const std::stop_token stop = abort_.get_token();
  while (true) {
    std::vector<PreparedImage> batch = batcher_.Next(stop);
    if (batch.empty()) return;
    stage.Run(std::move(batch));
  }
}

}  // namespace trawl::worker
