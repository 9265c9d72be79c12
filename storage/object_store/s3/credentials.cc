#include "storage/object_store/s3/credentials.h"

#include <fstream>
#include <map>
#include <optional>

namespace trawl::storage {
namespace {

class FixedCredentials final : public CredentialProvider {
 public:
  explicit FixedCredentials(Result<Credentials> credentials)
      : credentials_(std::move(credentials)) {}
  Result<Credentials> Get() override { return credentials_; }

 private:
  const Result<Credentials> credentials_;
};

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// None when neither of the two is set. Trimmed: a value that comes from a file often ends in a
// newline.
std::optional<Result<Credentials>> FromEnvironment(const Environment& environment,
                                                   const std::string& access_name,
                                                   const std::string& secret_name,
                                                   const std::string& token_name) {
  Credentials credentials{Trim(environment(access_name)), Secret(Trim(environment(secret_name))),
                          Secret(Trim(environment(token_name)))};
  if (credentials.access_key.empty() && credentials.secret_key.empty()) return std::nullopt;
  if (credentials.access_key.empty() || credentials.secret_key.empty()) {
    const bool has_access = !credentials.access_key.empty();
    return Error(Code::kPermissionDenied, "{} is set but {} is not",
                 has_access ? access_name : secret_name, has_access ? secret_name : access_name);
  }
  return credentials;
}

// The settings of one [profile]; none when the file has no such section.
std::optional<std::map<std::string, std::string>> ReadProfile(std::istream& file,
                                                              const std::string& profile) {
  std::optional<std::map<std::string, std::string>> found;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    line = Trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[') {
      inside = line.back() == ']' && Trim(line.substr(1, line.size() - 2)) == profile;
      if (inside && !found) found.emplace();
      continue;
    }
    const size_t equals = line.find('=');
    if (inside && equals != std::string::npos)
      (*found)[Trim(line.substr(0, equals))] = Trim(line.substr(equals + 1));
  }
  return found;
}

std::optional<Result<Credentials>> FromSharedFile(const Environment& environment) {
  std::string path = environment("AWS_SHARED_CREDENTIALS_FILE");
  const std::string asked_profile = environment("AWS_PROFILE");
  const bool asked = !path.empty() || !asked_profile.empty();
  const std::string profile = asked_profile.empty() ? "default" : asked_profile;
  if (path.empty()) path = environment("HOME") + "/.aws/credentials";
  std::ifstream file(path);
  if (!file) {
    if (!asked) return std::nullopt;
    return Error(Code::kPermissionDenied, "the credentials file {} cannot be read", path);
  }
  const auto values = ReadProfile(file, profile);
  if (!values) {
    if (!asked) return std::nullopt;
    return Error(Code::kPermissionDenied, "{} has no profile '{}'", path, profile);
  }
  const auto value = [&values](const char* name) {
    const auto it = values->find(name);
    return it == values->end() ? std::string() : it->second;
  };
  Credentials credentials{value("aws_access_key_id"), Secret(value("aws_secret_access_key")),
                          Secret(value("aws_session_token"))};
  if (credentials.access_key.empty() || credentials.secret_key.empty())
    return Error(Code::kPermissionDenied,
                 "profile '{}' in {} lacks aws_access_key_id or aws_secret_access_key", profile,
                 path);
  return credentials;
}

}  // namespace

std::unique_ptr<CredentialProvider> FindCredentials(const Environment& environment) {
  auto found = FromEnvironment(environment, "TRAWL_S3_ACCESS_KEY", "TRAWL_S3_SECRET_KEY",
                               "TRAWL_S3_SESSION_TOKEN");
  if (!found)
    found = FromEnvironment(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                            "AWS_SESSION_TOKEN");
  if (!found) found = FromSharedFile(environment);
  if (!found)
    found =
        Error(Code::kPermissionDenied,
              "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "
              "for a profile in ~/.aws/credentials, or --anonymous for a public bucket");
  return std::make_unique<FixedCredentials>(std::move(*found));
}

}  // namespace trawl::storage
