#include "worker/worker.h"

#include <utility>

#include "ops/telemetry/log.h"
#include "storage/topics.h"
#include "worker/limits.h"
#include "worker/log_loop.h"
#include "worker/pipeline.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::worker {

Status RunWorker(const WorkerOptions& options, StopSignals stop, LoadedModel known) {
  TRAWL_TRY(options.log.EnsureTopics(storage::TopicSpecs(options.settings)));
  const WorkerLimits limits = WorkerLimits::From(options.settings, AvailableCores());
  ops::Log(ops::LogLevel::kInfo, "worker ready",
           {{"name", options.name},
            {"queue", options.settings.queue},
            {"sessions", limits.sessions},
            {"decode_threads", limits.decode_threads}});
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
