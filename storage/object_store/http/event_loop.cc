#include "storage/object_store/http/event_loop.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "config/check.h"
#include "config/clock.h"
#include "ops/telemetry/log.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How often stop tokens, stalled bodies and late answers are looked at.
constexpr milliseconds kSweepInterval{50};
constexpr milliseconds kIdlePoll{60'000};
constexpr seconds kBetweenWarnings{30};
// What an object of unknown size counts for until it says more.
constexpr uint64_t kUnknownBytes = 1 << 20;
// A manifest may name any number of hosts: endpoints that nobody waits for are forgotten beyond it.
constexpr size_t kEndpointsMax = 256;
// One byte is enough to see that it is served; a server that ignores ranges is cut off here.
constexpr const char* kOneByte = "Range: bytes=0-0";
constexpr uint64_t kKnownGoodBytesMax = 64 << 10;

Verdict JudgeKnownGood(const HttpReply& reply) {
  constexpr int kServed[] = {200, 206, 404, 410, 412, 416};
  const bool served =
      std::find(std::begin(kServed), std::end(kServed), reply.status) != std::end(kServed);
  return {served ? Route::kAccept : Route::kFail, {}, {}};
}

}  // namespace

// A task on its way: waiting, in flight, held or delayed until its next attempt.
struct HttpClient::Loop::Exchange {
  HttpTask task;
  Endpoint* endpoint = nullptr;  // null for those that skip the queue
  bool asks_known_good = false;  // sent on the endpoint's own account
  bool probes = false;
  int attempts = 0;
  bool corrected = false;
  Strikes strikes;
  Verdict last;  // of its last failed attempt
  Time first_start{};
  uint64_t reserved_bytes = 0;
  std::vector<void*> flights;  // at most two: an attempt, and its hedge
  bool hedged = false;         // this attempt
};

struct HttpClient::Loop::Flight {
  Exchange* exchange = nullptr;
  std::unique_ptr<Transfer> transfer;
  Time started{};
  bool hedge = false;
};

struct HttpClient::Loop::Endpoint {
  Endpoint(std::string its_name, size_t in_flight_max)
      : name(std::move(its_name)), health(in_flight_max) {}

  const std::string name;
  EndpointHealth health;
  std::deque<Ptr> waiting;
  std::vector<Ptr> doubted;  // wait for what the known good one gets
  size_t tasks = 0;          // all that are somewhere in the loop
  size_t in_flight = 0;
  // How to ask for the object that was served last.
  std::function<tl::expected<HttpRequest, Verdict>()> known_good;
  bool asking = false;   // for the known good one
  bool probing = false;  // one at a time while there is an outage
  uint64_t probes = 0;
  Verdict trouble;      // the last one
  bool paused = false;  // as last logged
  uint64_t cuts_seen = 0;
  Time last_warning{};
};

HttpClient::Loop::Loop(const HttpClientLimits& limits)
    : limits_(limits), multi_(curl_multi_init()) {
  CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(limits.in_flight));
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

HttpClient::Loop::~Loop() {
  thread_.request_stop();
  curl_multi_wakeup(multi_);
  thread_.join();
  curl_multi_cleanup(multi_);
  const DownloadCounts& n = counts_;
  if (n.retries + n.throttled + n.hedges + n.outages == 0) return;
  ops::Log(ops::LogLevel::kInfo, "downloads had to be repeated",
           {{"requests", n.requests},
            {"retries", n.retries},
            {"throttled", n.throttled},
            {"hedges", n.hedges},
            {"hedges_won", n.hedges_won},
            {"outages", n.outages}});
}

void HttpClient::Loop::Submit(HttpTask task) {
  auto exchange = std::make_unique<Exchange>();
  exchange->reserved_bytes = task.expected_bytes == 0 ? kUnknownBytes : task.expected_bytes;
  exchange->task = std::move(task);
  {
    const std::lock_guard lock(mutex_);
    submitted_.push_back(std::move(exchange));
  }
  curl_multi_wakeup(multi_);
}

DownloadCounts HttpClient::Loop::Counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void HttpClient::Loop::Run(std::stop_token stop) noexcept {
  while (!stop.stop_requested()) {
    const Time now = SystemClock().Now();
    TakeSubmitted(now);
    TakeDelayed(now);
    StartWaiting(now);
    int running = 0;
    curl_multi_perform(multi_, &running);
    CollectFinished(SystemClock().Now());
    Sweep(SystemClock().Now());
    const milliseconds timeout = PollTimeout(SystemClock().Now());
    curl_multi_poll(multi_, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
  }
  CancelAll();
}

// Queues.

HttpClient::Loop::Endpoint& HttpClient::Loop::EndpointOf(const HttpTask& task) {
  if (const auto it = endpoints_.find(task.endpoint); it != endpoints_.end()) return *it->second;
  if (endpoints_.size() >= kEndpointsMax)
    std::erase_if(endpoints_, [](const auto& entry) { return entry.second->tasks == 0; });
  auto& slot = endpoints_[task.endpoint];
  slot = std::make_unique<Endpoint>(task.endpoint, limits_.in_flight);
  return *slot;
}

void HttpClient::Loop::TakeSubmitted(Time now) {
  std::vector<Ptr> submitted;
  {
    const std::lock_guard lock(mutex_);
    submitted.swap(submitted_);
  }
  for (Ptr& exchange : submitted) {
    if (exchange->task.skips_queue) {
      Start(std::move(exchange), now);
      continue;
    }
    Endpoint& endpoint = EndpointOf(exchange->task);
    ++endpoint.tasks;
    exchange->endpoint = &endpoint;
    endpoint.waiting.push_back(std::move(exchange));
  }
}

// Those who have waited out their delay go before those who never started.
void HttpClient::Loop::TakeDelayed(Time now) {
  const auto due = delayed_.upper_bound(now);
  std::vector<Ptr> ready;
  for (auto it = delayed_.begin(); it != due; ++it) ready.push_back(std::move(it->second));
  delayed_.erase(delayed_.begin(), due);
  for (auto it = ready.rbegin(); it != ready.rend(); ++it) {
    if (Endpoint* const endpoint = (*it)->endpoint)
      endpoint->waiting.push_front(std::move(*it));
    else
      Start(std::move(*it), now);
  }
}

bool HttpClient::Loop::HasRoom(uint64_t bytes) const {
  if (in_flight_.empty()) return true;
  return in_flight_.size() < limits_.in_flight &&
         bytes_in_flight_ + bytes <= limits_.bytes_in_flight;
}

// One from each endpoint in turn, so that none of them keeps the others waiting.
void HttpClient::Loop::StartWaiting(Time now) {
  for (bool started = true; started;) {
    started = false;
    for (auto& [name, endpoint] : endpoints_) started |= StartOne(*endpoint, now);
  }
}

bool HttpClient::Loop::MayStart(const Endpoint& endpoint, Time now) const {
  if (endpoint.waiting.empty() || !HasRoom(endpoint.waiting.front()->reserved_bytes)) return false;
  const EndpointHealth& health = endpoint.health;
  if (!health.outage.on()) return endpoint.in_flight < health.limit.Get();
  return !endpoint.probing && !endpoint.asking && now >= health.outage.next_probe();
}

bool HttpClient::Loop::StartOne(Endpoint& endpoint, Time now) {
  if (!MayStart(endpoint, now)) return false;
  if (endpoint.health.outage.on()) {
    // What was served before is the better probe, but it may be gone.
    if (endpoint.known_good && endpoint.probes++ % 2 == 0) {
      AskKnownGood(endpoint, now);
      return true;
    }
    endpoint.probing = true;
  }
  Ptr exchange = std::move(endpoint.waiting.front());
  endpoint.waiting.pop_front();
  exchange->probes = endpoint.health.outage.on();
  Start(std::move(exchange), now);
  return true;
}

// On the wire.

void HttpClient::Loop::Start(Ptr exchange, Time now) {
  if (exchange->task.stop.stop_requested()) return Cancel(std::move(exchange));
  if (exchange->attempts++ == 0) exchange->first_start = now;
  exchange->hedged = false;
  auto request = exchange->task.prepare();
  Exchange& it = *exchange;
  if (request) {
    running_.emplace(&it, std::move(exchange));
    return Send(it, std::move(*request), /*hedge=*/false, now);
  }
  Verdict verdict = std::move(request.error());
  ObjectResult<HttpReply> nothing = tl::unexpected(verdict.error);
  if (it.endpoint == nullptr || verdict.route == Route::kFail)
    return Finish(std::move(exchange), std::move(nothing), now);
  if (it.asks_known_good) return OnKnownGood(std::move(exchange), false, now);
  Settle(std::move(exchange), std::move(nothing), std::move(verdict), now, now);
}

// A connection may be what failed last time, and an address where nobody is any more. Probes of an
// outage need neither: an old connection would tell nothing about new ones.
Reuse HttpClient::Loop::ReuseFor(const Exchange& exchange, bool hedge) {
  const bool probes = exchange.endpoint != nullptr && exchange.endpoint->health.outage.on();
  if (probes || exchange.last.route == Route::kUnreached) return Reuse::kNothing;
  return exchange.attempts > 1 || hedge ? Reuse::kAddress : Reuse::kConnection;
}

void HttpClient::Loop::Send(Exchange& exchange, HttpRequest request, bool hedge, Time now) {
  if (exchange.asks_known_good) {
    request.headers.emplace_back(kOneByte);
    request.max_body_bytes = std::min(request.max_body_bytes, kKnownGoodBytesMax);
  }
  auto transfer = std::make_unique<Transfer>(std::move(request), limits_.transfer,
                                             ReuseFor(exchange, hedge), now);
  void* const easy = transfer->handle();
  bytes_in_flight_ += exchange.reserved_bytes;
  if (exchange.endpoint != nullptr) {
    ++exchange.endpoint->in_flight;
    if (!hedge) exchange.endpoint->health.hedge.OnRequest();
  }
  exchange.flights.push_back(easy);
  in_flight_.emplace(easy, Flight{&exchange, std::move(transfer), now, hedge});
  CHECK(curl_multi_add_handle(multi_, easy) == CURLM_OK);
  const std::lock_guard lock(mutex_);
  ++counts_.requests;
  if (hedge)
    ++counts_.hedges;
  else if (exchange.attempts > 1)
    ++counts_.retries;
}

HttpClient::Loop::Flight HttpClient::Loop::Land(void* easy) {
  curl_multi_remove_handle(multi_, easy);
  auto node = in_flight_.extract(easy);
  Flight flight = std::move(node.mapped());
  std::erase(flight.exchange->flights, easy);
  bytes_in_flight_ -= flight.exchange->reserved_bytes;
  if (Endpoint* const endpoint = flight.exchange->endpoint) --endpoint->in_flight;
  return flight;
}

// What is still on the wire for it is given up.
HttpClient::Loop::Ptr HttpClient::Loop::TakeRunning(Exchange& exchange) {
  while (!exchange.flights.empty()) Land(exchange.flights.front());
  auto node = running_.extract(&exchange);
  return std::move(node.mapped());
}

void HttpClient::Loop::CollectFinished(Time now) {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;  // the message dies with the handle's removal
    Flight flight = Land(message->easy_handle);
    HttpReply reply = flight.transfer->Finish(result);
    OnReply(std::move(flight), std::move(reply), now);
  }
}

// Not while an endpoint is in trouble: it would only get more of it.
void HttpClient::Loop::StartHedges(Time now) {
  std::vector<Exchange*> late;
  for (const auto& [easy, flight] : in_flight_) {
    const Exchange& exchange = *flight.exchange;
    if (exchange.endpoint == nullptr || exchange.hedged || exchange.asks_known_good) continue;
    const EndpointHealth& health = exchange.endpoint->health;
    const auto after = health.hedge.After();
    if (after && !flight.transfer->answered() && now - flight.started > *after &&
        health.CanHedge(now))
      late.push_back(flight.exchange);
  }
  for (Exchange* const exchange : late) {
    Endpoint& endpoint = *exchange->endpoint;
    if (endpoint.in_flight >= endpoint.health.limit.Get() || !HasRoom(exchange->reserved_bytes) ||
        !endpoint.health.hedge.Take())
      continue;
    exchange->hedged = true;
    if (auto request = exchange->task.prepare())
      Send(*exchange, std::move(*request), /*hedge=*/true, now);
  }
}

// After an attempt.

void HttpClient::Loop::OnReply(Flight flight, HttpReply reply, Time now) {
  Exchange& exchange = *flight.exchange;
  Verdict verdict = exchange.asks_known_good ? JudgeKnownGood(reply) : exchange.task.judge(reply);
  if (verdict.route == Route::kAccept && exchange.endpoint != nullptr) {
    exchange.endpoint->health.hedge.OnFirstByte(flight.transfer->FirstByteTook());
    const std::lock_guard lock(mutex_);
    if (flight.hedge) ++counts_.hedges_won;
  }
  {
    const std::lock_guard lock(mutex_);
    counts_.bytes += reply.body.size();
    if (verdict.route == Route::kThrottled) ++counts_.throttled;
  }
  // The other one of the two may still bring it.
  if (IsPassing(verdict.route) && !exchange.flights.empty()) return;
  const bool served = verdict.route == Route::kAccept;
  Ptr settled = TakeRunning(exchange);
  if (settled->asks_known_good) return OnKnownGood(std::move(settled), served, now);
  ObjectResult<HttpReply> result =
      served ? ObjectResult<HttpReply>(std::move(reply)) : tl::unexpected(verdict.error);
  Settle(std::move(settled), std::move(result), std::move(verdict), flight.started, now);
}

void HttpClient::Loop::Settle(Ptr exchange, ObjectResult<HttpReply> reply, Verdict verdict,
                              Time started, Time now) {
  if (verdict.route == Route::kCorrected) {
    if (!std::exchange(exchange->corrected, true))
      return Delay(std::move(exchange), verdict, 1, now);
    verdict.route = Route::kLockedOut;
  }
  if (exchange->endpoint == nullptr)
    return SettleAlone(std::move(exchange), std::move(reply), std::move(verdict), now);
  Endpoint& endpoint = *exchange->endpoint;
  const bool probed = std::exchange(exchange->probes, false);
  if (probed) endpoint.probing = false;
  HttpTask& task = exchange->task;
  const bool known_good = endpoint.known_good != nullptr;
  const bool worth_it = task.trusted || known_good || verdict.route == Route::kThrottled;
  const Next next = endpoint.health.After(verdict,
                                          {.started = started,
                                           .now = now,
                                           .allowed = limits_.attempts,
                                           .longest = 2 * limits_.transfer.total_timeout,
                                           .may_wait = worth_it && task.patience.count() > 0,
                                           .known_good = known_good},
                                          exchange->strikes);
  if (verdict.route == Route::kAccept) endpoint.known_good = std::move(task.prepare);
  if (reply) return Finish(std::move(exchange), std::move(reply), now);
  exchange->last = verdict;
  endpoint.trouble = verdict;
  switch (next) {
    case Next::kFinish:
      return Finish(std::move(exchange), std::move(reply), now);
    case Next::kRetry: {
      const int failed = exchange->strikes.Of(verdict.route);
      return Delay(std::move(exchange), verdict, failed, now);
    }
    case Next::kHold:
      // A probe that was in vain goes to the end: the next one may be another object's.
      if (probed)
        endpoint.waiting.push_back(std::move(exchange));
      else
        endpoint.waiting.push_front(std::move(exchange));
      return;
    case Next::kDoubt:
      endpoint.doubted.push_back(std::move(exchange));
      return AskKnownGood(endpoint, now);
  }
}

// Whoever skips the queue is waited for by somebody: attempts, then an answer.
void HttpClient::Loop::SettleAlone(Ptr exchange, ObjectResult<HttpReply> reply, Verdict verdict,
                                   Time now) {
  if (!IsPassing(verdict.route) || exchange->attempts >= limits_.attempts ||
      now - exchange->first_start > 2 * limits_.transfer.total_timeout)
    return Finish(std::move(exchange), std::move(reply), now);
  const int failed = exchange->attempts;
  exchange->last = verdict;
  Delay(std::move(exchange), verdict, failed, now);
}

void HttpClient::Loop::Delay(Ptr exchange, const Verdict& verdict, int failed, Time now) {
  delayed_.emplace(now + BackoffDelay(verdict, failed, random_), std::move(exchange));
}

void HttpClient::Loop::AskKnownGood(Endpoint& endpoint, Time now) {
  if (std::exchange(endpoint.asking, true)) return;
  auto exchange = std::make_unique<Exchange>();
  exchange->asks_known_good = true;
  exchange->endpoint = &endpoint;
  exchange->reserved_bytes = kKnownGoodBytesMax;
  exchange->task.prepare = endpoint.known_good;
  ++endpoint.tasks;
  Start(std::move(exchange), now);
}

void HttpClient::Loop::OnKnownGood(Ptr exchange, bool served, Time now) {
  Endpoint& endpoint = *exchange->endpoint;
  --endpoint.tasks;
  endpoint.asking = false;
  endpoint.health.OnKnownGood(served, endpoint.trouble, now);
  std::vector<Ptr> doubted;
  doubted.swap(endpoint.doubted);
  for (Ptr& one : doubted) {
    if (served) {
      ObjectError error = one->last.error;
      Finish(std::move(one), tl::unexpected(std::move(error)), now);
    } else {
      one->strikes = {};
      endpoint.waiting.push_front(std::move(one));
    }
  }
}

void HttpClient::Loop::Finish(Ptr exchange, ObjectResult<HttpReply> reply, Time now) {
  if (Endpoint* const endpoint = exchange->endpoint) {
    --endpoint->tasks;
    if (exchange->probes) endpoint->probing = false;
    if (exchange->asks_known_good) endpoint->asking = false;
  }
  if (!exchange->task.done) return;
  if (!reply) reply.error().attempts = std::max(1, exchange->attempts);
  const double elapsed_ms =
      exchange->attempts == 0
          ? 0
          : std::chrono::duration<double, std::milli>(now - exchange->first_start).count();
  exchange->task.done({std::move(reply), exchange->attempts, elapsed_ms});
}

void HttpClient::Loop::Cancel(Ptr exchange) {
  Finish(std::move(exchange),
         tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "cancelled", 1}),
         SystemClock().Now());
}

// A few times a second.

void HttpClient::Loop::Sweep(Time now) {
  if (now - last_sweep_ < kSweepInterval) return;
  last_sweep_ = now;
  SweepInFlight(now);
  StartHedges(now);
  SweepWaiting();
  SweepEndpoints(now);
}

void HttpClient::Loop::SweepInFlight(Time now) {
  std::vector<Exchange*> stopped;
  std::vector<std::pair<void*, std::string>> stalled;
  for (auto& [easy, flight] : in_flight_) {
    Exchange& exchange = *flight.exchange;
    // A body that turns out larger than expected takes its place in the budget, so that fewer
    // others start.
    const uint64_t bytes = std::max(exchange.reserved_bytes, flight.transfer->BodyBytes());
    bytes_in_flight_ += (bytes - exchange.reserved_bytes) * exchange.flights.size();
    exchange.reserved_bytes = bytes;
    if (exchange.task.stop.stop_requested())
      stopped.push_back(&exchange);
    else if (std::string why = flight.transfer->Stalled(now); !why.empty())
      stalled.emplace_back(easy, std::move(why));
  }
  for (Exchange* const exchange : stopped)
    if (running_.contains(exchange)) Cancel(TakeRunning(*exchange));
  for (auto& [easy, why] : stalled) {
    if (!in_flight_.contains(easy)) continue;  // went with the other one of the two
    Flight flight = Land(easy);
    HttpReply reply = flight.transfer->FinishStalled(std::move(why));
    OnReply(std::move(flight), std::move(reply), now);
  }
}

void HttpClient::Loop::SweepWaiting() {
  std::vector<Ptr> stopped;
  const auto take_stopped = [&stopped](auto& queue) {
    const auto kept = std::stable_partition(queue.begin(), queue.end(), [](const Ptr& exchange) {
      return !exchange->task.stop.stop_requested();
    });
    std::move(kept, queue.end(), std::back_inserter(stopped));
    queue.erase(kept, queue.end());
  };
  for (auto& [name, endpoint] : endpoints_) {
    take_stopped(endpoint->waiting);
    take_stopped(endpoint->doubted);
  }
  for (auto it = delayed_.begin(); it != delayed_.end();) {
    const bool stop = it->second->task.stop.stop_requested();
    if (stop) stopped.push_back(std::move(it->second));
    it = stop ? delayed_.erase(it) : std::next(it);
  }
  for (Ptr& exchange : stopped) Cancel(std::move(exchange));
}

void HttpClient::Loop::SweepEndpoints(Time now) {
  uint64_t paused = 0, limit = 0;
  for (auto& [name, endpoint] : endpoints_) {
    const Outage& outage = endpoint->health.outage;
    if (outage.on() != endpoint->paused) OnTurn(*endpoint, now);
    if (outage.on()) OnOutageGoesOn(*endpoint, now);
    Report(*endpoint, now);
    paused += outage.on() ? 1 : 0;
    limit += outage.on() ? 0 : endpoint->health.limit.Get();
  }
  const std::lock_guard lock(mutex_);
  counts_.paused_now = paused;
  counts_.in_flight = in_flight_.size();
  counts_.in_flight_limit = limit;
}

// An outage began or ended. When it begins, those who wait for their next attempt wait with the
// others: the end of the outage is what they wait for.
void HttpClient::Loop::OnTurn(Endpoint& endpoint, Time now) {
  const Outage& outage = endpoint.health.outage;
  endpoint.paused = outage.on();
  if (!outage.on()) {
    ops::Log(ops::LogLevel::kInfo, "the store serves again",
             {{"store", endpoint.name},
              {"paused_s", std::chrono::duration_cast<seconds>(now - outage.since()).count()}});
    return;
  }
  for (auto it = delayed_.begin(); it != delayed_.end();) {
    const bool mine = it->second->endpoint == &endpoint;
    if (mine) {
      it->second->strikes = {};
      endpoint.waiting.push_back(std::move(it->second));
    }
    it = mine ? delayed_.erase(it) : std::next(it);
  }
  endpoint.last_warning = {};
  const std::lock_guard lock(mutex_);
  ++counts_.outages;
}

void HttpClient::Loop::OnOutageGoesOn(Endpoint& endpoint, Time now) {
  const Time since = endpoint.health.outage.since();
  std::vector<Ptr> out_of_patience;
  for (Ptr& exchange : endpoint.waiting)
    if (now - since >= exchange->task.patience) out_of_patience.push_back(std::move(exchange));
  if (out_of_patience.empty()) return;
  std::erase(endpoint.waiting, nullptr);
  for (Ptr& exchange : out_of_patience) {
    ObjectError error = exchange->attempts > 0 ? exchange->last.error : endpoint.trouble.error;
    Finish(std::move(exchange), tl::unexpected(std::move(error)), now);
  }
  // Whoever comes next finds out anew.
  endpoint.health.Recover();
}

void HttpClient::Loop::Report(Endpoint& endpoint, Time now) {
  const EndpointHealth& health = endpoint.health;
  const bool cut = std::exchange(endpoint.cuts_seen, health.limit.cuts()) != health.limit.cuts();
  if (now - endpoint.last_warning < kBetweenWarnings) return;
  if (health.outage.on()) {
    ops::Log(ops::LogLevel::kWarn, "downloads are paused until the store serves again",
             {{"store", endpoint.name},
              {"for_s", std::chrono::duration_cast<seconds>(now - health.outage.since()).count()},
              {"waiting", endpoint.tasks},
              {"reason", health.outage.reason()}});
  } else if (cut) {
    ops::Log(ops::LogLevel::kWarn, "the store asks to slow down",
             {{"store", endpoint.name}, {"at_once", health.limit.Get()}});
  } else {
    return;
  }
  endpoint.last_warning = now;
}

void HttpClient::Loop::CancelAll() {
  TakeSubmitted(SystemClock().Now());
  while (!running_.empty()) Cancel(TakeRunning(*running_.begin()->first));
  for (auto& [due, exchange] : delayed_) Cancel(std::move(exchange));
  delayed_.clear();
  for (auto& [name, endpoint] : endpoints_) {
    for (Ptr& exchange : endpoint->waiting) Cancel(std::move(exchange));
    for (Ptr& exchange : endpoint->doubted) Cancel(std::move(exchange));
  }
  endpoints_.clear();
}

milliseconds HttpClient::Loop::PollTimeout(Time now) const {
  bool idle = running_.empty() && delayed_.empty();
  for (const auto& [name, endpoint] : endpoints_) {
    // What finished in this round made room: go round at once.
    if (MayStart(*endpoint, now)) return milliseconds(0);
    idle = idle && endpoint->tasks == 0 && endpoint->paused == endpoint->health.outage.on();
  }
  if (idle) return kIdlePoll;
  if (delayed_.empty()) return kSweepInterval;
  const auto due = std::chrono::ceil<milliseconds>(delayed_.begin()->first - now);
  return std::clamp(due, milliseconds(0), kSweepInterval);
}

}  // namespace trawl::storage
