#include "worker/decode_stage.h"

#include <chrono>
#include <utility>

#include "worker/image/footprint.h"

namespace trawl::worker {

std::optional<PreparedImage> Decode(FetchedObject object, DecoderPool& pictures, Budget& memory,
                                    std::stop_token stop) {
  if (object.item.cancelled()) return std::nullopt;
  const size_t bytes = DecodingBytes(object.bytes, pictures.limits());
  if (!memory.Acquire(bytes, std::move(stop))) return std::nullopt;
  const Reservation held(memory, bytes);
  const auto began = std::chrono::steady_clock::now();
  ObjectResult<Samples> levels = pictures.Prepare(object.bytes, object.model->package().preprocess,
                                                  object.model->input_size());
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - began;
  object.item.timings().decode_ms = elapsed.count();
  if (!levels) {
    object.item.Fail(std::move(levels.error()));
    return std::nullopt;
  }
  return PreparedImage{std::move(object.item), std::move(object.model), std::move(*levels)};
}

}  // namespace trawl::worker
