#include "storage/topics.h"

#include <utility>

namespace trawl::storage {

std::string WorkTopic(const std::string& queue) { return "trawl.work." + queue; }

std::vector<TopicSpec> TopicSpecs(const Settings& settings) {
  const int64_t retention_ms = settings.retention_hours * 3'600'000;
  return {
      {kJobsTopic, 1, settings.replication, /*compacted=*/true, -1},
      {WorkTopic(settings.queue), settings.work_partitions, settings.replication, false,
       retention_ms},
      {kResultsTopic, settings.results_partitions, settings.replication, false, retention_ms},
      {kAttemptsTopic, 1, settings.replication, /*compacted=*/true, -1},
  };
}

Status EnsureTopics(MessageLog& log, const Settings& settings, std::stop_token stop, Clock& clock) {
  const std::vector<TopicSpec> topics = TopicSpecs(settings);
  return OpenPatiently(
      "the topics", [&] { return log.EnsureTopics(topics); }, std::move(stop), clock);
}

}  // namespace trawl::storage
