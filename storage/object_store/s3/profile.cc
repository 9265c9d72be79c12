#include "storage/object_store/s3/profile.h"

#include <fstream>
#include <istream>

namespace trawl::storage {
namespace {

// The settings of [`section`]; none when the file has no such section.
std::optional<std::map<std::string, std::string>> ReadSection(std::istream& file,
                                                              const std::string& section) {
  std::optional<std::map<std::string, std::string>> found;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    line = TrimBlank(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[') {
      inside = line.back() == ']' && TrimBlank(line.substr(1, line.size() - 2)) == section;
      if (inside && !found) found.emplace();
      continue;
    }
    const size_t equals = line.find('=');
    if (inside && equals != std::string::npos)
      (*found)[TrimBlank(line.substr(0, equals))] = TrimBlank(line.substr(equals + 1));
  }
  return found;
}

}  // namespace

std::string TrimBlank(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Result<std::optional<Profile>> FindProfile(const Environment& environment) {
  std::string keys = environment("AWS_SHARED_CREDENTIALS_FILE");
  std::string config = environment("AWS_CONFIG_FILE");
  const std::string asked_profile = environment("AWS_PROFILE");
  const bool asked = !keys.empty() || !asked_profile.empty();
  const std::string asked_file = keys;
  const std::string folder = environment("HOME") + "/.aws/";
  if (keys.empty()) keys = folder + "credentials";
  if (config.empty()) config = folder + "config";

  Profile profile{.name = asked_profile.empty() ? "default" : asked_profile, .values = {}};
  std::ifstream keys_file(keys), config_file(config);
  if (!keys_file && (!asked_file.empty() || (asked && !config_file)))
    return Error(Code::kPermissionDenied, "the credentials file {} cannot be read", keys);
  const auto from_keys = ReadSection(keys_file, profile.name);
  // In this file alone all sections but the default one have a prefix.
  const auto from_config = ReadSection(
      config_file, profile.name == "default" ? profile.name : "profile " + profile.name);
  if (from_keys) profile.values = *from_keys;
  if (from_config) profile.values.insert(from_config->begin(), from_config->end());
  if (from_keys || from_config) return std::optional<Profile>(std::move(profile));
  if (!asked) return std::optional<Profile>();
  return Error(Code::kPermissionDenied, "{} has no profile '{}'", keys, profile.name);
}

}  // namespace trawl::storage
