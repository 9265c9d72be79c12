#pragma once
// The two halves of InspectGraph (engine/loaders/loaders.h), one per format.

#include <string>

#include "config/status.h"
#include "engine/loaders/loaders.h"

namespace trawl::engine {

Result<GraphFacts> InspectOnnx(const std::string& path);
/// MXNet's files tell no input shape.
Result<GraphFacts> InspectMxnet(const std::string& symbol_path);

}  // namespace trawl::engine
