#include "worker/decode_stage.h"

#include <utility>

#include "worker/image/footprint.h"

namespace trawl::worker {

std::optional<PreparedImage> Decode(FetchedObject object, DecoderPool& pictures, Budget& memory,
                                    std::stop_token stop, StageTimes& times) {
  if (object.item.cancelled()) return std::nullopt;
  const size_t bytes = DecodingBytes(object.bytes, pictures.limits());
  if (!memory.Acquire(bytes, std::move(stop))) return std::nullopt;
  const Reservation held(memory, bytes);
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
