#include "storage/object_store/http/object_task.h"

namespace trawl::storage {

std::function<void(HttpOutcome)> DeliverTo(GetCallback done) {
  return [done = std::move(done)](HttpOutcome outcome) {
    if (!outcome.reply) return done(tl::unexpected(std::move(outcome.reply).error()));
    done(Download{std::move(outcome.reply->body), outcome.attempts, outcome.elapsed_ms});
  };
}

void Refuse(HttpClient& client, ObjectError error, GetCallback done) {
  HttpTask task;
  task.prepare = [error = std::move(error)]() -> tl::expected<HttpRequest, Verdict> {
    return tl::unexpected(Verdict{Route::kFail, error, {}});
  };
  task.done = DeliverTo(std::move(done));
  task.skips_queue = true;
  client.Submit(std::move(task));
}

}  // namespace trawl::storage
