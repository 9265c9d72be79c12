#include "worker/dispatch_stage.h"

#include <algorithm>
#include <limits>

#include "worker/limits.h"

namespace trawl::worker {

struct DispatchStage::Pending {
  WorkItem item;
  std::shared_ptr<const engine::Model> model;
  Reservation slot, byte_share;
};

DispatchStage::DispatchStage(storage::ObjectStore& objects, ModelCache& models,
                             DownloadBudget& budget, Scheduler& scheduler, StageMeter& meter)
    : objects_(objects),
      models_(models),
      budget_(budget),
      downloads_(std::numeric_limits<size_t>::max()),
      scheduler_(scheduler),
      meter_(meter) {}

void DispatchStage::Run(const DispatchOrder& order, std::stop_token stop) {
  const std::shared_ptr<BatchInFlight>& batch = order.batch;
  std::vector<WorkItem> items;
  if (order.only) {
    items.emplace_back(batch, *order.only);
  } else {
    items = ItemsOf(batch);
  }
  if (batch->cancelled().stop_requested()) return;
  // Fetching a model may take long, and be in vain: the batch can go to another worker meanwhile.
  std::stop_source unwanted;
  const auto want_no_more = [&unwanted] { unwanted.request_stop(); };
  const std::stop_callback stopped(stop, want_no_more);
  const std::stop_callback revoked(batch->cancelled(), want_no_more);
  const auto model = models_.Get(batch->work().spec.model, unwanted.get_token());
  for (WorkItem& item : items) {
    if (stop.stop_requested() || item.cancelled()) return;
    if (!model) {
      item.Fail({ObjectErrorCode::kModelError, model.error().message(), 1});
    } else {
      Start(std::move(item), *model, stop);
    }
  }
}

void DispatchStage::Start(WorkItem item, std::shared_ptr<const engine::Model> model,
                          std::stop_token stop) {
  const ObjectRef& object = item.object();
  const uint64_t expected = object.size_bytes.value_or(kUnlistedBytes);
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(expected, budget_.bytes.capacity()));
  if (!budget_.slots.Acquire(1, stop)) return;
  Reservation slot(budget_.slots, 1);
  if (!budget_.bytes.Acquire(bytes, stop)) return;
  Reservation byte_share(budget_.bytes, bytes);

  storage::GetRequest request{ObjectUri(item.work().spec.source, object), object.size_bytes,
                              object.etag};
  std::stop_token cancelled = item.cancel_token();
  // Shared only because a std::function must be copyable: one owner at a time.
  auto pending = std::make_shared<Pending>(
      Pending{std::move(item), std::move(model), std::move(slot), std::move(byte_share)});
  downloads_.Acquire(1, {});
  meter_.Change(StageMeter::kDownloading, 1);
  objects_.Get(std::move(request), std::move(cancelled),
               [this, pending](ObjectResult<storage::Download> download) {
                 meter_.Change(StageMeter::kDownloading, -1);
                 Finish(*pending, std::move(download));
                 // The last touch of this stage, which may be destroyed right after it.
                 downloads_.Release(1);
               });
}

void DispatchStage::Finish(Pending& pending, ObjectResult<storage::Download> download) {
  // Moved out, so that everything goes back before the download counts as ended.
  FetchedObject fetched{std::move(pending.item),
                        std::move(pending.model),
                        {},
                        std::move(pending.slot),
                        std::move(pending.byte_share)};
  if (fetched.item.cancelled()) return;
  if (!download) {
    fetched.item.Fail(std::move(download.error()));
    return;
  }
  fetched.item.timings().download_ms = download->elapsed_ms;
  fetched.item.set_size_bytes(download->bytes.size());
  fetched.byte_share.Resize(download->bytes.size());
  fetched.bytes = std::move(download->bytes);
  scheduler_.Offer(std::move(fetched));
}

}  // namespace trawl::worker
