#include "worker/decode_stage.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "worker/image/footprint.h"

namespace trawl::worker {

std::vector<PreparedImage> Decode(std::vector<FetchedObject> objects, DecoderPool& pictures,
                                  Budget& memory, std::stop_token stop) {
  std::erase_if(objects, [](const FetchedObject& object) { return object.item.cancelled(); });
  if (objects.empty()) return {};
  std::vector<Bytes> files;
  size_t most = 0;
  for (const FetchedObject& object : objects) {
    files.emplace_back(object.bytes);
    most = std::max(most, DecodingBytes(object.bytes, pictures.limits()));
  }
  if (!memory.Acquire(most, std::move(stop))) return {};
  const Reservation held(memory, most);
  const engine::Model& model = *objects.front().model;
  const auto began = std::chrono::steady_clock::now();
  std::vector<ObjectResult<Samples>> levels =
      pictures.Prepare(files, model.package().preprocess, model.input_size());
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - began;
  std::vector<PreparedImage> images;
  for (size_t i = 0; i < objects.size(); ++i) {
    auto& [item, its_model, bytes, slot, byte_share] = objects[i];
    item.timings().decode_ms = elapsed.count() / static_cast<double>(objects.size());
    if (levels[i]) {
      images.push_back({std::move(item), std::move(its_model), std::move(*levels[i])});
    } else {
      item.Fail(std::move(levels[i].error()));
    }
  }
  return images;
}

}  // namespace trawl::worker
