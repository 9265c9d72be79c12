#include "ops/cli/truth.h"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace trawl::ops {
namespace {

std::optional<int> ParseClass(const std::string& text, const std::vector<std::string>& labels) {
  const auto label = std::ranges::find(labels, text);
  if (label != labels.end()) return static_cast<int>(label - labels.begin());
  int index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index < 0) return std::nullopt;
  return index;
}

}  // namespace

Result<Truth> Truth::Read(const std::string& path, const std::vector<std::string>& labels) {
  std::ifstream file(path);
  if (!file) return Error(Code::kNotFound, "reading labels {}: no such file", path);
  Truth truth;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const size_t tab = line.find('\t');
    const size_t end = std::min(line.find('\t', tab + 1), line.size());
    if (tab == std::string::npos) {
      return Error(Code::kInvalidArgument, "reading labels {}: line {} has no tab", path, number);
    }
    const std::string name = line.substr(tab + 1, end - tab - 1);
    const auto index = ParseClass(name, labels);
    if (index) {
      truth.classes_[line.substr(0, tab)] = *index;
    }
  }
  if (truth.classes_.empty()) {
    return Error(Code::kInvalidArgument,
                 "reading labels {}: no line names one of the model's classes", path);
  }
  return truth;
}

std::optional<int> Truth::ClassOf(std::string_view key) const {
  const auto found = classes_.find(key);
  if (found == classes_.end()) return std::nullopt;
  return found->second;
}

}  // namespace trawl::ops
