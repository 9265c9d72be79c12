#include "config/object_error.h"

#include <array>
#include <utility>

namespace trawl {
namespace {

constexpr std::array<std::pair<ObjectErrorCode, std::string_view>, 17> kNames{{
    {ObjectErrorCode::kNotFound, "not_found"},
    {ObjectErrorCode::kForbidden, "forbidden"},
    {ObjectErrorCode::kChanged, "changed"},
    {ObjectErrorCode::kThrottled, "throttled"},
    {ObjectErrorCode::kHttpError, "http_error"},
    {ObjectErrorCode::kTimeout, "timeout"},
    {ObjectErrorCode::kTruncated, "truncated"},
    {ObjectErrorCode::kChecksumMismatch, "checksum_mismatch"},
    {ObjectErrorCode::kNotAnImage, "not_an_image"},
    {ObjectErrorCode::kUnsupportedFormat, "unsupported_format"},
    {ObjectErrorCode::kCorruptImage, "corrupt_image"},
    {ObjectErrorCode::kTooLarge, "too_large"},
    {ObjectErrorCode::kTooManyScans, "too_many_scans"},
    {ObjectErrorCode::kDecoderCrash, "decoder_crash"},
    {ObjectErrorCode::kModelError, "model_error"},
    {ObjectErrorCode::kCancelled, "cancelled"},
    {ObjectErrorCode::kInternal, "internal"},
}};

}  // namespace

std::string_view ToString(ObjectErrorCode code) {
  for (const auto& [value, name] : kNames)
    if (value == code) return name;
  return "internal";
}

std::vector<std::string> ObjectErrorNames() {
  std::vector<std::string> names;
  for (const auto& [value, name] : kNames) names.emplace_back(name);
  return names;
}

std::optional<ObjectErrorCode> ParseObjectErrorCode(std::string_view name) {
  for (const auto& [value, text] : kNames)
    if (text == name) return value;
  return std::nullopt;
}

}  // namespace trawl
