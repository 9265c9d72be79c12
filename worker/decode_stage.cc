#include "worker/decode_stage.h"

#include <utility>

namespace trawl::worker {
std::optional<PreparedImage> Decode(FetchedObject object, DecoderPool& pictures,
                                    StageTimes& times) {
  if (object.item.cancelled()) return std::nullopt;
  const BusyScope busy(times.decode);
  ObjectResult<std::vector<float>> input = pictures.Prepare(
      object.bytes, object.model->package().preprocess, object.model->input_size());
  object.item.timings().decode_ms = busy.elapsed_ms();
  if (!input) {
    object.item.Fail(std::move(input.error()));
    return std::nullopt;
  }
  return PreparedImage{std::move(object.item), std::move(object.model), std::move(*input)};
}

}  // namespace trawl::worker
