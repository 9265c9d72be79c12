#pragma once
// Measuring inference alone: what `trawl model bench` prints.

#include <functional>
#include <vector>

#include "config/status.h"
#include "engine/model.h"

namespace trawl::ops {

struct SpeedSetup {
  int64_t batch = 1;
  int threads = 1;
  bool latency = false;  // one session on all threads, not one session a thread
  bool layers = false;
  double seconds = 5;  // measured; warming up and the peak come on top
};

struct ModelSpeed {
  // Over windows of time: all sessions together.
  double images_per_second = 0, images_per_second_min = 0, images_per_second_max = 0;
  double run_seconds = 0;             // median of all runs
  std::vector<double> layer_seconds;  // a run, by node, mean; empty unless asked for
  double peak_flops = 0;  // a second, on as many threads, measured between the windows; median
};

/// Runs the model on random pictures with everything warm. `stopped` is asked between windows.
/// Errors: as Execution::Create; kCancelled once `stopped`.
Result<ModelSpeed> MeasureSpeed(const engine::Model& model, const SpeedSetup& setup,
                                const std::function<bool()>& stopped);

}  // namespace trawl::ops
