#include "engine/loaders/package_writer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/loaders/file.h"
#include "engine/loaders/onnx_writer.h"

namespace trawl::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGraphFile = "model.onnx";
constexpr const char* kLabelsFile = "labels.txt";

std::string Percent(double share) { return fmt::format("{:.2f}", 100 * share); }

void EmitNumbers(YAML::Emitter& yaml, const char* key, const std::vector<float>& values) {
  if (values.empty()) return;
  yaml << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const float value : values) yaml << fmt::format("{}", value);
  yaml << YAML::EndSeq;
}

void EmitPair(YAML::Emitter& yaml, const char* key, int height, int width) {
  yaml << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq << height << width
       << YAML::EndSeq;
}

void EmitInput(YAML::Emitter& yaml, const std::string& name, const PreprocessSpec& spec) {
  constexpr const char* kChannels[] = {"rgb", "bgr", "gray"};
  yaml << YAML::Key << "input" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << "name" << YAML::Value << name;
  yaml << YAML::Key << "layout" << YAML::Value
       << (spec.layout == TensorLayout::kNchw ? "NCHW" : "NHWC");
  EmitPair(yaml, "size", spec.height, spec.width);
  yaml << YAML::Key << "channels" << YAML::Value << kChannels[static_cast<int>(spec.channels)];
  yaml << YAML::EndMap;
}

void EmitPreprocess(YAML::Emitter& yaml, const PreprocessSpec& spec) {
  constexpr const char* kFilters[] = {"nearest", "bilinear", "bicubic", "area", "lanczos"};
  yaml << YAML::Key << "preprocess" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << "resize" << YAML::Value;
  if (spec.resize == ResizeMode::kNone) {
    yaml << "none";
  } else {
    yaml << YAML::BeginMap;
    if (spec.resize == ResizeMode::kShorter) {
      yaml << YAML::Key << "shorter" << YAML::Value << spec.resize_shorter;
    } else {
      EmitPair(yaml, "exact", spec.resize_height, spec.resize_width);
    }
    yaml << YAML::EndMap;
  }
  yaml << YAML::Key << "filter" << YAML::Value << kFilters[static_cast<int>(spec.filter)];
  yaml << YAML::Key << "crop" << YAML::Value << (spec.crop_center ? "center" : "none");
  EmitNumbers(yaml, "mean", spec.mean);
  EmitNumbers(yaml, "std", spec.std);
  yaml << YAML::EndMap;
}

void EmitValidation(YAML::Emitter& yaml, const Validation& validation) {
  yaml << YAML::Key << "validation" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << "pictures" << YAML::Value << validation.pictures;
  yaml << YAML::Key << "agreement_percent" << YAML::Value << Percent(validation.agreement);
  yaml << YAML::Key << "relative_rms_of_scores" << YAML::Value
       << fmt::format("{:.4f}", validation.relative_error);
  if (validation.labelled > 0) {
    yaml << YAML::Key << "labelled" << YAML::Value << validation.labelled;
    yaml << YAML::Key << "top1_percent" << YAML::Value << Percent(validation.top1);
    yaml << YAML::Key << "top5_percent" << YAML::Value << Percent(validation.top5);
    yaml << YAML::Key << "f32_top1_percent" << YAML::Value << Percent(validation.reference_top1);
    yaml << YAML::Key << "f32_top5_percent" << YAML::Value << Percent(validation.reference_top5);
  }
  yaml << YAML::EndMap;
}

void EmitRecord(YAML::Emitter& yaml, const QuantizationRecord& record) {
  yaml << YAML::Key << "quantization" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << "of_model" << YAML::Value << record.source_digest;
  yaml << YAML::Key << "method" << YAML::Value << record.method;
  if (record.calibration) {
    const CalibrationRecord& calibration = *record.calibration;
    yaml << YAML::Key << "pictures" << YAML::Value << calibration.pictures;
    yaml << YAML::Key << "calibration_digest" << YAML::Value << calibration.digest;
    yaml << YAML::Key << "layers_in_f32" << YAML::Value << YAML::Flow << calibration.layers_in_f32;
  }
  if (record.validation) EmitValidation(yaml, *record.validation);
  yaml << YAML::EndMap;
}

/// yaml-cpp's emitter throws nothing but bad_alloc.
std::string FormatYaml(const Graph& graph, const ModelPackage& package,
                       const QuantizationRecord& record, const std::string& graph_sha256,
                       const std::string& labels_sha256) {
  YAML::Emitter yaml;
  yaml << YAML::BeginMap;
  yaml << YAML::Key << "name" << YAML::Value
       << package.name + (package.precision == Precision::kBf16 ? "-bf16" : "-int8");
  yaml << YAML::Key << "format" << YAML::Value << "onnx";
  yaml << YAML::Key << "files" << YAML::Value << YAML::BeginMap << YAML::Key << "graph"
       << YAML::Value << kGraphFile << YAML::EndMap;
  yaml << YAML::Key << "sha256" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << kGraphFile << YAML::Value << graph_sha256;
  if (!labels_sha256.empty()) yaml << YAML::Key << kLabelsFile << YAML::Value << labels_sha256;
  yaml << YAML::EndMap;
  EmitInput(yaml, graph.value(graph.inputs()[0]).name, package.preprocess);
  EmitPreprocess(yaml, package.preprocess);
  yaml << YAML::Key << "output" << YAML::Value << YAML::BeginMap;
  yaml << YAML::Key << "name" << YAML::Value << graph.value(graph.outputs()[0]).name;
  yaml << YAML::Key << "kind" << YAML::Value
       << (package.output_kind == OutputKind::kLogits ? "logits" : "probabilities");
  yaml << YAML::EndMap;
  if (!labels_sha256.empty()) yaml << YAML::Key << "labels" << YAML::Value << kLabelsFile;
  if (package.precision == Precision::kBf16) {
    yaml << YAML::Key << "precision" << YAML::Value << "bf16";
  }
  EmitRecord(yaml, record);
  yaml << YAML::EndMap;
  return std::string(yaml.c_str()) + "\n";
}

Status WriteFile(const fs::path& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  int error = fd < 0 ? errno : 0;
  while (error == 0 && !bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (fd >= 0) ::close(fd);
  if (error == 0) return OkStatus();
  return Error(Code::kInvalidArgument, "writing {}: {}", path.string(), std::strerror(error));
}

/// A folder beside the one that is wanted, removed unless it was renamed to it.
class UnfinishedFolder {
 public:
  static Result<UnfinishedFolder> Create(const fs::path& wanted) {
    std::string name = wanted.string() + ".XXXXXX";
    if (::mkdtemp(name.data()) == nullptr || ::chmod(name.c_str(), 0755) != 0) {
      return Error(Code::kInvalidArgument, "creating {}: {}", name, std::strerror(errno));
    }
    return UnfinishedFolder(std::move(name));
  }
  UnfinishedFolder(UnfinishedFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  UnfinishedFolder& operator=(UnfinishedFolder&&) = delete;
  ~UnfinishedFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }

  Status Become(const fs::path& wanted) {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, wanted.c_str(), RENAME_NOREPLACE) != 0) {
      return Error(errno == EEXIST ? Code::kAlreadyExists : Code::kInvalidArgument,
                   "renaming {} to {}: {}", path_.string(), wanted.string(), std::strerror(errno));
    }
    path_.clear();
    return OkStatus();
  }

 private:
  explicit UnfinishedFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

}  // namespace

Status WritePackage(const std::string& folder, const Graph& graph, const ModelPackage& package,
                    const QuantizationRecord& record) {
  // Without the slash that completion leaves behind a folder's name.
  const fs::path wanted = fs::path(folder) / "";
  TRAWL_ASSIGN(const std::string onnx, SerializeOnnx(graph));
  std::string labels;
  for (const std::string& label : package.labels) labels += label + "\n";
  const std::string labels_sha256 = labels.empty() ? "" : Sha256OfText(labels);
  const std::string yaml = FormatYaml(graph, package, record, Sha256OfText(onnx), labels_sha256);
  TRAWL_ASSIGN(UnfinishedFolder unfinished, UnfinishedFolder::Create(wanted.parent_path()));
  TRAWL_TRY(WriteFile(unfinished.path() / kGraphFile, onnx));
  if (!labels.empty()) TRAWL_TRY(WriteFile(unfinished.path() / kLabelsFile, labels));
  TRAWL_TRY(WriteFile(unfinished.path() / "model.yaml", yaml));
  return unfinished.Become(wanted.parent_path());
}

}  // namespace trawl::engine
