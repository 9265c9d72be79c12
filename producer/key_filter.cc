#include "producer/key_filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"

namespace trawl::producer {

bool KeyFilter::Takes(const std::string& key) const {
  const auto matches = [&key](const std::string& pattern) {
    return fnmatch(pattern.c_str(), key.c_str(), 0) == 0;
  };
  return (include.empty() || std::ranges::any_of(include, matches)) &&
         std::ranges::none_of(exclude, matches);
}

std::string KeyFilter::Text() const {
  if (empty()) return "";
  JsonObject text;
  for (const std::string& pattern : include) text["include"].push_back(pattern);
  for (const std::string& pattern : exclude) text["exclude"].push_back(pattern);
  PutTextUnlessEmpty(text, "start_after", start_after);
  return Dump(text);
}

}  // namespace trawl::producer
