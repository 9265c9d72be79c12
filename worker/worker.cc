#include "worker/worker.h"

#include <utility>

#include "ops/telemetry/log.h"
#include "storage/topics.h"
#include "worker/limits.h"
#include "worker/log_loop.h"
#include "worker/memory_limit.h"
#include "worker/pipeline.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::worker {
namespace {

void TellReady(const WorkerOptions& options, const WorkerLimits& limits) {
  const int64_t memory = options.settings.memory;
  const auto most = TightestMemoryLimit();
  ops::Log(ops::LogLevel::kInfo, "worker ready",
           {{"name", options.name},
            {"queue", options.settings.queue},
            {"sessions", limits.sessions},
            {"decode_threads", limits.decode_threads},
            {"memory", memory},
            {"memory_limit", most ? fmt::format("{}", most->bytes) : "none"},
            {"memory_limit_from", most ? most->source : "none"}});
  if (most && memory > most->bytes)
    ops::Log(ops::LogLevel::kWarn, "the setting memory is more than this process may have",
             {{"memory", memory}, {"limit", most->bytes}, {"limit_from", most->source}});
}

}  // namespace

Status RunWorker(const WorkerOptions& options, StopSignals stop, LoadedModel known) {
  const Status ensured =
      storage::EnsureTopics(options.log, options.settings, stop.drain, options.clock);
  if (ensured.code() == Code::kCancelled && !stop.abort.stop_requested()) return OkStatus();
  TRAWL_TRY(ensured);
  const WorkerLimits limits = WorkerLimits::From(options.settings, AvailableCores());
  TellReady(options, limits);
  TRAWL_ASSIGN(const auto decoders,
               DecoderPool::Start(DecoderOptions::From(options.settings, options.decoder_command,
                                                       limits.decode_threads)));
  Pipeline pipeline(options.settings, limits, options.objects, *decoders, options.clock);
  if (known.model) pipeline.Adopt(std::move(known));
  LogLoop loop(options, limits, pipeline, std::move(stop));
  const Status ended = loop.Run();
  // Drained, it holds nothing; otherwise nobody wants what it holds.
  pipeline.Abort();
  return ended;
}

}  // namespace trawl::worker
