#pragma once
// What the fuzz targets do with a graph that a loader let by, and expect of a refusal.

#include "config/check.h"
#include "engine/loaders/loaders.h"
#include "engine/ops.h"

namespace trawl::fuzz {

/// A refusal is one line that says something; a graph holds together, and goes on to shape
/// inference as Model::Load would have it. CHECKs both.
inline void Follow(Result<engine::Graph> graph) {
  const auto check_refusal = [](const Status& status) {
    CHECK(!status.ok());
    CHECK(!status.message().empty());
  };
  if (!graph) return check_refusal(graph.error());
  CHECK(graph->Verify().ok());
  const auto contents = engine::InferShapes(*graph, /*from_file=*/true);
  if (!contents) return check_refusal(contents.error());
}

}  // namespace trawl::fuzz
