// Goal: the engine answers like the reference runtimes, on real networks and pictures.
// Method: every shared model, ONNX and MXNet, runs on the rows that golden.json lists;
// probabilities are compared with ONNX Runtime's. Bounds: 1e-4 for fp32 models and 1e-5 for
// ResNet-18, which leaves Winograd and other orders of summation room and no other network would
// meet; the same model's scores differ by at most 1e-5 between batches and numbers of threads, in
// bf16 by 5e-3. The top five must agree in order, except where the reference's own probabilities
// are closer than the bound. Quantised models compute in integers, on every instruction set that
// has products of bytes, models in bf16 where the processor has products of those; the first class
// of both is held to 95 % of rows, and its mean difference to 0.02.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/model.h"
#include "engine/simd/microkernels.h"
#include "tests/golden/shared_data.h"

namespace trawl::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using trawl::testing::Picture;

/// A model file below models/, and the model of golden.json whose answers it must give.
struct GoldenCase {
  std::string name;
  std::string graph;
  std::string reference;
  bool raw_pixels = false;  // the network normalises by itself
  float bound = 1e-4f;
  Precision precision = Precision::kF32;
};

const std::vector<GoldenCase> kCases = {
    {"Resnet18", "resnet18-imagenet/resnet18-imagenet.onnx", "resnet18-imagenet", false, 1e-5f},
    {"Resnet18Mxnet", "resnet18-imagenet/resnet18-raw255-symbol.json", "resnet18-imagenet", true,
     1e-5f},
    {"Resnet50", "resnet50-imagenet/resnet50-imagenet.onnx", "resnet50-imagenet"},
    {"Resnet50Bf16", "resnet50-imagenet/resnet50-imagenet.onnx", "resnet50-imagenet", false, 1e-4f,
     Precision::kBf16},
    {"MobilenetV2", "mobilenet-v2-imagenet/mobilenet-v2-1.0-224.onnx", "mobilenet-v2-1.0-224"},
    {"MobilenetV2Bf16", "mobilenet-v2-imagenet/mobilenet-v2-1.0-224.onnx", "mobilenet-v2-1.0-224",
     false, 1e-4f, Precision::kBf16},
    {"MobilenetV2Mxnet", "mobilenet-v2-imagenet/mobilenet-v2-1.0-224-symbol.json",
     "mobilenet-v2-1.0-224"},
    {"MobilenetV2Quantised", "mobilenet-v2-imagenet/mobilenet-v2-1.0-224-qdq.onnx",
     "mobilenet-v2-1.0-224-qdq"},
    {"MobilenetV1", "mobilenet-v1-imagenet/mobilenet-v1-0.25-128.onnx", "mobilenet-v1-0.25-128"},
    {"MobilenetV1Mxnet", "mobilenet-v1-imagenet/mobilenet-v1-0.25-128-symbol.json",
     "mobilenet-v1-0.25-128"},
    {"MobilenetV1Quantised", "mobilenet-v1-imagenet/mobilenet-v1-0.25-128-qdq.onnx",
     "mobilenet-v1-0.25-128-qdq"},
    {"Squeezenet", "squeezenet-imagenet/squeezenet1.0.onnx", "squeezenet1.0"},
    {"SqueezenetMxnet", "squeezenet-imagenet/squeezenet1.0-symbol.json", "squeezenet1.0"},
    {"Resnet20", "resnet-cifar10/resnet20-cifar10.onnx", "resnet20-cifar10"},
    {"Resnet20Mxnet", "resnet-cifar10/resnet20-cifar10-symbol.json", "resnet20-cifar10"},
    {"Resnet56", "resnet-cifar10/resnet56-cifar10.onnx", "resnet56-cifar10"},
    {"Resnet8", "mlperf-tiny/resnet8-cifar10.onnx", "resnet8-cifar10"},
    {"Resnet8Quantised", "mlperf-tiny/resnet8-cifar10-qdq.onnx", "resnet8-cifar10-qdq"},
};
/// Models without rows in golden.json have tests of their own below.
const std::set<std::string> kOthers = {"mlperf-tiny/vww-mobilenet-v1-0.25-96.onnx",
                                       "mnist/mnist.onnx"};

using Table = std::vector<std::vector<float>>;

json ReadGolden() {
  std::ifstream stream(trawl::testing::SharedRoot() / "golden" / "golden.json");
  const json golden = json::parse(stream, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(golden.is_discarded());
  return golden;
}

/// The entry of golden.json for a model: its file's name without ending.
json FindReference(const json& golden, const std::string& stem) {
  for (const json& model : golden["models"]) {
    if (fs::path(model["path"].get<std::string>()).stem() == stem) return model;
  }
  ADD_FAILURE() << "golden.json has no " << stem;
  return {};
}

std::vector<Picture> ReadRows(const json& golden, const json& reference) {
  std::vector<Picture> rows;
  if (reference["data"] == "cifar10") {
    const fs::path folder = trawl::testing::UnpackedData() / "images" / "cifar10";
    for (const json& file : golden["cifar"]) {
      rows.push_back(trawl::testing::ReadPng(folder / file.get<std::string>()));
    }
    return rows;
  }
  const std::string size = std::to_string(reference["size"].get<int>());
  for (const json& crop : golden["crops"]) {
    rows.push_back(trawl::testing::ReadPng(trawl::testing::SharedRoot() / "golden" /
                                           crop["png"][size].get<std::string>()));
  }
  return rows;
}

/// [C, H, W] in the order of `channels`, normalised.
std::vector<float> ToInput(const Picture& picture, const PreprocessSpec& spec) {
  const auto area = static_cast<size_t>(picture.height * picture.width);
  std::vector<float> input(3 * area);
  for (size_t c = 0; c < 3; ++c) {
    const size_t source = spec.channels == ChannelOrder::kBgr ? 2 - c : c;
    for (size_t i = 0; i < area; ++i) {
      input[c * area + i] =
          (static_cast<float>(picture.pixels[3 * i + source]) - spec.mean[c]) / spec.std[c];
    }
  }
  return input;
}

ModelPackage MakePackage(const GoldenCase& tested, const json& reference) {
  const std::string graph = (trawl::testing::UnpackedData() / "models" / tested.graph).string();
  ModelPackage package;
  package.name = tested.name;
  package.precision = tested.precision;
  package.graph_path = graph;
  constexpr std::string_view kSymbol = "-symbol.json";
  const bool mxnet = graph.ends_with(kSymbol);
  if (mxnet) {
    package.format = ModelFormat::kMxnet;
    package.params_path = graph.substr(0, graph.size() - kSymbol.size()) + "-0000.params";
  }
  const bool logits = reference["output"] == "logits" && !mxnet;  // MXNet's end in SoftmaxOutput
  package.output_kind = logits ? OutputKind::kLogits : OutputKind::kProbabilities;
  PreprocessSpec& spec = package.preprocess;
  spec.height = spec.width = reference["size"].get<int>();
  spec.channels = reference["channels"] == "bgr" ? ChannelOrder::kBgr : ChannelOrder::kRgb;
  spec.mean =
      tested.raw_pixels ? std::vector<float>(3, 0) : reference["mean"].get<std::vector<float>>();
  spec.std =
      tested.raw_pixels ? std::vector<float>(3, 1) : reference["std"].get<std::vector<float>>();
  return package;
}

/// Probabilities by row.
Table Classify(const std::shared_ptr<const Model>& model,
               const std::vector<std::vector<float>>& rows, size_t batch, int threads) {
  const auto session = Session::Create(model, static_cast<int>(batch), threads);
  EXPECT_TRUE(session) << session.error().message();
  Table table;
  const auto classes = static_cast<size_t>(model->classes());
  for (size_t begin = 0; session && begin < rows.size(); begin += batch) {
    const size_t n = std::min(batch, rows.size() - begin);
    std::vector<float> images, probabilities(n * classes);
    for (size_t i = 0; i < n; ++i) {
      images.insert(images.end(), rows[begin + i].begin(), rows[begin + i].end());
    }
    const Status status = (*session)->Run(images, static_cast<int>(n), probabilities);
    EXPECT_TRUE(status.ok()) << status.message();
    for (size_t i = 0; i < n; ++i) {
      const auto first = probabilities.begin() + static_cast<std::ptrdiff_t>(i * classes);
      table.emplace_back(first, first + static_cast<std::ptrdiff_t>(classes));
    }
  }
  return table;
}

float MaxDifference(const std::vector<float>& a, const std::vector<float>& b) {
  float difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference = std::max(difference, std::abs(a[i] - b[i]));
  return difference;
}

/// Rank by rank; two classes may change places where the reference hardly tells them apart.
void ExpectSameTop5(const std::vector<float>& actual, const std::vector<float>& expected,
                    size_t row) {
  constexpr float kTie = 1e-6f;
  const auto ours = TopK(actual, 5), theirs = TopK(expected, 5);
  for (size_t rank = 0; rank < theirs.size(); ++rank) {
    const auto class_index = static_cast<size_t>(ours[rank].class_index);
    EXPECT_TRUE(ours[rank].class_index == theirs[rank].class_index ||
                std::abs(expected[class_index] - theirs[rank].probability) <= kTie)
        << "row " << row << " rank " << rank << ": class " << class_index << " instead of "
        << theirs[rank].class_index;
  }
}

bool IsQuantised(const GoldenCase& tested) { return tested.reference.ends_with("-qdq"); }
bool IsBf16(const GoldenCase& tested) { return tested.precision == Precision::kBf16; }

void ExpectAnswersOfTheReference(const GoldenCase& tested, const json& golden,
                                 const json& reference) {
  const ModelPackage package = MakePackage(tested, reference);
  const auto model = Model::Load(package);
  ASSERT_TRUE(model) << model.error().message();
  std::vector<std::vector<float>> rows;
  for (const Picture& picture : ReadRows(golden, reference)) {
    ASSERT_EQ(picture.height, package.preprocess.height);
    rows.push_back(ToInput(picture, package.preprocess));
  }
  const Table actual = Classify(*model, rows, 5, 1);  // which leaves a smaller batch at the end
  const Table expected = trawl::testing::ReadNpy(trawl::testing::SharedRoot() / "golden" /
                                                 reference["prob"].get<std::string>());
  ASSERT_EQ(actual.size(), expected.size());
  const bool exact = !IsQuantised(tested) && !IsBf16(tested);
  size_t same_first = 0;
  float worst = 0, top_difference = 0;
  for (size_t row = 0; row < expected.size(); ++row) {
    ASSERT_EQ(actual[row].size(), expected[row].size());
    worst = std::max(worst, MaxDifference(actual[row], expected[row]));
    const ClassScore top = TopK(expected[row], 1)[0];
    top_difference +=
        std::fabs(actual[row][static_cast<size_t>(top.class_index)] - top.probability);
    same_first += TopK(actual[row], 1)[0].class_index == TopK(expected[row], 1)[0].class_index;
    if (exact) ExpectSameTop5(actual[row], expected[row], row);
  }
  ::testing::Test::RecordProperty("max_difference", std::to_string(worst));
  EXPECT_GE(static_cast<double>(same_first), 0.95 * static_cast<double>(expected.size()));
  // In integers, a result that lies between two numbers may be rounded to the other one.
  EXPECT_LE(top_difference / static_cast<float>(expected.size()), 0.02f);
  EXPECT_TRUE(!exact || worst <= tested.bound) << worst;
  EXPECT_TRUE(!IsBf16(tested) || worst > tested.bound) << worst << ": nothing was rounded";
  // The same scores whatever the batch and by however many threads. Sums of f32 differ in their
  // last bits, by which some numbers are rounded to another one of bf16.
  const float change = IsBf16(tested) ? 5e-3f : 1e-5f;
  rows.resize(std::min<size_t>(rows.size(), 9));
  for (const auto& [batch, threads] : {std::pair(size_t{1}, 1), {8, 1}, {1, 2}, {8, 2}}) {
    const Table other = Classify(*model, rows, batch, threads);
    for (size_t row = 0; row < rows.size(); ++row) {
      EXPECT_LE(MaxDifference(actual[row], other[row]), change)
          << "row " << row << ", batch " << batch << ", threads " << threads;
    }
  }
}

class EngineGolden : public ::testing::TestWithParam<GoldenCase> {
 protected:
  void TearDown() override { unsetenv("TRAWL_ISA"); }
};

TEST_P(EngineGolden, AnswersLikeTheReferenceRuntime) {
  const GoldenCase& tested = GetParam();
  if (IsBf16(tested) && simd::MicrokernelsFor(*simd::ChooseIsa()).bf16 == nullptr) {
    GTEST_SKIP() << "no products of bf16";
  }
  const json golden = ReadGolden();
  const json reference = FindReference(golden, tested.reference);
  ASSERT_FALSE(reference.is_null());
  ExpectAnswersOfTheReference(tested, golden, reference);
  if (!IsQuantised(tested)) return;
  const std::span<const simd::Isa> isas = simd::SupportedIsas();
  for (const simd::Isa isa : isas.first(isas.size() - 1)) {
    if (simd::MicrokernelsFor(isa).int8 == nullptr) continue;
    SCOPED_TRACE(simd::ToString(isa));
    setenv("TRAWL_ISA", std::string(simd::ToString(isa)).c_str(), 1);
    ExpectAnswersOfTheReference(tested, golden, reference);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EngineGolden, ::testing::ValuesIn(kCases),
                         [](const auto& tested) { return tested.param.name; });

TEST(EngineGoldenData, EverySharedModelIsTested) {
  const fs::path models = trawl::testing::UnpackedData() / "models";
  std::set<std::string> tested = kOthers;
  for (const GoldenCase& golden : kCases) tested.insert(golden.graph);
  for (const auto& entry : fs::recursive_directory_iterator(models)) {
    const std::string path = entry.path().lexically_relative(models).string();
    if (!path.ends_with(".onnx") && !path.ends_with("-symbol.json")) continue;
    EXPECT_TRUE(tested.contains(path)) << path << " has no test";
  }
}

ModelPackage OpenShared(const std::string& graph) {
  const auto package =
      OpenModelPackage((trawl::testing::UnpackedData() / "models" / graph).string());
  EXPECT_TRUE(package) << package.error().message();
  return package.value_or(ModelPackage());
}

/// A white stroke from one point to another on a black 28 × 28 picture.
void Draw(std::vector<float>& picture, float x0, float y0, float x1, float y1) {
  for (int y = 0; y < 28; ++y) {
    for (int x = 0; x < 28; ++x) {
      const float px = static_cast<float>(x) - x0, py = static_cast<float>(y) - y0;
      const float dx = x1 - x0, dy = y1 - y0;
      const float t = std::clamp((px * dx + py * dy) / (dx * dx + dy * dy), 0.0f, 1.0f);
      const float distance = std::hypot(px - t * dx, py - t * dy);
      float& pixel = picture[static_cast<size_t>(y * 28 + x)];
      pixel = std::max(pixel, 255 * std::clamp(2.2f - distance, 0.0f, 1.0f));
    }
  }
}

TEST(EngineGoldenData, MnistReadsDigitsThatAreDrawn) {
  const auto model = Model::Load(OpenShared("mnist/mnist.onnx"));
  ASSERT_TRUE(model) << model.error().message();
  std::vector<std::vector<float>> digits(4, std::vector<float>(28 * 28, 0));
  Draw(digits[0], 14, 5, 14, 23);  // 1
  Draw(digits[1], 8, 6, 20, 6);    // 7
  Draw(digits[1], 20, 6, 12, 23);
  Draw(digits[2], 8, 6, 8, 14);  // 4
  Draw(digits[2], 8, 14, 20, 14);
  Draw(digits[2], 18, 6, 18, 23);
  for (int i = 0; i < 12; ++i) {  // 0
    const auto angle = [](int step) { return static_cast<float>(step) * 2 * 3.14159265f / 12; };
    Draw(digits[3], 14 + 6 * std::cos(angle(i)), 14 + 8 * std::sin(angle(i)),
         14 + 6 * std::cos(angle(i + 1)), 14 + 8 * std::sin(angle(i + 1)));
  }
  const Table answers = Classify(*model, digits, 5, 1);
  const int expected[] = {1, 7, 4, 0};
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(TopK(answers[i], 1)[0].class_index, expected[i]);
  }
}

TEST(EngineGoldenData, WakeWordsSeeNoPersonInPicturesOfAnimals) {
  ModelPackage package = OpenShared("mlperf-tiny/vww-mobilenet-v1-0.25-96.onnx");
  package.preprocess.mean.assign(3, 0);
  package.preprocess.std.assign(3, 255);
  const auto model = Model::Load(package);
  ASSERT_TRUE(model) << model.error().message();
  const json golden = ReadGolden();
  std::vector<std::vector<float>> rows;
  for (const json& crop : golden["crops"]) {
    if (crop["label"].get<int>() > 397) continue;  // ImageNet's first 398 classes are animals
    const Picture picture = trawl::testing::ReadPng(trawl::testing::SharedRoot() / "golden" /
                                                    crop["png"]["128"].get<std::string>());
    Picture centre{96, 96, {}};
    for (int y = 16; y < 112; ++y) {
      const auto row = picture.pixels.begin() + (y * 128 + 16) * 3;
      centre.pixels.insert(centre.pixels.end(), row, row + 96 * 3);
    }
    rows.push_back(ToInput(centre, package.preprocess));
  }
  size_t no_person = 0;
  for (const auto& row : Classify(*model, rows, 5, 1)) {
    EXPECT_NEAR(row[0] + row[1], 1, 1e-5);
    no_person += row[0] > row[1];
  }
  EXPECT_GE(no_person * 10, rows.size() * 8) << no_person << " of " << rows.size();
}

}  // namespace
}  // namespace trawl::engine
