// Goal: a model package becomes a classifier, or an error that says why not. Method: a small model
// in a file.
#include "engine/model.h"

#include <cmath>
#include <numeric>
#include <thread>

#include "engine/compiled_graph.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/graphs.h"
#include "tests/unit/engine/small_model.h"

namespace trawl::engine {
namespace {

class ModelTest : public ::testing::Test {
 protected:
  static std::shared_ptr<const Model> Load(const ModelPackage& package) {
    auto model = Model::Load(package);
    EXPECT_TRUE(model.has_value()) << (model ? "" : model.error().message());
    return model ? *model : nullptr;
  }
  static std::string LoadError(const ModelPackage& package) {
    const auto model = Model::Load(package);
    return model ? "" : model.error().message();
  }

  trawl::testing::TempDir folder_;
  ModelPackage package_ = testing::WriteSmallModel(folder_.path());
};

TEST_F(ModelTest, LogitsGetASoftmax) {
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->classes(), 4);
  EXPECT_EQ(model->input_size(), 3U * 8 * 8);
  auto session = Session::Create(model, 3);
  ASSERT_TRUE(session.has_value());
  const Tensor images = testing::RandomTensor({3, 3, 8, 8}, 5);
  std::vector<float> probabilities(12);
  ASSERT_TRUE((*session)->Run(images.data<float>(), 3, probabilities).ok());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(std::accumulate(&probabilities[i * 4], &probabilities[i * 4] + 4, 0.0f), 1, 1e-6f);
  }
  EXPECT_NE(probabilities[0], probabilities[4]);
}

TEST_F(ModelTest, ProbabilitiesAreTakenAsTheyAre) {
  package_.output_kind = OutputKind::kProbabilities;
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  EXPECT_NE(model->graph().graph().nodes().back().op, "Softmax");
}

TEST_F(ModelTest, ScoresWithTrailingOnesAreFlattened) {
  package_.output_name = "scores";
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->classes(), 4);
  EXPECT_EQ(ToString(*model->graph().output(0).shape), "[N, 4]");
}

TEST_F(ModelTest, AnyNodeMayBeTheOutput) {
  package_.output_name = "features_node";
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->classes(), 8);
  package_.output_name = "r1";
  EXPECT_EQ(LoadError(package_),
            "loading model " + package_.graph_path +
                ": output 'r1' is f32 [N, 8, 8, 8]; a classifier's is f32 [N, classes]");
  package_.output_name = "logit";
  EXPECT_NE(LoadError(package_).find("did you mean 'logits'?"), std::string::npos);
}

TEST_F(ModelTest, LabelsMustMatchTheClasses) {
  package_.labels = {"a", "b", "c"};
  EXPECT_EQ(LoadError(package_), "loading model " + package_.graph_path +
                                     ": the model has 4 classes but its labels file has 3 lines");
  package_.labels = {"a", "b", "c", "d"};
  EXPECT_NE(Load(package_), nullptr);
}

TEST_F(ModelTest, SessionsOfSeveralThreadsShareOneModel) {
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  const Tensor images = testing::RandomTensor({4, 3, 8, 8}, 5);
  std::vector<std::vector<float>> answers(4, std::vector<float>(16));
  {
    std::vector<std::jthread> threads;
    for (auto& answer : answers) {
      threads.emplace_back([&]() noexcept {
        auto session = Session::Create(model, 4);
        for (int round = 0; round < 20 && session; ++round) {
          if (!(*session)->Run(images.data<float>(), 4, answer).ok()) answer.clear();
        }
      });
    }
  }
  for (const auto& answer : answers) EXPECT_EQ(answer, answers[0]);
  EXPECT_GT(answers[0][0], 0);
}

TEST_F(ModelTest, RunRefusesOtherSizes) {
  const auto model = Load(package_);
  ASSERT_NE(model, nullptr);
  auto session = Session::Create(model, 2);
  ASSERT_TRUE(session.has_value());
  const std::vector<float> images(3 * 192);
  std::vector<float> probabilities(3 * 4);
  const std::span<const float> in(images);
  const std::span<float> out(probabilities);
  EXPECT_EQ((*session)->Run(in, 3, out).code(), Code::kInvalidArgument);
  EXPECT_EQ((*session)->Run(in.first(192), 0, out.first(0)).code(), Code::kInvalidArgument);
  EXPECT_EQ((*session)->Run(in.first(191), 1, out.first(4)).code(), Code::kInvalidArgument);
  EXPECT_EQ((*session)->Run(in.first(192), 1, out.first(5)).code(), Code::kInvalidArgument);
  EXPECT_TRUE((*session)->Run(in.first(192), 1, out.first(4)).ok());
}

}  // namespace
}  // namespace trawl::engine
