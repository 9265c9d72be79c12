// Goal: a package says all it means to say, and one that is wrong is refused with line and reason.
// Method: packages in temporary folders, around a small real graph.

#include "engine/model_package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/loaders/loaders.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/loaders/mxnet_files.h"
#include "tests/unit/engine/loaders/onnx_files.h"

namespace trawl::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using trawl::testing::TempDir;

std::string Graph(const std::string& dims = "N 3 224 224", const std::string& op = "Relu") {
  return testing::OnnxModel(13, testing::OnnxInput("data", dims) + testing::OnnxOutput("y") +
                                    "node { op_type: '" + op + "' input: 'data' output: 'y' }");
}

constexpr const char* kMinimal = "files: {graph: m.onnx}\n";

/// A folder with m.onnx, labels.txt and this model.yaml.
class ModelPackageTest : public ::testing::Test {
 protected:
  ModelPackageTest() {
    dir_.Write("m.onnx", Graph());
    dir_.Write("words.txt", "cat\r\ndog\n\n");
  }

  Result<ModelPackage> Open(const std::string& yaml) {
    dir_.Write("model.yaml", yaml);
    return OpenModelPackage(dir_.path().string());
  }

  void ExpectError(const std::string& yaml, Code code, const std::string& part) {
    const auto package = Open(yaml);
    ASSERT_FALSE(package) << yaml;
    EXPECT_EQ(package.error().code(), code) << package.error().message();
    EXPECT_THAT(package.error().message(), HasSubstr(part));
    EXPECT_EQ(package.error().message().find('\n'), std::string::npos);
  }

  TempDir dir_{"model-package"};
};

TEST_F(ModelPackageTest, ReadsEverythingThatAPackageCanSay) {
  const auto package = Open(
      "name: pets\nformat: onnx\nfiles: {graph: m.onnx}\n"
      "input: {name: data, layout: NCHW, size: [200, 224], channels: bgr}\n"
      "preprocess:\n  resize: {exact: [230, 240]}\n  filter: lanczos\n  crop: center\n"
      "  mean: [104, 117, 123]\n  std: 2\n"
      "output: {name: y, kind: probabilities}\nlabels: words.txt\n");
  ASSERT_TRUE(package) << package.error().message();
  EXPECT_EQ(package->name, "pets");
  EXPECT_EQ(package->graph_path, (dir_ / "m.onnx").string());
  EXPECT_EQ(package->input_name, "data");
  EXPECT_EQ(package->output_name, "y");
  EXPECT_EQ(package->output_kind, OutputKind::kProbabilities);
  EXPECT_THAT(package->labels, ElementsAre("cat", "dog"));
  const PreprocessSpec& spec = package->preprocess;
  EXPECT_EQ(spec.height, 200);
  EXPECT_EQ(spec.width, 224);
  EXPECT_EQ(spec.channels, ChannelOrder::kBgr);
  EXPECT_EQ(spec.resize, ResizeMode::kExact);
  EXPECT_EQ(spec.resize_height, 230);
  EXPECT_EQ(spec.resize_width, 240);
  EXPECT_EQ(spec.filter, ResizeFilter::kLanczos);
  EXPECT_TRUE(spec.crop_center);
  EXPECT_THAT(spec.mean, ElementsAre(104, 117, 123));
  EXPECT_THAT(spec.std, ElementsAre(2, 2, 2));
}

TEST_F(ModelPackageTest, TakesImageNetsPresetForWhatIsLeftOut) {
  const auto package = Open(kMinimal);
  ASSERT_TRUE(package) << package.error().message();
  EXPECT_EQ(package->name, dir_.path().filename().string());
  EXPECT_EQ(package->preprocess.height, 224);
  EXPECT_EQ(package->preprocess.resize_shorter, 256);
  EXPECT_TRUE(package->preprocess.crop_center);
  EXPECT_THAT(package->preprocess.mean, ElementsAre(123.675f, 116.28f, 103.53f));
  EXPECT_EQ(package->output_kind, OutputKind::kLogits);
}

TEST_F(ModelPackageTest, KnowsPresetsByName) {
  const auto raw = Open(std::string(kMinimal) + "preprocess: raw\n");
  ASSERT_TRUE(raw) << raw.error().message();
  EXPECT_EQ(raw->preprocess.resize, ResizeMode::kExact);
  EXPECT_FALSE(raw->preprocess.crop_center);
  EXPECT_THAT(raw->preprocess.mean, ElementsAre(0, 0, 0));
  EXPECT_THAT(raw->preprocess.std, ElementsAre(1, 1, 1));
  const auto imagenet = Open(std::string(kMinimal) + "preprocess: imagenet\n");
  ASSERT_TRUE(imagenet);
  EXPECT_EQ(imagenet->preprocess_digest, Open(kMinimal)->preprocess_digest);
  ExpectError(std::string(kMinimal) + "preprocess: imagnet\n", Code::kInvalidArgument,
              "did you mean 'imagenet'");
}

TEST_F(ModelPackageTest, NamesTheLineOfAnUnknownKeyAndTheKeyThatWasMeant) {
  const std::string yaml = std::string(kMinimal) + "preprocess:\n  filtr: area\n";
  ExpectError(yaml, Code::kInvalidArgument, "line 3: unknown key 'filtr'");
  ExpectError(yaml, Code::kInvalidArgument, "did you mean 'filter'");
  ExpectError("lables: a\n", Code::kInvalidArgument, "did you mean 'labels'");
}

TEST_F(ModelPackageTest, RefusesWhatMakesNoSense) {
  const std::string head = kMinimal;
  ExpectError("{", Code::kInvalidArgument, "line ");
  ExpectError("", Code::kInvalidArgument, "must be a map");
  ExpectError("- a\n", Code::kInvalidArgument, "must be a map");
  ExpectError("name: x\n", Code::kInvalidArgument, "'files' is missing");
  ExpectError("files: {params: m.onnx}\n", Code::kInvalidArgument, "files.graph is missing");
  ExpectError(head + head, Code::kInvalidArgument, "given twice");
  ExpectError(head + "format: caffe\n", Code::kInvalidArgument, "one of onnx, mxnet");
  ExpectError(head + "format: mxnet\n", Code::kInvalidArgument, "files.params is missing");
  ExpectError(head + "input: {size: [224]}\n", Code::kInvalidArgument, "[height, width]");
  ExpectError(head + "input: {size: -1}\n", Code::kInvalidArgument, "from 1 to");
  ExpectError(head + "input: {size: 1e9}\n", Code::kInvalidArgument, "from 1 to");
  ExpectError(head + "preprocess: {mean: [1, 2]}\n", Code::kInvalidArgument, "3 number");
  ExpectError(head + "preprocess: {mean: [1, 2, x]}\n", Code::kInvalidArgument, "a number");
  ExpectError(head + "preprocess: {mean: .nan}\n", Code::kInvalidArgument, "a number");
  ExpectError(head + "preprocess: {std: [1, 0, 1]}\n", Code::kInvalidArgument, "a number");
  ExpectError(head + "preprocess: {resize: {shorter: 100}}\n", Code::kInvalidArgument, "crop");
  ExpectError(head + "preprocess: {resize: {exact: 256}}\n", Code::kInvalidArgument,
              "crop: center");
  ExpectError(head + "preprocess: {resize: {exact: 1, shorter: 1}}\n", Code::kInvalidArgument,
              "one of");
  ExpectError(head + "labels: nowhere.txt\n", Code::kNotFound, "nowhere.txt");
}

TEST_F(ModelPackageTest, ChecksTheDigestsThatItIsGiven) {
  const std::string head = std::string(kMinimal) + "sha256: {m.onnx: ";
  ExpectError(head + std::string(64, '0') + "}\n", Code::kDataLoss, "sha256");
  ExpectError(head + "123}\n", Code::kInvalidArgument, "64 hex digits");
  ExpectError(std::string(kMinimal) + "sha256: {other.onnx: x}\n", Code::kInvalidArgument,
              "unknown key 'other.onnx'");
}

TEST_F(ModelPackageTest, DigestsFollowContentAndPreprocessing) {
  const auto first = Open(kMinimal);
  const auto again = Open(std::string("# a comment\n") + kMinimal);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->digest.size(), 64u);
  EXPECT_EQ(first->digest, again->digest);
  EXPECT_EQ(first->preprocess_digest, again->preprocess_digest);
  const auto other_mean = Open(std::string(kMinimal) + "preprocess: {mean: 1}\n");
  EXPECT_EQ(first->digest, other_mean->digest);
  EXPECT_NE(first->preprocess_digest, other_mean->preprocess_digest);
  const auto with_labels = Open(std::string(kMinimal) + "labels: words.txt\n");
  EXPECT_NE(first->digest, with_labels->digest);
  const auto in_bf16 = Open(std::string(kMinimal) + "precision: bf16\n");
  EXPECT_NE(first->digest, in_bf16->digest);
  EXPECT_EQ(first->digest, Open(std::string(kMinimal) + "precision: f32\n")->digest);
  dir_.Write("m.onnx", Graph("N 3 224 224", "Tanh"));
  EXPECT_NE(first->digest, Open(kMinimal)->digest);
}

TEST_F(ModelPackageTest, IsInF32UnlessItSaysBf16) {
  EXPECT_EQ(Open(kMinimal)->precision, Precision::kF32);
  EXPECT_EQ(Open(std::string(kMinimal) + "precision: bf16\n")->precision, Precision::kBf16);
  ExpectError(std::string(kMinimal) + "precision: fp16\n", Code::kInvalidArgument,
              "line 2: precision must be one of f32, bf16");
}

TEST_F(ModelPackageTest, TellsWhereFilesFromElsewhereReallyLie) {
  const TempDir outside("outside");
  const std::string graph = outside.Write("m.onnx", Graph()).string();
  const std::string labels = outside.Write("words.txt", "a\nb\n").string();
  fs::create_symlink(graph, dir_ / "link.onnx");
  const std::string climb = "../" + outside.path().filename().string() + "/m.onnx";
  for (const std::string& name : {climb, graph, std::string("link.onnx")}) {
    const auto package = Open("files: {graph: " + name + "}\nlabels: " + labels + "\n");
    ASSERT_TRUE(package) << package.error().message();
    EXPECT_EQ(package->graph_path, graph);
    EXPECT_EQ(package->labels_path, labels);
  }
}

TEST_F(ModelPackageTest, OpensBareFilesAtTheGraphsOwnSize) {
  dir_.Write("big.onnx", Graph("1 3 299 299", "Softmax"));
  dir_.Write("small.onnx", Graph("N 1 28 28"));
  dir_.Write("last.onnx", Graph("N 96 96 3"));
  dir_.Write("labels.txt", "a\nb\n");
  const auto big = OpenModelPackage((dir_ / "big.onnx").string());
  ASSERT_TRUE(big) << big.error().message();
  EXPECT_EQ(big->name, "big");
  EXPECT_EQ(big->preprocess.height, 299);
  EXPECT_EQ(big->preprocess.resize_shorter, 342);
  EXPECT_EQ(big->output_kind, OutputKind::kProbabilities);
  EXPECT_THAT(big->labels, ElementsAre("a", "b"));
  const auto small = OpenModelPackage((dir_ / "small.onnx").string());
  ASSERT_TRUE(small) << small.error().message();
  EXPECT_EQ(small->preprocess.channels, ChannelOrder::kGray);
  EXPECT_EQ(small->preprocess.resize, ResizeMode::kExact);
  EXPECT_EQ(small->preprocess.resize_width, 28);
  EXPECT_THAT(small->preprocess.mean, ElementsAre(0));
  const auto last = OpenModelPackage((dir_ / "last.onnx").string());
  ASSERT_TRUE(last) << last.error().message();
  EXPECT_EQ(last->preprocess.layout, TensorLayout::kNhwc);
}

TEST_F(ModelPackageTest, FindsTheParametersBesideASymbol) {
  dir_.Write("net-symbol.json",
             testing::Symbol({{"null", "data", {}, {}}, {"softmax", "prob", {}, {0}}}));
  const std::string symbol = (dir_ / "net-symbol.json").string();
  const auto missing = OpenModelPackage(symbol);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  dir_.Write("net-0007.params", testing::Params({}));
  dir_.Write("net-extra-0001.params", testing::Params({}));
  const auto package = OpenModelPackage(symbol);
  ASSERT_TRUE(package) << package.error().message();
  EXPECT_EQ(package->format, ModelFormat::kMxnet);
  EXPECT_EQ(package->params_path, (dir_ / "net-0007.params").string());
  EXPECT_EQ(package->output_kind, OutputKind::kProbabilities);
  dir_.Write("net-0008.params", testing::Params({}));
  const auto two = OpenModelPackage(symbol);
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message(), HasSubstr("several"));
}

TEST_F(ModelPackageTest, SaysWhatIsWrongWithAPath) {
  const auto expect = [](const std::string& path, Code code, const std::string& part) {
    const auto package = OpenModelPackage(path);
    ASSERT_FALSE(package);
    EXPECT_EQ(package.error().code(), code);
    EXPECT_THAT(package.error().message(), HasSubstr(part));
  };
  expect((dir_ / "nowhere").string(), Code::kNotFound, "no such file");
  fs::create_directory(dir_ / "empty");
  expect((dir_ / "empty").string(), Code::kNotFound, "no model.yaml");
  expect((dir_ / "words.txt").string(), Code::kInvalidArgument, "neither");
  dir_.Write("page.onnx", "<html>not found</html>");
  expect((dir_ / "page.onnx").string(), Code::kDataLoss, "not an ONNX file");
}

TEST_F(ModelPackageTest, LoadsOnlyGraphsThatTakeItsPictures) {
  const auto good = Open(kMinimal);
  ASSERT_TRUE(good);
  EXPECT_TRUE(LoadGraph(*good));
  const auto wrong_size = Open(std::string(kMinimal) + "input: {size: 128}\n");
  ASSERT_TRUE(wrong_size);
  const auto graph = LoadGraph(*wrong_size);
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message(), HasSubstr("takes [N, 3, 224, 224]"));
  const auto wrong_name = Open(std::string(kMinimal) + "input: {name: dada}\n");
  ASSERT_TRUE(wrong_name);
  EXPECT_THAT(LoadGraph(*wrong_name).error().message(), HasSubstr("did you mean 'data'"));
}

}  // namespace
}  // namespace trawl::engine
