#pragma once
// A model package: a folder (or its model.yaml, or a bare graph file) that says which files make
// the model, how a picture becomes its input, and what its output means. Preprocessing belongs to
// the model, never to the job.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"

namespace trawl::engine {

enum class ModelFormat { kOnnx, kMxnet };
enum class ChannelOrder { kRgb, kBgr, kGray };
enum class TensorLayout { kNchw, kNhwc };
enum class ResizeMode { kNone, kShorter, kExact };
enum class ResizeFilter { kNearest, kBilinear, kBicubic, kArea, kLanczos };
enum class OutputKind { kLogits, kProbabilities };
/// What products may be computed in: f32, or numbers rounded to bf16 and summed in f32.
enum class Precision { kF32, kBf16 };

/// How a decoded picture becomes one input of the model.
struct PreprocessSpec {
  int height = 224, width = 224;  // of the model's input, pixels
  TensorLayout layout = TensorLayout::kNchw;
  ChannelOrder channels = ChannelOrder::kRgb;
  ResizeMode resize = ResizeMode::kShorter;
  int resize_shorter = 256;  // kShorter: the shorter side becomes this, the aspect is kept
  int resize_height = 224, resize_width = 224;    // kExact
  ResizeFilter filter = ResizeFilter::kBilinear;  // antialiased when it shrinks, as Pillow does
  bool crop_center = true;  // to height × width; without it the sizes must agree
  std::vector<float>
      mean;  // per channel, of 0–255 values, in the order of `channels`; subtracted first
  std::vector<float> std;  // then divided by this

  int channel_count() const { return channels == ChannelOrder::kGray ? 1 : 3; }
};

struct ModelPackage {
  std::string name;
  ModelFormat format = ModelFormat::kOnnx;
  std::string location;     // absolute path of what was opened
  std::string graph_path;   // absolute, links resolved; so are the next two
  std::string params_path;  // MXNet only
  std::string labels_path;  // empty: no labels
  std::string input_name;   // empty: the only input
  std::string output_name;  // empty: the only output
  OutputKind output_kind = OutputKind::kLogits;
  Precision precision = Precision::kF32;
  PreprocessSpec preprocess;
  std::vector<std::string> labels;
  std::string digest;             // sha-256, hex, over graph, weights, labels and precision
  std::string preprocess_digest;  // sha-256, hex, over `preprocess` and the output's meaning
};

/// The files that a model.yaml names, as it names them.
struct PackageFiles {
  ModelFormat format = ModelFormat::kOnnx;
  std::string graph;
  std::string params;  // MXNet only
  std::string labels;  // may be empty
  Precision precision = Precision::kF32;
  std::map<std::string, std::string> sha256;  // name → expected digest, lower-case hex
};

/// Reads a model.yaml for them; looks at none of the files. Errors: kInvalidArgument with line and
/// suggestion, kNotFound.
Result<PackageFiles> ReadPackageFiles(const std::string& yaml_path);

/// By its name, that a path or URL leads to a package's model.yaml.
bool IsModelYaml(std::string_view path);

/// Opens a folder with a model.yaml, a model.yaml, a bare .onnx or a bare -symbol.json (its params:
/// the only `<prefix>-NNNN.params` beside it). Bare files get the ImageNet preset at the graph's
/// own input size; engine/loaders/README.md has all keys and what holds for those left out. Reads
/// no weights but to digest them. Errors: kNotFound; kInvalidArgument with the line of model.yaml
/// and a suggestion for unknown keys; kDataLoss when a sha256 differs.
Result<ModelPackage> OpenModelPackage(const std::string& path);

}  // namespace trawl::engine
