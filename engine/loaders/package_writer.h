#pragma once
// A model package written to disk.

#include <optional>
#include <string>
#include <vector>

#include "config/status.h"
#include "engine/graph.h"
#include "engine/model_package.h"

namespace trawl::engine {

/// How a model of lower precision and the one it was made from did on the same pictures.
struct Validation {
  size_t pictures = 0;
  double agreement = 0;       // share with the same best class
  double relative_error = 0;  // root mean square of the scores' difference, relative to the scores
  size_t labelled = 0;        // pictures whose class is known; of these, the shares:
  double top1 = 0, top5 = 0;
  double reference_top1 = 0, reference_top5 = 0;
};

/// What ranges of integers were taken from.
struct CalibrationRecord {
  size_t pictures = 0;
  std::string digest;
  std::vector<std::string> layers_in_f32;  // names of nodes with weights
};

/// What model.yaml says of where a model of lower precision comes from.
struct QuantizationRecord {
  std::string source_digest;  // ModelPackage::digest of the model in f32
  std::string method;
  std::optional<CalibrationRecord> calibration;  // of a model in integers
  std::optional<Validation> validation;
};

/// Writes `graph` (as of SerializeOnnx) as model.onnx, the labels and a model.yaml into a new
/// folder, whole or not at all: it is made beside `folder` under another name and renamed at the
/// end. Everything is as in `package`, but for the graph and the name, which gets the
/// precision behind. The same arguments give the same bytes.
/// Errors: kAlreadyExists; kInvalidArgument naming what cannot be written; SerializeOnnx's.
Status WritePackage(const std::string& folder, const Graph& graph, const ModelPackage& package,
                    const QuantizationRecord& record);

}  // namespace trawl::engine
