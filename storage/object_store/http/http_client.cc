#include "storage/object_store/http/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/check.h"
#include "config/clock.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using Time = std::chrono::steady_clock::time_point;

// How often stop tokens and stalled bodies are looked at.
constexpr milliseconds kSweepInterval{50};
constexpr milliseconds kIdlePoll{60'000};
// What an object of unknown size counts for until it says more.
constexpr uint64_t kUnknownBytes = 1 << 20;

// curl_global_init is not thread-safe and must happen before the first handle.
void InitCurlOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(result == CURLE_OK);
}

// A task on its way: waiting, in flight, or delayed until its next attempt.
struct Exchange {
  HttpTask task;
  int attempts = 0;
  bool corrected = false;
  Time first_start{};
  uint64_t reserved_bytes = 0;
  std::unique_ptr<Transfer> transfer;  // only in flight
};

}  // namespace

HttpClientLimits HttpClientLimits::From(const Settings& settings) {
  HttpClientLimits limits;
  limits.transfer.connect_timeout = milliseconds(settings.connect_timeout_ms);
  limits.transfer.first_byte_timeout = milliseconds(settings.first_byte_timeout_ms);
  limits.transfer.total_timeout = milliseconds(settings.download_timeout_ms);
  limits.transfer.ca_bundle = settings.ca_bundle;
  limits.in_flight = static_cast<size_t>(settings.downloads_in_flight);
  limits.bytes_in_flight = static_cast<uint64_t>(settings.download_bytes_in_flight);
  limits.attempts = static_cast<int>(settings.download_attempts);
  return limits;
}

class HttpClient::Loop {
 public:
  explicit Loop(const HttpClientLimits& limits);
  ~Loop();

  void Submit(HttpTask task);

 private:
  using Ptr = std::unique_ptr<Exchange>;

  void Run(std::stop_token stop) noexcept;
  void TakeSubmitted(Time now);
  void TakeDelayed(Time now);
  void StartWaiting(Time now);
  bool HasRoom(const Exchange& exchange) const;
  void Start(Ptr exchange, Time now);
  void CollectFinished(Time now);
  void Sweep(Time now);
  void SweepInFlight(Time now);
  void CancelAll();
  Ptr Detach(void* easy);
  void Judge(Ptr exchange, HttpReply reply, Time now);
  void Finish(Ptr exchange, ObjectResult<HttpReply> reply, Time now);
  void Cancel(Ptr exchange);
  milliseconds PollTimeout(Time now) const;

  const HttpClientLimits limits_;
  CURLM* const multi_;

  // The loop's thread alone touches these.
  std::deque<Ptr> waiting_;
  std::multimap<Time, Ptr> delayed_;          // by the time of their next attempt
  std::unordered_map<void*, Ptr> in_flight_;  // by curl handle
  uint64_t bytes_in_flight_ = 0;
  Time last_sweep_{};
  std::mt19937_64 random_{std::random_device{}()};

  std::mutex mutex_;  // guards submitted_: written by any thread, emptied by the loop
  std::vector<Ptr> submitted_;

  std::jthread thread_;  // last: it uses everything above
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

void HttpClient::Loop::TakeSubmitted(Time now) {
  std::vector<Ptr> submitted;
  {
    const std::lock_guard lock(mutex_);
    submitted.swap(submitted_);
  }
  for (Ptr& exchange : submitted) {
    if (exchange->task.skips_queue)
      Start(std::move(exchange), now);
    else
      waiting_.push_back(std::move(exchange));
  }
}

// Those who have waited out their delay go before those who never started.
void HttpClient::Loop::TakeDelayed(Time now) {
  const auto due = delayed_.upper_bound(now);
  for (auto it = due; it != delayed_.begin();) {
    --it;
    if (it->second->task.skips_queue)
      Start(std::move(it->second), now);
    else
      waiting_.push_front(std::move(it->second));
  }
  delayed_.erase(delayed_.begin(), due);
}

bool HttpClient::Loop::HasRoom(const Exchange& exchange) const {
  if (in_flight_.empty()) return true;
  return in_flight_.size() < limits_.in_flight &&
         bytes_in_flight_ + exchange.reserved_bytes <= limits_.bytes_in_flight;
}

void HttpClient::Loop::StartWaiting(Time now) {
  while (!waiting_.empty() && HasRoom(*waiting_.front())) {
    Ptr exchange = std::move(waiting_.front());
    waiting_.pop_front();
    Start(std::move(exchange), now);
  }
}

void HttpClient::Loop::Start(Ptr exchange, Time now) {
  if (exchange->task.stop.stop_requested()) return Cancel(std::move(exchange));
  if (exchange->attempts++ == 0) exchange->first_start = now;
  ObjectResult<HttpRequest> request = exchange->task.prepare();
  if (!request) return Finish(std::move(exchange), tl::unexpected(std::move(request).error()), now);
  exchange->transfer = std::make_unique<Transfer>(std::move(*request), limits_.transfer,
                                                  /*fresh_connection=*/exchange->attempts > 1, now);
  void* const easy = exchange->transfer->handle();
  bytes_in_flight_ += exchange->reserved_bytes;
  in_flight_.emplace(easy, std::move(exchange));
  CHECK(curl_multi_add_handle(multi_, easy) == CURLM_OK);
}

HttpClient::Loop::Ptr HttpClient::Loop::Detach(void* easy) {
  curl_multi_remove_handle(multi_, easy);
  auto node = in_flight_.extract(easy);
  Ptr exchange = std::move(node.mapped());
  bytes_in_flight_ -= exchange->reserved_bytes;
  return exchange;
}

void HttpClient::Loop::CollectFinished(Time now) {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;  // the message dies with the handle's removal
    Ptr exchange = Detach(message->easy_handle);
    HttpReply reply = exchange->transfer->Finish(result);
    Judge(std::move(exchange), std::move(reply), now);
  }
}

void HttpClient::Loop::Judge(Ptr exchange, HttpReply reply, Time now) {
  exchange->transfer.reset();
  Verdict verdict = exchange->task.judge(reply);
  if (verdict.route == Route::kAccept) return Finish(std::move(exchange), std::move(reply), now);
  const bool may_retry =
      verdict.route == Route::kCorrected
          ? !std::exchange(exchange->corrected, true)
          : verdict.route != Route::kFail && exchange->attempts < limits_.attempts;
  const Time due = now + BackoffDelay(verdict, exchange->attempts, random_);
  // One object may not hold its batch for ever: no attempt starts later than this.
  const bool in_time = due - exchange->first_start <= 2 * limits_.transfer.total_timeout;
  if (may_retry && in_time) {
    delayed_.emplace(due, std::move(exchange));
    return;
  }
  Finish(std::move(exchange), tl::unexpected(std::move(verdict.error)), now);
}

void HttpClient::Loop::Finish(Ptr exchange, ObjectResult<HttpReply> reply, Time now) {
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

void HttpClient::Loop::Sweep(Time now) {
  if (now - last_sweep_ < kSweepInterval) return;
  last_sweep_ = now;
  SweepInFlight(now);
  std::deque<Ptr> kept, stopped;
  for (Ptr& exchange : waiting_)
    (exchange->task.stop.stop_requested() ? stopped : kept).push_back(std::move(exchange));
  waiting_.swap(kept);
  for (auto it = delayed_.begin(); it != delayed_.end();) {
    if (!it->second->task.stop.stop_requested()) {
      ++it;
      continue;
    }
    stopped.push_back(std::move(it->second));
    it = delayed_.erase(it);
  }
  for (Ptr& exchange : stopped) Cancel(std::move(exchange));
}

void HttpClient::Loop::SweepInFlight(Time now) {
  std::vector<void*> stopped;
  std::vector<std::pair<void*, std::string>> stalled;
  for (auto& [easy, exchange] : in_flight_) {
    // A body that turns out larger than expected takes its place in the budget, so that fewer
    // others start.
    const uint64_t bytes = std::max(exchange->reserved_bytes, exchange->transfer->BodyBytes());
    bytes_in_flight_ += bytes - exchange->reserved_bytes;
    exchange->reserved_bytes = bytes;
    if (exchange->task.stop.stop_requested())
      stopped.push_back(easy);
    else if (std::string why = exchange->transfer->Stalled(now); !why.empty())
      stalled.emplace_back(easy, std::move(why));
  }
  for (void* const easy : stopped) Cancel(Detach(easy));
  for (auto& [easy, why] : stalled) {
    Ptr exchange = Detach(easy);
    HttpReply reply = exchange->transfer->FinishStalled(std::move(why));
    Judge(std::move(exchange), std::move(reply), now);
  }
}

void HttpClient::Loop::CancelAll() {
  TakeSubmitted(SystemClock().Now());
  while (!in_flight_.empty()) Cancel(Detach(in_flight_.begin()->first));
  for (auto& [due, exchange] : delayed_) Cancel(std::move(exchange));
  delayed_.clear();
  for (Ptr& exchange : waiting_) Cancel(std::move(exchange));
  waiting_.clear();
}

milliseconds HttpClient::Loop::PollTimeout(Time now) const {
  milliseconds timeout = kIdlePoll;
  if (!in_flight_.empty() || !waiting_.empty() || !delayed_.empty()) timeout = kSweepInterval;
  // What finished in this round made room: go round at once.
  if (!waiting_.empty() && HasRoom(*waiting_.front())) return milliseconds(0);
  if (delayed_.empty()) return timeout;
  const auto due = std::chrono::ceil<milliseconds>(delayed_.begin()->first - now);
  return std::clamp(due, milliseconds(0), timeout);
}

HttpClient::HttpClient(const HttpClientLimits& limits) {
  InitCurlOnce();
  loop_ = std::make_unique<Loop>(limits);
}

HttpClient::~HttpClient() = default;

void HttpClient::Submit(HttpTask task) { loop_->Submit(std::move(task)); }

}  // namespace trawl::storage
