#pragma once
// Reads JSON that strangers wrote: every field is checked for presence, type and size, and what is
// wrong is named by its path ("objects[3].key"). The first problem is kept; after it every read
// returns a default, so that a decoder can read all its fields in a row and look at the status
// once.

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl {

/// Parses one JSON object. Errors: kInvalidArgument (not UTF-8, not JSON, nested deeper than
/// `max_depth`, larger than `max_bytes`, not an object).
Result<nlohmann::json> ParseJsonObject(std::string_view text, size_t max_bytes, int max_depth);

/// A view of one JSON object; borrows it and `status`. Unknown fields are ignored.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, Status& status) : JsonReader(object, "", status) {}

  bool Has(const char* name) const;
  /// Any bytes: a field that is not UTF-8 travels in base64 under "<name>_base64".
  std::string Text(const char* name);
  std::string TextOr(const char* name, std::string fallback);
  /// A whole number in [min, max].
  uint64_t Whole(const char* name, uint64_t min, uint64_t max);
  /// A finite number in [min, max].
  double Number(const char* name, double min, double max);
  /// "2026-01-31T23:59:59.123Z" as Unix milliseconds.
  int64_t Time(const char* name);
  JsonReader Object(const char* name);
  /// Visits the objects of an array of at most `max_items`.
  void ForEach(const char* name, size_t max_items, const std::function<void(JsonReader)>& visit);
  /// Records a problem with field `name`, unless there was one before.
  void Fail(const char* name, std::string_view problem);

 private:
  JsonReader(const nlohmann::json& object, std::string path, Status& status)
      : object_(object), path_(std::move(path)), status_(status) {}
  /// The field, or null after recording that it is missing.
  const nlohmann::json* Find(const char* name);

  const nlohmann::json& object_;
  std::string path_;  // "" or "objects[3]."
  Status& status_;
};

}  // namespace trawl
