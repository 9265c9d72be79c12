#pragma once
// The topics of Trawl, and how they are laid out. Producer, worker and collector agree on them
// here.

#include <stop_token>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/settings.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

inline constexpr const char* kJobsTopic = "trawl.jobs";
inline constexpr const char* kResultsTopic = "trawl.results";
/// Which worker holds which partition, and what killed those before it. For workers alone.
inline constexpr const char* kAttemptsTopic = "trawl.attempts";

/// "trawl.work.<queue>".
std::string WorkTopic(const std::string& queue);

/// All topics with the partitions, replication and retention that the settings ask for.
std::vector<TopicSpec> TopicSpecs(const Settings& settings);

/// Creates what is missing of them, and waits until each partition has a leader (OpenPatiently).
Status EnsureTopics(MessageLog& log, const Settings& settings, std::stop_token stop,
                    Clock& clock = SystemClock());

}  // namespace trawl::storage
