// Every access to yaml-cpp stays inside this file, behind Guarded(), because yaml-cpp throws.

#include "engine/loaders/model_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "config/suggest.h"

namespace trawl::engine {
namespace {

constexpr int kMaxSide = 16'384;

template <class... Args>
tl::unexpected<Status> ErrorAt(const YAML::Node& node, fmt::format_string<Args...> format,
                               Args&&... args) {
  return Error(Code::kInvalidArgument, "line {}: {}", node.Mark().line + 1,
               fmt::format(format, std::forward<Args>(args)...));
}

/// Runs `body`, and turns what yaml-cpp throws into a Status.
template <class Body>
auto Guarded(const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const YAML::Exception& error) {
    return Error(Code::kInvalidArgument, "line {}: {}", error.mark.line + 1, error.msg);
  }
}

template <class T>
Result<T> Number(const YAML::Node& node, const std::string& what, T min, T max) {
  T value{};
  if (node.IsScalar()) {
    const std::string& text = node.Scalar();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= min && value <= max) {
      return value;
    }
  }
  return ErrorAt(node, "{} must be a number from {} to {}", what, min, max);
}

Result<std::string> Text(const YAML::Node& node, const std::string& what) {
  if (!node.IsScalar() || node.Scalar().empty()) return ErrorAt(node, "{} must be a text", what);
  return node.Scalar();
}

/// `node` must be a map whose keys are all among `allowed` and given once.
Status CheckKeys(const YAML::Node& node, const std::string& what,
                 const std::vector<std::string>& allowed) {
  if (!node.IsMap()) return ErrorAt(node, "{} must be a map", what);
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return ErrorAt(entry.first, "a key of {} is no text", what);
    const std::string& key = entry.first.Scalar();
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      return ErrorAt(entry.first, "unknown key '{}' in {}{}", key, what, DidYouMean(key, allowed));
    }
    if (!seen.insert(key).second) return ErrorAt(entry.first, "'{}' is given twice", key);
  }
  return OkStatus();
}

/// The value whose name `node` holds.
template <class T>
Result<T> Choice(const YAML::Node& node, const std::string& what,
                 const std::vector<std::pair<std::string, T>>& choices) {
  std::vector<std::string> names;
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  for (const auto& [name, value] : choices) {
    if (name == text) return value;
    names.push_back(name);
  }
  return ErrorAt(node, "{} must be one of {}{}", what, fmt::join(names, ", "),
                 DidYouMean(text, names));
}

struct Size {
  int height, width;
};

/// `224` or `[224, 224]` (height, width).
Result<Size> ReadSize(const YAML::Node& node, const std::string& what) {
  if (node.IsSequence() && node.size() == 2) {
    TRAWL_ASSIGN(const int height, Number(node[0], what + "'s height", 1, kMaxSide));
    TRAWL_ASSIGN(const int width, Number(node[1], what + "'s width", 1, kMaxSide));
    return Size{height, width};
  }
  if (!node.IsScalar()) return ErrorAt(node, "{} must be [height, width] or one number", what);
  TRAWL_ASSIGN(const int side, Number(node, what, 1, kMaxSide));
  return Size{side, side};
}

/// One number per channel, or a single one for all of them.
Result<std::vector<float>> ReadPerChannel(const YAML::Node& node, const std::string& what,
                                          int channels, float min) {
  constexpr float kMax = 1e9f;
  std::vector<float> values;
  if (node.IsScalar()) {
    TRAWL_ASSIGN(const float value, Number(node, what, min, kMax));
    values.assign(static_cast<size_t>(channels), value);
    return values;
  }
  if (!node.IsSequence() || node.size() != static_cast<size_t>(channels)) {
    return ErrorAt(node, "{} must have {} number(s), one per channel", what, channels);
  }
  for (const auto& entry : node) {
    TRAWL_ASSIGN(const float value, Number(entry, what, min, kMax));
    values.push_back(value);
  }
  return values;
}

/// The resize that goes with an input size when nothing else is said.
void SetDefaultResize(PreprocessSpec& spec) {
  constexpr int kSmallSide = 64;
  const int side = std::max(spec.height, spec.width);
  spec.resize = side <= kSmallSide ? ResizeMode::kExact : ResizeMode::kShorter;
  spec.resize_shorter = static_cast<int>(std::lround(side * 256.0 / 224.0));
  spec.resize_height = spec.height;
  spec.resize_width = spec.width;
  spec.crop_center = spec.resize == ResizeMode::kShorter;
}

void SetImageNetNormalisation(PreprocessSpec& spec) {
  if (spec.channels == ChannelOrder::kGray) {
    spec.mean = {0};
    spec.std = {1};
    return;
  }
  spec.mean = {123.675f, 116.28f, 103.53f};
  spec.std = {58.395f, 57.12f, 57.375f};
  if (spec.channels == ChannelOrder::kBgr) {
    std::reverse(spec.mean.begin(), spec.mean.end());
    std::reverse(spec.std.begin(), spec.std.end());
  }
}

/// Layout, channels and size that the graph asks for.
Status TakeInputFromGraph(const GraphFacts& facts, PreprocessSpec& spec) {
  const Shape& shape = facts.input_shape;
  if (shape.empty()) return OkStatus();
  const auto is_channels = [](int64_t d) { return d == 1 || d == 3; };
  const bool nchw = shape.size() == 4 && (is_channels(shape[1]) || shape[1] == kBatch);
  const bool nhwc = shape.size() == 4 && !nchw && is_channels(shape[3]);
  if (!nchw && !nhwc) {
    return Error(Code::kInvalidArgument, "the graph's input {} is no picture of 1 or 3 channels",
                 ToString(shape));
  }
  spec.layout = nchw ? TensorLayout::kNchw : TensorLayout::kNhwc;
  spec.channels = shape[nchw ? 1 : 3] == 1 ? ChannelOrder::kGray : ChannelOrder::kRgb;
  const int64_t height = shape[nchw ? 2 : 1];
  const int64_t width = shape[nchw ? 3 : 2];
  if (height > kMaxSide || width > kMaxSide) {
    return Error(Code::kInvalidArgument, "the graph's input {} has sides over {} pixels",
                 ToString(shape), kMaxSide);
  }
  if (height > 0) spec.height = static_cast<int>(height);
  if (width > 0) spec.width = static_cast<int>(width);
  return OkStatus();
}

Status ReadInput(const YAML::Node& node, ModelPackage& package) {
  PreprocessSpec& spec = package.preprocess;
  TRAWL_TRY(CheckKeys(node, "input", {"name", "layout", "size", "channels"}));
  if (const YAML::Node name = node["name"]) {
    TRAWL_ASSIGN(package.input_name, Text(name, "input.name"));
  }
  if (const YAML::Node layout = node["layout"]) {
    TRAWL_ASSIGN(spec.layout, Choice<TensorLayout>(
                                  layout, "input.layout",
                                  {{"NCHW", TensorLayout::kNchw}, {"NHWC", TensorLayout::kNhwc}}));
  }
  if (const YAML::Node channels = node["channels"]) {
    TRAWL_ASSIGN(spec.channels, Choice<ChannelOrder>(channels, "input.channels",
                                                     {{"rgb", ChannelOrder::kRgb},
                                                      {"bgr", ChannelOrder::kBgr},
                                                      {"gray", ChannelOrder::kGray}}));
  }
  if (const YAML::Node size = node["size"]) {
    TRAWL_ASSIGN(const Size input, ReadSize(size, "input.size"));
    spec.height = input.height;
    spec.width = input.width;
  }
  return OkStatus();
}

Status ReadResize(const YAML::Node& node, PreprocessSpec& spec) {
  if (node.IsScalar()) {
    if (node.Scalar() != "none") {
      return ErrorAt(node, "preprocess.resize must be {{shorter: N}}, {{exact: [H, W]}} or none");
    }
    spec.resize = ResizeMode::kNone;
    return OkStatus();
  }
  TRAWL_TRY(CheckKeys(node, "preprocess.resize", {"shorter", "exact"}));
  if (node.size() != 1) return ErrorAt(node, "preprocess.resize takes one of shorter and exact");
  if (const YAML::Node shorter = node["shorter"]) {
    spec.resize = ResizeMode::kShorter;
    TRAWL_ASSIGN(spec.resize_shorter, Number(shorter, "preprocess.resize.shorter", 1, kMaxSide));
    return OkStatus();
  }
  TRAWL_ASSIGN(const Size exact, ReadSize(node["exact"], "preprocess.resize.exact"));
  spec.resize = ResizeMode::kExact;
  spec.resize_height = exact.height;
  spec.resize_width = exact.width;
  return OkStatus();
}

Status ReadPreprocessMap(const YAML::Node& node, PreprocessSpec& spec) {
  TRAWL_TRY(CheckKeys(node, "preprocess", {"resize", "filter", "crop", "mean", "std"}));
  const int channels = spec.channel_count();
  spec.mean.assign(static_cast<size_t>(channels), 0);
  spec.std.assign(static_cast<size_t>(channels), 1);
  if (const YAML::Node resize = node["resize"]) {
    TRAWL_TRY(ReadResize(resize, spec));
    spec.crop_center = spec.resize == ResizeMode::kShorter;
  }
  if (const YAML::Node filter = node["filter"]) {
    TRAWL_ASSIGN(spec.filter, Choice<ResizeFilter>(filter, "preprocess.filter",
                                                   {{"bilinear", ResizeFilter::kBilinear},
                                                    {"nearest", ResizeFilter::kNearest},
                                                    {"bicubic", ResizeFilter::kBicubic},
                                                    {"area", ResizeFilter::kArea},
                                                    {"lanczos", ResizeFilter::kLanczos}}));
  }
  if (const YAML::Node crop = node["crop"]) {
    TRAWL_ASSIGN(spec.crop_center,
                 Choice<bool>(crop, "preprocess.crop", {{"center", true}, {"none", false}}));
  }
  if (const YAML::Node mean = node["mean"]) {
    TRAWL_ASSIGN(spec.mean, ReadPerChannel(mean, "preprocess.mean", channels, -1e9f));
  }
  if (const YAML::Node std = node["std"]) {
    // Smaller ones could only be meant as zero, and would make the input infinite.
    TRAWL_ASSIGN(spec.std, ReadPerChannel(std, "preprocess.std", channels, 1e-9f));
  }
  return OkStatus();
}

/// A picture of any aspect must come out at the input's size, or the images' own size must decide.
Status CheckSizes(const YAML::Node& where, const PreprocessSpec& spec) {
  if (spec.resize == ResizeMode::kShorter && spec.crop_center &&
      spec.resize_shorter < std::max(spec.height, spec.width)) {
    return ErrorAt(where, "a shorter side of {} leaves nothing to crop {} × {} from",
                   spec.resize_shorter, spec.height, spec.width);
  }
  if (spec.resize != ResizeMode::kExact) return OkStatus();
  const bool equal = spec.resize_height == spec.height && spec.resize_width == spec.width;
  const bool larger = spec.resize_height >= spec.height && spec.resize_width >= spec.width;
  if (equal || (spec.crop_center && larger)) return OkStatus();
  return ErrorAt(where, "resizing to {} × {} does not give the input's {} × {}{}",
                 spec.resize_height, spec.resize_width, spec.height, spec.width,
                 larger ? "; add `crop: center`" : "");
}

Status ReadPreprocess(const YAML::Node& node, PreprocessSpec& spec) {
  enum class Preset { kImageNet, kRaw };
  SetDefaultResize(spec);
  if (node.IsMap()) {
    TRAWL_TRY(ReadPreprocessMap(node, spec));
    return CheckSizes(node, spec);
  }
  TRAWL_ASSIGN(const Preset preset,
               Choice<Preset>(node, "preprocess, unless it is a map,",
                              {{"imagenet", Preset::kImageNet}, {"raw", Preset::kRaw}}));
  if (preset == Preset::kImageNet) {
    SetImageNetNormalisation(spec);
    return OkStatus();
  }
  spec.resize = ResizeMode::kExact;
  spec.crop_center = false;
  spec.mean.assign(static_cast<size_t>(spec.channel_count()), 0);
  spec.std.assign(static_cast<size_t>(spec.channel_count()), 1);
  return OkStatus();
}

Status ReadOutput(const YAML::Node& node, ModelPackage& package) {
  TRAWL_TRY(CheckKeys(node, "output", {"name", "kind"}));
  if (const YAML::Node name = node["name"]) {
    TRAWL_ASSIGN(package.output_name, Text(name, "output.name"));
  }
  if (const YAML::Node kind = node["kind"]) {
    TRAWL_ASSIGN(package.output_kind,
                 Choice<OutputKind>(kind, "output.kind",
                                    {{"logits", OutputKind::kLogits},
                                     {"probabilities", OutputKind::kProbabilities}}));
  }
  return OkStatus();
}

Result<std::map<std::string, std::string>> ReadChecksums(const YAML::Node& node,
                                                         const std::vector<std::string>& files) {
  std::map<std::string, std::string> checksums;
  TRAWL_TRY(CheckKeys(node, "sha256", files));
  for (const auto& entry : node) {
    TRAWL_ASSIGN(std::string hex, Text(entry.second, "a sha256"));
    for (char& c : hex) {
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
      return ErrorAt(entry.second, "a sha256 has 64 hex digits");
    }
    checksums[entry.first.Scalar()] = hex;
  }
  return checksums;
}

}  // namespace

struct ModelYaml::Document {
  YAML::Node root;
};

ModelYaml::ModelYaml(std::unique_ptr<Document> document) : document_(std::move(document)) {}
ModelYaml::ModelYaml(ModelYaml&&) noexcept = default;
ModelYaml::~ModelYaml() = default;

Result<ModelYaml> ModelYaml::Parse(const std::string& text) {
  return Guarded([&]() -> Result<ModelYaml> {
    auto document = std::make_unique<Document>();
    document->root = YAML::Load(text);
    TRAWL_TRY(CheckKeys(document->root, "model.yaml",
                        {"name", "format", "files", "sha256", "input", "preprocess", "output",
                         "labels", "precision", "quantization"}));
    return ModelYaml(std::move(document));
  });
}

Result<PackageFiles> ModelYaml::Files() const {
  return Guarded([&]() -> Result<PackageFiles> {
    const YAML::Node& root = document_->root;
    PackageFiles found;
    const YAML::Node files = root["files"];
    if (!files) return ErrorAt(root, "'files' is missing");
    TRAWL_TRY(CheckKeys(files, "files", {"graph", "params"}));
    if (!files["graph"]) return ErrorAt(files, "files.graph is missing");
    TRAWL_ASSIGN(found.graph, Text(files["graph"], "files.graph"));
    if (const YAML::Node format = root["format"]) {
      TRAWL_ASSIGN(found.format, Choice<ModelFormat>(format, "format",
                                                     {{"onnx", ModelFormat::kOnnx},
                                                      {"mxnet", ModelFormat::kMxnet}}));
    } else {
      found.format = found.graph.ends_with(".json") ? ModelFormat::kMxnet : ModelFormat::kOnnx;
    }
    const YAML::Node params = files["params"];
    if (found.format == ModelFormat::kMxnet) {
      if (!params) return ErrorAt(files, "files.params is missing, which an mxnet model needs");
      TRAWL_ASSIGN(found.params, Text(params, "files.params"));
    } else if (params) {
      return ErrorAt(params, "files.params is for mxnet models only");
    }
    std::vector<std::string> names = {found.graph};
    if (!found.params.empty()) names.push_back(found.params);
    if (const YAML::Node labels = root["labels"]) {
      TRAWL_ASSIGN(found.labels, Text(labels, "labels"));
      names.push_back(found.labels);
    }
    if (const YAML::Node precision = root["precision"]) {
      TRAWL_ASSIGN(found.precision,
                   Choice<Precision>(precision, "precision",
                                     {{"f32", Precision::kF32}, {"bf16", Precision::kBf16}}));
    }
    if (const YAML::Node sha256 = root["sha256"]) {
      TRAWL_ASSIGN(found.sha256, ReadChecksums(sha256, names));
    }
    return found;
  });
}

Status ModelYaml::Describe(const GraphFacts& facts, ModelPackage& package) const {
  return Guarded([&]() -> Status {
    const YAML::Node& root = document_->root;
    if (const YAML::Node name = root["name"]) {
      TRAWL_ASSIGN(package.name, Text(name, "name"));
    }
    TRAWL_TRY(TakeInputFromGraph(facts, package.preprocess));
    if (const YAML::Node input = root["input"]) TRAWL_TRY(ReadInput(input, package));
    if (const YAML::Node preprocess = root["preprocess"]) {
      TRAWL_TRY(ReadPreprocess(preprocess, package.preprocess));
    } else {
      SetDefaultResize(package.preprocess);
      SetImageNetNormalisation(package.preprocess);
    }
    package.output_kind =
        facts.output_is_probability ? OutputKind::kProbabilities : OutputKind::kLogits;
    if (const YAML::Node output = root["output"]) TRAWL_TRY(ReadOutput(output, package));
    return OkStatus();
  });
}

Result<PreprocessSpec> ImageNetPreset(const GraphFacts& facts) {
  PreprocessSpec spec;
  TRAWL_TRY(TakeInputFromGraph(facts, spec));
  SetDefaultResize(spec);
  SetImageNetNormalisation(spec);
  return spec;
}

}  // namespace trawl::engine
