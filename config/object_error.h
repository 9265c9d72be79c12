#pragma once
// Why one object has no predictions. The codes are a closed set: they are what people count and
// filter by.

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace trawl {

enum class ObjectErrorCode {
  kNotFound,   // 404 between listing and download
  kForbidden,  // credentials or an allow-list refuse it
  kChanged,    // size or ETag differ from the listing
  kThrottled,  // the store kept asking to slow down
  kHttpError,  // any other answer that is not the object
  kTimeout,
  kTruncated,  // the body ended early
  kChecksumMismatch,
  kNotAnImage,         // the bytes are none of the image formats (an HTML page, an empty object)
  kUnsupportedFormat,  // an image, of a format or variant that is not decoded
  kCorruptImage,
  kTooLarge,  // over a limit on bytes, sides or pixels
  kTooManyScans,
  kDecoderCrash,  // the process that decoded it did not survive it
  kModelError,  // the model cannot be loaded, or cannot take the image
  kCancelled,   // the job was cancelled before its turn came
  kInternal,
};

/// Snake-case name, as in records, SQL and metrics: "not_an_image".
std::string_view ToString(ObjectErrorCode code);
std::optional<ObjectErrorCode> ParseObjectErrorCode(std::string_view name);
/// All of them.
std::vector<std::string> ObjectErrorNames();

struct ObjectError {
  ObjectErrorCode code = ObjectErrorCode::kInternal;
  std::string message;  // one line, for people
  int attempts = 1;     // how often it was tried
};

/// A value, or why this object has none.
template <class T>
using ObjectResult = tl::expected<T, ObjectError>;

}  // namespace trawl
