#pragma once
// model.yaml: which files make a model, how a picture becomes its input, what its output means.

#include <memory>
#include <string>

#include "config/status.h"
#include "engine/loaders/loaders.h"
#include "engine/model_package.h"

namespace trawl::engine {

/// A model.yaml that was parsed, but whose meaning may still depend on what its graph says.
class ModelYaml {
 public:
  /// Errors: kInvalidArgument with line and suggestion.
  static Result<ModelYaml> Parse(const std::string& text);
  ModelYaml(ModelYaml&&) noexcept;
  ~ModelYaml();

  Result<PackageFiles> Files() const;
  /// Fills in name, input, preprocess and output; `facts` stand in for what is left out.
  Status Describe(const GraphFacts& facts, ModelPackage& package) const;

 private:
  struct Document;
  explicit ModelYaml(std::unique_ptr<Document> document);
  std::unique_ptr<Document> document_;
};

/// The ImageNet preset at the input size that `facts` tell, or else 224 × 224: shorter side to
/// 256/224 of the input's, centre crop, ImageNet's mean and deviation. Inputs of at most 64 pixels
/// are resized to fit exactly, as their data sets (CIFAR, MNIST) are not cropped; grey inputs stay
/// 0–255. Errors: kInvalidArgument when the input is no picture.
Result<PreprocessSpec> ImageNetPreset(const GraphFacts& facts);

}  // namespace trawl::engine
