#include "ops/telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <mutex>
#include <vector>

#include "config/clock.h"
#include "ops/telemetry/event_line.h"
#include "ops/telemetry/rate_limit.h"

namespace trawl::ops {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// The process's one logger; made at its first use and never taken down, so that threads may log to
/// the very end.
struct Sink {
  spdlog::logger lines{"trawl", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  bool json = false;
  std::mutex mutex;
  RateLimit limit{kLogBurst, kLogWindowMs};  // guarded by mutex

  Sink() {
    lines.set_pattern("%v");
    lines.set_level(spdlog::level::info);
    // A full disk behind stderr must not take the process down.
    lines.set_error_handler([](const std::string&) {});
  }
};

Sink& TheSink() {
  static Sink* const sink = std::make_unique<Sink>().release();
  return *sink;
}

void Write(Sink& sink, LogLevel level, std::string_view message,
           const std::vector<LogField>& fields) {
  const int64_t unix_ms = SystemClock().WallMillis();
  sink.lines.log(ToSpdlog(level), sink.json ? JsonLine(unix_ms, level, message, fields)
                                            : TextLine(unix_ms, level, message, fields));
}

}  // namespace

void ConfigureLog(std::string_view level, std::string_view format) {
  Sink& sink = TheSink();
  sink.json = format == "json";
  for (const LogLevel each :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (ToString(each) == level) sink.lines.set_level(ToSpdlog(each));
  }
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  Sink& sink = TheSink();
  if (!sink.lines.should_log(ToSpdlog(level))) return;
  std::vector<LogField> all(fields);
  if (level >= LogLevel::kWarn) {
    const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                               SystemClock().Now().time_since_epoch())
                               .count();
    const std::lock_guard lock(sink.mutex);
    const std::optional<uint64_t> suppressed = sink.limit.Admit(message, now_ms);
    if (!suppressed) return;
    if (*suppressed > 0) all.emplace_back("suppressed", *suppressed);
  }
  Write(sink, level, message, all);
}

void LogSuppressed() {
  Sink& sink = TheSink();
  // Where warnings are not logged, none was suppressed.
  const bool warns = sink.lines.should_log(spdlog::level::warn);
  const std::lock_guard lock(sink.mutex);
  for (const auto& [message, count] : sink.limit.TakeSuppressed()) {
    Write(sink, warns ? LogLevel::kWarn : LogLevel::kError, message,
          {LogField("suppressed", count)});
  }
}

}  // namespace trawl::ops
