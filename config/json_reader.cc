#include "config/json_reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/text.h"
#include "config/utc_time.h"

namespace trawl {
namespace {

using nlohmann::json;

constexpr size_t kMaxTextBytes = 64 << 10;  // no key, label or message that we write comes near it

/// How deep the brackets outside strings nest; looked at before parsing, because the parser has no
/// limit of its own.
int NestingDepth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<json> ParseJsonObject(std::string_view text, size_t max_bytes, int max_depth) {
  if (text.empty()) return Error(Code::kInvalidArgument, "empty");
  if (text.size() > max_bytes)
    return Error(Code::kInvalidArgument, "{} bytes; {} are allowed", text.size(), max_bytes);
  if (!IsUtf8(text)) return Error(Code::kInvalidArgument, "not UTF-8");
  if (NestingDepth(text) > max_depth)
    return Error(Code::kInvalidArgument, "JSON nested deeper than {} levels", max_depth);
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Error(Code::kInvalidArgument, "not JSON");
  if (!value.is_object()) return Error(Code::kInvalidArgument, "not a JSON object");
  return value;
}

void JsonReader::Fail(const char* name, std::string_view problem) {
  if (status_.ok())
    status_ = Status(Code::kInvalidArgument, fmt::format("{}{}: {}", path_, name, problem));
}

bool JsonReader::Has(const char* name) const { return object_.contains(name); }

const json* JsonReader::Find(const char* name) {
  const auto found = object_.find(name);
  if (found != object_.end()) return &*found;
  Fail(name, "missing");
  return nullptr;
}

std::string JsonReader::Text(const char* name) {
  const std::string base64_name = std::string(name) + "_base64";
  const bool base64 = !Has(name) && Has(base64_name.c_str());
  const json* field = Find(base64 ? base64_name.c_str() : name);
  if (field == nullptr) return "";
  const auto* text = field->get_ptr<const std::string*>();
  if (text == nullptr) {
    Fail(name, "not a string");
    return "";
  }
  if (text->size() > kMaxTextBytes) {
    Fail(name, fmt::format("{} bytes; {} are allowed", text->size(), kMaxTextBytes));
    return "";
  }
  if (!base64) return *text;
  std::optional<std::string> bytes = FromBase64(*text);
  if (!bytes) Fail(base64_name.c_str(), "not base64");
  return bytes.value_or("");
}

std::string JsonReader::TextOr(const char* name, std::string fallback) {
  const bool present = Has(name) || Has((std::string(name) + "_base64").c_str());
  return present ? Text(name) : fallback;
}

uint64_t JsonReader::Whole(const char* name, uint64_t min, uint64_t max) {
  const json* field = Find(name);
  if (field == nullptr) return min;
  // A literal without sign, point or exponent; 2^64 and above turn into floating point in the
  // parser.
  const auto* value = field->get_ptr<const json::number_unsigned_t*>();
  if (value != nullptr && *value >= min && *value <= max) return *value;
  Fail(name, fmt::format("not a whole number from {} to {}", min, max));
  return min;
}

double JsonReader::Number(const char* name, double min, double max) {
  const json* field = Find(name);
  if (field == nullptr) return min;
  if (field->is_number()) {
    const double value = field->get<double>();
    if (std::isfinite(value) && value >= min && value <= max) return value;
  }
  Fail(name, fmt::format("not a number from {} to {}", min, max));
  return min;
}

int64_t JsonReader::Time(const char* name) {
  const std::optional<int64_t> unix_ms = ParseUtc(Text(name));
  if (!unix_ms) Fail(name, "not a time like 2026-01-31T23:59:59.123Z");
  return unix_ms.value_or(0);
}

JsonReader JsonReader::Object(const char* name) {
  static const json kEmpty = json::object();
  const json* field = Find(name);
  const bool usable = field != nullptr && field->is_object();
  if (field != nullptr && !usable) Fail(name, "not an object");
  return {usable ? *field : kEmpty, path_ + name + ".", status_};
}

void JsonReader::ForEach(const char* name, size_t max_items,
                         const std::function<void(JsonReader)>& visit) {
  const json* field = Find(name);
  if (field == nullptr) return;
  if (!field->is_array()) return Fail(name, "not an array");
  if (field->size() > max_items)
    return Fail(name, fmt::format("{} items; {} are allowed", field->size(), max_items));
  for (size_t i = 0; i < field->size() && status_.ok(); ++i) {
    const std::string item = fmt::format("{}[{}]", name, i);
    if (!(*field)[i].is_object()) return Fail(item.c_str(), "not an object");
    visit({(*field)[i], path_ + item + ".", status_});
  }
}

}  // namespace trawl
