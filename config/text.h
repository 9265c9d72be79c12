#pragma once
// Bytes that have to travel as text: is it UTF-8, and base64 for when it is not.

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

}  // namespace trawl
