#pragma once
// Credentials that expire, replaced in time by a thread that does nothing else.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "storage/object_store/s3/credential_services.h"
#include "storage/object_store/s3/credentials.h"

namespace trawl::storage {

/// How long after getting credentials to ask for the next ones: 5 minutes before they expire, or
/// after half of their life where that is less than 10 minutes; up to a tenth of that lead earlier,
/// as `jitter` in [0, 1] says, so that a fleet does not ask at once. At least a second.
std::chrono::milliseconds RefreshDelay(int64_t now_ms, int64_t expires_ms, double jitter);

/// The thread starts with the first Await or Get. When a refresh goes wrong, what there is is
/// handed out until it expires, and the next try follows after 1 s, doubling up to a minute.
class RefreshingCredentials final : public CredentialProvider {
 public:
  using Source = std::function<Result<TimedCredentials>()>;

  /// `source` is called on the thread, and may block. `hint`: added to its errors, for people.
  RefreshingCredentials(Source source, std::string hint);
  ~RefreshingCredentials() override;

  Result<Credentials> Get() override;
  void Await() override;
  void OnRefused() override;

 private:
  void StartOnce();
  void Run(std::stop_token stop) noexcept;

  const Source source_;
  const std::string hint_;

  std::mutex mutex_;  // guards what follows, up to the thread
  std::condition_variable_any changed_;
  std::optional<TimedCredentials> current_;
  Status trouble_;         // of the last refresh
  bool answered_ = false;  // once
  bool refused_ = false;   // what there is is of no use
  std::jthread thread_;    // last: it uses everything above
};

}  // namespace trawl::storage
