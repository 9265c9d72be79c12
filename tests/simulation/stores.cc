#include "tests/simulation/stores.h"

#include <algorithm>
#include <utility>

namespace trawl::simulation {
namespace {

Status Dead() { return {Code::kInternal, "this process is dead"}; }

std::vector<std::byte> BytesOf(const std::string& text) {
  const auto* const data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

}  // namespace

Result<storage::ListPage> SimulatedObjects::List(const std::string&, const std::string&,
                                                 const std::string& start_after, int max_keys) {
  if (!process_.Step("lists")) return tl::unexpected(Dead());
  if (simulator_.Chance(simulator_.faults.store))
    return Error(Code::kUnavailable, "the store answers 503");
  storage::ListPage page;
  auto key = std::ranges::upper_bound(bucket_.keys, start_after);
  for (; key != bucket_.keys.end() && page.objects.size() < static_cast<size_t>(max_keys); ++key)
    page.objects.push_back({*key, "", std::nullopt, ""});
  page.last = key == bucket_.keys.end();
  return page;
}

void SimulatedObjects::Get(storage::GetRequest request, std::stop_token stop,
                           storage::GetCallback done) {
  const std::string key = request.uri.substr(request.uri.rfind('/') + 1);
  pending_.push_back({key, std::move(stop), std::move(done)});
  if (bucket_.deadly.contains(key)) process_.Die();
}

bool SimulatedObjects::EndOne() {
  if (pending_.empty()) return false;
  const auto chosen = simulator_.Pick(0, static_cast<int64_t>(pending_.size()) - 1);
  const Pending pending = std::move(pending_[static_cast<size_t>(chosen)]);
  pending_.erase(pending_.begin() + chosen);
  pending.done(Answer(pending));
  return true;
}

ObjectResult<storage::Download> SimulatedObjects::Answer(const Pending& pending) {
  if (process_.dead() || pending.stop.stop_requested())
    return tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "cancelled", 1});
  if (simulator_.Chance(simulator_.faults.store))
    return tl::unexpected(ObjectError{ObjectErrorCode::kThrottled, "503 again and again", 5});
  if (bucket_.pictures.contains(pending.key)) return storage::Download{BytesOf(bucket_.picture)};
  if (pending.key.size() % 2 == 0) return storage::Download{BytesOf("<html>no picture</html>")};
  return tl::unexpected(ObjectError{ObjectErrorCode::kNotFound, "404", 1});
}

Result<std::vector<storage::StoredOffset>> SimulatedResults::Offsets(const std::string& identity) {
  if (!process_.Step("opens the database")) return tl::unexpected(Dead());
  return inner_.Offsets(identity);
}

Result<storage::WriteReport> SimulatedResults::Write(const storage::CollectedBatch& batch) {
  if (!process_.Step("writes")) return tl::unexpected(Dead());
  if (simulator_.Chance(simulator_.faults.database))
    return simulator_.Chance(0.5) ? Error(Code::kResourceExhausted, "the disk is full")
                                  : Error(Code::kUnavailable, "the database is locked");
  Result<storage::WriteReport> report;
  if (apart_) {
    report = inner_.Write({batch.results, batch.jobs, {}});
    if (!process_.Step("writes on")) return tl::unexpected(Dead());
    const auto moved = inner_.Write({{}, {}, batch.steps});
    if (!moved) return moved;
  } else {
    report = inner_.Write(batch);
  }
  if (report) written_(batch);
  if (!process_.Step("has written")) return tl::unexpected(Dead());
  return report;
}

}  // namespace trawl::simulation
