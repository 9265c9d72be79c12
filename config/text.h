#pragma once
// Values that have to travel as text: UTF-8 or not, base64 for when it is not, and floats that read
// well.

#include <optional>
#include <string>
#include <string_view>

namespace trawl {

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view bytes);

/// RFC 4648 with padding.
std::string ToBase64(std::string_view bytes);
/// None unless `text` is exactly what ToBase64 writes.
std::optional<std::string> FromBase64(std::string_view text);

/// The double whose shortest decimal form is the shortest one of `value`: 0.1, not
/// 0.10000000149011612. Converting it back to float gives `value`.
double ShortestDouble(float value);

}  // namespace trawl
