#include "storage/object_store/http/http_message.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>

namespace trawl::storage {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

}  // namespace

void HttpHeaders::Add(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return;
  fields_.emplace_back(Lower(Trim(line.substr(0, colon))), Trim(line.substr(colon + 1)));
}

std::string_view HttpHeaders::Find(std::string_view name) const {
  for (const auto& [field, value] : fields_)
    if (field == name) return value;
  return {};
}

std::optional<uint64_t> HttpHeaders::ContentLength() const {
  const std::string_view text = Find("content-length");
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

std::string_view HttpHeaders::ETag() const {
  std::string_view tag = Find("etag");
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"')
    tag = tag.substr(1, tag.size() - 2);
  return tag;
}

std::optional<int64_t> ParseHttpDate(std::string_view text) {
  const time_t seconds = curl_getdate(std::string(text).c_str(), nullptr);
  if (seconds < 0) return std::nullopt;
  return static_cast<int64_t>(seconds) * 1'000;
}

std::string StatusName(int status) {
  const char* name = "";
  switch (status) {
    case 206:
      name = " Partial Content";
      break;
    case 301:
      name = " Moved Permanently";
      break;
    case 302:
      name = " Found";
      break;
    case 304:
      name = " Not Modified";
      break;
    case 307:
      name = " Temporary Redirect";
      break;
    case 400:
      name = " Bad Request";
      break;
    case 401:
      name = " Unauthorized";
      break;
    case 403:
      name = " Forbidden";
      break;
    case 404:
      name = " Not Found";
      break;
    case 408:
      name = " Request Timeout";
      break;
    case 410:
      name = " Gone";
      break;
    case 412:
      name = " Precondition Failed";
      break;
    case 416:
      name = " Range Not Satisfiable";
      break;
    case 429:
      name = " Too Many Requests";
      break;
    case 500:
      name = " Internal Server Error";
      break;
    case 502:
      name = " Bad Gateway";
      break;
    case 503:
      name = " Service Unavailable";
      break;
    case 504:
      name = " Gateway Timeout";
      break;
    default:
      break;
  }
  return std::to_string(status) + name;
}

}  // namespace trawl::storage
