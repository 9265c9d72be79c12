#include "storage/object_store/s3/refreshing_credentials.h"

#include <algorithm>
#include <random>
#include <utility>

#include "config/clock.h"
#include "ops/telemetry/log.h"

namespace trawl::storage {

using std::chrono::milliseconds;

milliseconds RefreshDelay(int64_t now_ms, int64_t expires_ms, double jitter) {
  constexpr int64_t kLeadMs = 300'000, kLeastMs = 1'000;
  const int64_t life = std::max<int64_t>(0, expires_ms - now_ms);
  const auto lead = static_cast<double>(std::min(kLeadMs, life / 2));
  return milliseconds(std::max(kLeastMs, life - static_cast<int64_t>(lead * (1 + 0.1 * jitter))));
}

RefreshingCredentials::RefreshingCredentials(Source source, std::string hint)
    : source_(std::move(source)), hint_(std::move(hint)) {}

RefreshingCredentials::~RefreshingCredentials() {
  {
    const std::lock_guard lock(mutex_);
    thread_.request_stop();
  }
  if (thread_.joinable()) thread_.join();
}

void RefreshingCredentials::StartOnce() {
  if (!thread_.joinable()) thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

Result<Credentials> RefreshingCredentials::Get() {
  const std::lock_guard lock(mutex_);
  StartOnce();
  if (current_ && SystemClock().WallMillis() < current_->expires_ms) return current_->credentials;
  if (!trouble_.ok()) return tl::unexpected(trouble_);
  return Error(Code::kPermissionDenied, "S3 credentials are being fetched");
}

void RefreshingCredentials::Await() {
  std::unique_lock lock(mutex_);
  StartOnce();
  changed_.wait(lock, [this] { return answered_; });
}

void RefreshingCredentials::OnRefused() {
  const std::lock_guard lock(mutex_);
  refused_ = true;
  changed_.notify_all();
}

void RefreshingCredentials::Run(std::stop_token stop) noexcept {
  constexpr milliseconds kFirstPause{1'000}, kLongestPause{60'000};
  std::mt19937_64 random{std::random_device{}()};
  std::uniform_real_distribution<double> jitter(0, 1);
  milliseconds pause = kFirstPause;
  while (!stop.stop_requested()) {
    Result<TimedCredentials> fetched = source_();
    std::unique_lock lock(mutex_);
    milliseconds delay = pause;
    if (fetched) {
      delay = RefreshDelay(SystemClock().WallMillis(), fetched->expires_ms, jitter(random));
      current_ = std::move(*fetched);
      trouble_ = OkStatus();
      pause = kFirstPause;
    } else {
      trouble_ = Error(Code::kPermissionDenied, "{}{}", fetched.error().message(), hint_).value();
      pause = std::min(kLongestPause, pause * 2);
      if (current_)
        ops::Log(ops::LogLevel::kWarn, "S3 credentials are not refreshed",
                 {{"reason", trouble_.message()}});
    }
    answered_ = true;
    refused_ = false;
    changed_.notify_all();
    // A refusal is acted on after a pause: new credentials take a moment to be known everywhere,
    // and those that are refused for good are not asked for in a circle.
    changed_.wait_for(lock, stop, std::min(delay, kFirstPause), [] { return false; });
    if (delay > kFirstPause)
      changed_.wait_for(lock, stop, delay - kFirstPause, [this] { return refused_; });
  }
}

}  // namespace trawl::storage
