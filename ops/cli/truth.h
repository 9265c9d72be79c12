#pragma once
// Which class each picture really is, as people wrote it down.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"

namespace trawl::ops {

/// A value; thread-safe once read.
class Truth {
 public:
  /// Lines of key, tab, class, and perhaps more columns; the class is a number, or a name of
  /// `labels`. Lines with another class (a heading, pictures that are none) do not count. Errors:
  /// kNotFound; kInvalidArgument for a line without a tab, or when no line counts.
  static Result<Truth> Read(const std::string& path, const std::vector<std::string>& labels);

  std::optional<int> ClassOf(std::string_view key) const;

 private:
  std::map<std::string, int, std::less<>> classes_;
};

}  // namespace trawl::ops
