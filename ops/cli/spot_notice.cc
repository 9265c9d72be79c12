#include "ops/cli/spot_notice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/json_reader.h"
#include "ops/telemetry/log.h"
#include "storage/object_store/environment.h"
#include "storage/object_store/s3/instance_metadata.h"

namespace trawl::ops {
namespace {

using std::chrono::milliseconds;

constexpr size_t kNoticeBytesMax = 4'096;
constexpr int kNoticeDepthMax = 4;
/// The service is on the machine itself, and the worker's end waits for what is being asked.
constexpr storage::ServiceTimeouts kTimeouts{.connect = milliseconds(1'000),
                                             .total = milliseconds(1'000)};

}  // namespace

Result<SpotNotice> ParseSpotNotice(std::string_view text) {
  TRAWL_ASSIGN(const nlohmann::json json, ParseJsonObject(text, kNoticeBytesMax, kNoticeDepthMax));
  Status status;
  JsonReader reader(json, status);
  SpotNotice notice{reader.Text("action"), reader.Text("time")};
  if (!status.ok()) return tl::unexpected(std::move(status));
  return notice;
}

SpotWatch::SpotWatch(Ask ask, std::function<void()> on_notice, Clock& clock)
    : ask_(std::move(ask)),
      on_notice_(std::move(on_notice)),
      clock_(clock),
      thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

void SpotWatch::Run(std::stop_token stop) noexcept {
  milliseconds interval = kInterval;
  do {
    const auto answer = ask_();
    const auto notice = answer ? ParseSpotNotice(*answer) : tl::unexpected(answer.error());
    if (notice) {
      Log(LogLevel::kWarn, "the machine is about to be taken back",
          {{"action", notice->action}, {"time", notice->time}});
      on_notice_();
      return;
    }
    const bool answered = notice.error().code() == Code::kNotFound;
    if (answered && interval > kInterval) Log(LogLevel::kInfo, "a spot notice would be seen again");
    if (!answered && interval == kInterval)
      Log(LogLevel::kWarn, "a spot notice would not be seen",
          {{"reason", notice.error().message()}});
    interval = answered ? kInterval : std::min(2 * interval, kLongestInterval);
  } while (clock_.SleepFor(interval, stop));
}

Result<std::unique_ptr<SpotWatch>> WatchForSpotNotice(const Settings& settings,
                                                      SignalStops& signals) {
  if (settings.spot_notice == "off") return nullptr;
  // AWS_EC2_METADATA_DISABLED is for those who would ask without being told to.
  TRAWL_ASSIGN(auto metadata,
               storage::InstanceMetadata::Find(storage::ProcessEnvironment(), kTimeouts));
  return std::make_unique<SpotWatch>(
      [metadata = std::move(metadata)]() mutable { return metadata.Get("spot/instance-action"); },
      [&signals] { signals.Drain(); });
}

}  // namespace trawl::ops
