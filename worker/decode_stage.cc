#include "worker/decode_stage.h"

#include <utility>

namespace trawl::worker {
namespace {

ObjectResult<std::vector<float>> ToInput(const std::vector<std::byte>& bytes,
                                         const engine::Model& model, const ImageLimits& limits) {
  ObjectResult<Image> image = DecodeImage(bytes, limits);
  if (!image) return tl::unexpected(std::move(image.error()));
  std::vector<float> input(model.input_size());
  auto prepared = Preprocess(*image, model.package().preprocess, input);
  if (!prepared) return tl::unexpected(std::move(prepared.error()));
  return input;
}

}  // namespace

std::optional<PreparedImage> Decode(FetchedObject object, const ImageLimits& limits,
                                    StageTimes& times) {
  if (object.item.cancelled()) return std::nullopt;
  const BusyScope busy(times.decode);
  ObjectResult<std::vector<float>> input = ToInput(object.bytes, *object.model, limits);
  object.item.timings().decode_ms = busy.elapsed_ms();
  if (!input) {
    object.item.Fail(std::move(input.error()));
    return std::nullopt;
  }
  return PreparedImage{std::move(object.item), std::move(object.model), std::move(*input)};
}

}  // namespace trawl::worker
