#include "engine/model_package.h"

#include <filesystem>
#include <optional>
#include <string_view>

#include "engine/loaders/file.h"
#include "engine/loaders/loaders.h"
#include "engine/loaders/model_yaml.h"

namespace trawl::engine {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxYamlBytes = 1 << 20;
constexpr uint64_t kMaxLabelsBytes = 16 << 20;
constexpr std::string_view kSymbolSuffix = "-symbol.json";

/// The package before its graph was looked at: absolute paths and expected digests.
struct FoundFiles {
  ModelFormat format = ModelFormat::kOnnx;
  std::string graph, params, labels;  // absolute; params and labels may be empty
  std::string graph_sha256, params_sha256, labels_sha256;  // expected; may be empty
  Precision precision = Precision::kF32;
};

Result<std::vector<std::string>> ReadLabels(const std::string& path) {
  TRAWL_ASSIGN(const FileBytes bytes, ReadFile(path, kMaxLabelsBytes));
  const std::string_view text = bytes;
  std::vector<std::string> labels;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line(text.substr(begin, end - begin));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(std::move(line));
    begin = end + 1;
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  if (labels.empty()) return Error(Code::kInvalidArgument, "reading {}: no labels", path);
  return labels;
}

Result<std::string> CheckedDigest(const std::string& path, const std::string& expected) {
  TRAWL_ASSIGN(const std::string actual, Sha256OfFile(path));
  if (!expected.empty() && actual != expected) {
    return Error(Code::kDataLoss, "checking {}: its sha256 is {}, model.yaml says {}", path, actual,
                 expected);
  }
  return actual;
}

/// Reads what lies in the files but not in model.yaml: digests and labels.
Status ReadContents(const FoundFiles& files, ModelPackage& package) {
  package.format = files.format;
  package.graph_path = files.graph;
  package.params_path = files.params;
  package.labels_path = files.labels;
  std::string contents = "trawl model 1\n";
  TRAWL_ASSIGN(const std::string graph, CheckedDigest(files.graph, files.graph_sha256));
  contents += fmt::format("{} {}\n", files.format == ModelFormat::kOnnx ? "onnx" : "mxnet", graph);
  if (!files.params.empty()) {
    TRAWL_ASSIGN(const std::string params, CheckedDigest(files.params, files.params_sha256));
    contents += fmt::format("params {}\n", params);
  }
  if (!files.labels.empty()) {
    TRAWL_ASSIGN(const std::string labels, CheckedDigest(files.labels, files.labels_sha256));
    contents += fmt::format("labels {}\n", labels);
    TRAWL_ASSIGN(package.labels, ReadLabels(files.labels));
  }
  package.precision = files.precision;
  if (files.precision == Precision::kBf16) contents += "precision bf16\n";
  package.digest = Sha256OfText(contents);
  return OkStatus();
}

/// Everything that changes what a picture's numbers mean, in one fixed form.
std::string PreprocessDigest(const ModelPackage& package) {
  const PreprocessSpec& spec = package.preprocess;
  // Only what has an effect may count: the size of a resize that is not done does not.
  const bool exact = spec.resize == ResizeMode::kExact;
  const int shorter = spec.resize == ResizeMode::kShorter ? spec.resize_shorter : 0;
  return Sha256OfText(fmt::format(
      "trawl preprocess 1\nsize {} {}\nlayout {}\nchannels {}\nresize {} {} {} {}\nfilter {}\n"
      "crop {}\nmean {:.9g}\nstd {:.9g}\ninput {}\noutput {} {}\n",
      spec.height, spec.width, static_cast<int>(spec.layout), static_cast<int>(spec.channels),
      static_cast<int>(spec.resize), shorter, exact ? spec.resize_height : 0,
      exact ? spec.resize_width : 0, static_cast<int>(spec.filter), spec.crop_center,
      fmt::join(spec.mean, " "), fmt::join(spec.std, " "), package.input_name, package.output_name,
      static_cast<int>(package.output_kind)));
}

/// The file that model.yaml calls `name`, relative to the package's folder, with symbolic links
/// followed. It may lie anywhere: who may read what is the caller's business (see the paths in
/// ModelPackage).
Result<std::string> Resolve(const fs::path& folder, const std::string& name) {
  std::error_code error;
  const fs::path resolved = fs::canonical(folder / name, error);
  if (!error) return resolved.string();
  if (error == std::errc::no_such_file_or_directory) {
    return Error(Code::kNotFound, "no file '{}' in {}", name, folder.string());
  }
  return Error(Code::kInvalidArgument, "resolving '{}': {}", name, error.message());
}

Result<FoundFiles> Locate(const fs::path& folder, const PackageFiles& named) {
  const auto expected = [&](const std::string& name) {
    const auto found = named.sha256.find(name);
    return found == named.sha256.end() ? std::string() : found->second;
  };
  FoundFiles files;
  files.format = named.format;
  files.precision = named.precision;
  TRAWL_ASSIGN(files.graph, Resolve(folder, named.graph));
  files.graph_sha256 = expected(named.graph);
  if (!named.params.empty()) {
    TRAWL_ASSIGN(files.params, Resolve(folder, named.params));
    files.params_sha256 = expected(named.params);
  }
  if (!named.labels.empty()) {
    TRAWL_ASSIGN(files.labels, Resolve(folder, named.labels));
    files.labels_sha256 = expected(named.labels);
  }
  return files;
}

Status OpenYaml(const fs::path& yaml_path, ModelPackage& package) {
  const fs::path folder = yaml_path.parent_path();
  package.name = folder.filename().string();
  TRAWL_ASSIGN(const FileBytes text, ReadFile(yaml_path.string(), kMaxYamlBytes));
  TRAWL_ASSIGN(const ModelYaml yaml, ModelYaml::Parse(std::string(text)));
  TRAWL_ASSIGN(const PackageFiles named, yaml.Files());
  TRAWL_ASSIGN(const FoundFiles files, Locate(folder, named));
  TRAWL_TRY(ReadContents(files, package));
  TRAWL_ASSIGN(const GraphFacts facts, InspectGraph(files.format, files.graph));
  return yaml.Describe(facts, package);
}

/// The only `<prefix>-NNNN.params` beside `<prefix>-symbol.json`.
Result<std::string> FindParams(const fs::path& symbol_path) {
  const std::string symbol = symbol_path.filename().string();
  const std::string prefix = symbol.substr(0, symbol.size() - kSymbolSuffix.size()) + "-";
  constexpr std::string_view kParams = ".params";
  std::string found;
  std::error_code error;
  for (fs::directory_iterator entry(symbol_path.parent_path(), error), end; entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(kParams)) continue;
    if (name.size() != prefix.size() + 4 + kParams.size()) continue;
    if (name.find_first_not_of("0123456789", prefix.size()) != prefix.size() + 4) continue;
    if (!found.empty()) {
      return Error(Code::kInvalidArgument,
                   "several {}NNNN.params lie beside {}; name one in a model.yaml", prefix, symbol);
    }
    found = entry->path().string();
  }
  if (error) {
    return Error(Code::kInvalidArgument, "listing {}: {}", symbol_path.parent_path().string(),
                 error.message());
  }
  if (found.empty()) {
    return Error(Code::kNotFound, "no {}NNNN.params beside {}", prefix, symbol);
  }
  return found;
}

Status OpenBare(const fs::path& graph_path, ModelFormat format, ModelPackage& package) {
  FoundFiles files;
  files.format = format;
  files.graph = graph_path.string();
  const std::string file_name = graph_path.filename().string();
  if (format == ModelFormat::kMxnet) {
    TRAWL_ASSIGN(files.params, FindParams(graph_path));
    package.name = file_name.substr(0, file_name.size() - kSymbolSuffix.size());
  } else {
    package.name = graph_path.stem().string();
  }
  for (const char* labels : {"labels.txt", "synset.txt"}) {
    const fs::path candidate = graph_path.parent_path() / labels;
    std::error_code error;
    if (files.labels.empty() && fs::is_regular_file(candidate, error)) {
      files.labels = candidate.string();
    }
  }
  TRAWL_TRY(ReadContents(files, package));
  TRAWL_ASSIGN(const GraphFacts facts, InspectGraph(format, files.graph));
  TRAWL_ASSIGN(package.preprocess, ImageNetPreset(facts));
  package.output_kind =
      facts.output_is_probability ? OutputKind::kProbabilities : OutputKind::kLogits;
  return OkStatus();
}

Status OpenAt(const fs::path& path, ModelPackage& package) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const fs::path yaml = path / "model.yaml";
    if (!fs::exists(yaml, error)) {
      return Error(Code::kNotFound, "the folder has no model.yaml");
    }
    return OpenYaml(yaml, package);
  }
  const std::string name = path.filename().string();
  if (IsModelYaml(name)) return OpenYaml(path, package);
  if (name.ends_with(".onnx")) return OpenBare(path, ModelFormat::kOnnx, package);
  if (name.ends_with(kSymbolSuffix)) return OpenBare(path, ModelFormat::kMxnet, package);
  return Error(Code::kInvalidArgument,
               "neither a folder with a model.yaml, a .yaml, an .onnx nor a -symbol.json file");
}

}  // namespace

bool IsModelYaml(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

Result<PackageFiles> ReadPackageFiles(const std::string& yaml_path) {
  TRAWL_ASSIGN(const FileBytes text, ReadFile(yaml_path, kMaxYamlBytes));
  TRAWL_ASSIGN(const ModelYaml yaml, ModelYaml::Parse(std::string(text)));
  return yaml.Files();
}

Result<ModelPackage> OpenModelPackage(const std::string& path) {
  std::error_code error;
  // Canonical, so that a link that is moved to another model later does not change a running job.
  const fs::path canonical = fs::canonical(path, error);
  if (error) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    return Error(missing ? Code::kNotFound : Code::kInvalidArgument, "opening model {}: {}", path,
                 missing ? "no such file or folder" : error.message());
  }
  ModelPackage package;
  package.location = canonical.string();
  if (const Status status = OpenAt(canonical, package); !status.ok()) {
    return Annotate(status, "opening model {}", path);
  }
  package.preprocess_digest = PreprocessDigest(package);
  return package;
}

}  // namespace trawl::engine
