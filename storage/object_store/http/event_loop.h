#pragma once
// The event loop behind HttpClient: its thread, its requests on the wire, and those that wait.
// Private to http_client.cc.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "storage/object_store/http/endpoint_health.h"
#include "storage/object_store/http/http_client.h"
#include "storage/object_store/http/transfer.h"

namespace trawl::storage {

class HttpClient::Loop {
 public:
  explicit Loop(const HttpClientLimits& limits);
  ~Loop();

  void Submit(HttpTask task);
  DownloadCounts Counts() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Exchange;
  struct Flight;
  struct Endpoint;
  using Ptr = std::unique_ptr<Exchange>;

  void Run(std::stop_token stop) noexcept;

  // Queues.
  void TakeSubmitted(Time now);
  void TakeDelayed(Time now);
  void StartWaiting(Time now);
  bool MayStart(const Endpoint& endpoint, Time now) const;
  bool StartOne(Endpoint& endpoint, Time now);
  bool HasRoom(uint64_t bytes) const;
  Endpoint& EndpointOf(const HttpTask& task);

  // On the wire.
  void Start(Ptr exchange, Time now);
  static Reuse ReuseFor(const Exchange& exchange, bool hedge);
  void Send(Exchange& exchange, HttpRequest request, bool hedge, Time now);
  Flight Land(void* easy);
  Ptr TakeRunning(Exchange& exchange);
  void CollectFinished(Time now);
  void StartHedges(Time now);

  // After an attempt.
  void OnReply(Flight flight, HttpReply reply, Time now);
  void Settle(Ptr exchange, ObjectResult<HttpReply> reply, Verdict verdict, Time started, Time now);
  void SettleAlone(Ptr exchange, ObjectResult<HttpReply> reply, Verdict verdict, Time now);
  void Delay(Ptr exchange, const Verdict& verdict, int failed, Time now);
  void AskKnownGood(Endpoint& endpoint, Time now);
  void OnKnownGood(Ptr exchange, bool served, Time now);
  void Finish(Ptr exchange, ObjectResult<HttpReply> reply, Time now);
  void Cancel(Ptr exchange);

  // A few times a second.
  void Sweep(Time now);
  void SweepInFlight(Time now);
  void SweepWaiting();
  void SweepEndpoints(Time now);
  void OnTurn(Endpoint& endpoint, Time now);
  void OnOutageGoesOn(Endpoint& endpoint, Time now);
  void Report(Endpoint& endpoint, Time now);
  void CancelAll();
  std::chrono::milliseconds PollTimeout(Time now) const;

  const HttpClientLimits limits_;
  void* const multi_;  // CURLM

  // The loop's thread alone touches these.
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;
  std::multimap<Time, Ptr> delayed_;             // by the time of their next attempt
  std::unordered_map<Exchange*, Ptr> running_;   // those with a flight
  std::unordered_map<void*, Flight> in_flight_;  // by curl handle
  uint64_t bytes_in_flight_ = 0;
  Time last_sweep_{};
  std::mt19937_64 random_{std::random_device{}()};

  mutable std::mutex mutex_;    // guards what follows, up to the thread
  std::vector<Ptr> submitted_;  // written by any thread, emptied by the loop
  DownloadCounts counts_;       // written by the loop

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace trawl::storage
