#include "config/json_writer.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "config/text.h"

namespace trawl {
namespace {

constexpr size_t kMaxMessageBytes = 512;

/// One line of bounded length, cut between characters.
std::string OneLine(std::string message) {
  for (char& c : message)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  if (message.size() <= kMaxMessageBytes) return message;
  size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  return message.substr(0, end) + "…";
}

}  // namespace

void PutText(JsonObject& object, const std::string& name, const std::string& bytes) {
  if (IsUtf8(bytes)) {
    object[name] = bytes;
  } else {
    object[name + "_base64"] = ToBase64(bytes);
  }
}

void PutTextUnlessEmpty(JsonObject& object, const std::string& name, const std::string& bytes) {
  if (!bytes.empty()) PutText(object, name, bytes);
}

JsonObject ToJson(const std::vector<Prediction>& predictions) {
  JsonObject list = JsonObject::array();
  for (const Prediction& prediction : predictions) {
    JsonObject item;
    item["class"] = prediction.class_index;
    PutTextUnlessEmpty(item, "label", prediction.label);
    item["probability"] = ShortestDouble(prediction.probability);
    list.push_back(std::move(item));
  }
  return list;
}

JsonObject ToJson(const ObjectError& error) {
  JsonObject item;
  item["code"] = ToString(error.code);
  PutText(item, "message", OneLine(error.message));
  item["attempts"] = error.attempts;
  return item;
}

std::string Dump(const JsonObject& object) {
  return object.dump(-1, ' ', /*ensure_ascii=*/false, JsonObject::error_handler_t::replace);
}

}  // namespace trawl
