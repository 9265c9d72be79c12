#pragma once
// The files that AWS's tools share: ~/.aws/credentials and ~/.aws/config.

#include <map>
#include <optional>
#include <string>

#include "config/status.h"
#include "storage/object_store/environment.h"

namespace trawl::storage {

struct Profile {
  std::string name;
  std::map<std::string, std::string> values;  // of both files; the credentials file's win

  std::string Value(const std::string& setting) const {
    const auto it = values.find(setting);
    return it == values.end() ? std::string() : it->second;
  }
};

/// The profile that the environment names, or `default`. None when neither a profile nor a file was
/// asked for and there is none. Errors: kPermissionDenied, when what was asked for is not there.
Result<std::optional<Profile>> FindProfile(const Environment& environment);

/// Without white space at either end.
std::string TrimBlank(const std::string& text);

}  // namespace trawl::storage
