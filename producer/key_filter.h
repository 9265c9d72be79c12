#pragma once
// Which of a source's keys a job takes.

#include <string>
#include <vector>

namespace trawl::producer {

/// Part of what makes a job the same. Patterns as in a shell: `*` and `?` match any bytes, `/` too;
/// `[…]` one of a set; a backslash takes the next character as it stands.
struct KeyFilter {
  std::vector<std::string> include = {};  // empty: every key
  std::vector<std::string> exclude = {};  // stronger than `include`
  std::string start_after = {};           // listings: only keys behind this one, in byte order

  /// Whether some pattern of `include` (or none is given) and none of `exclude` matches.
  bool Takes(const std::string& key) const;
  /// Nothing is left out.
  bool empty() const { return include.empty() && exclude.empty() && start_after.empty(); }
  /// Canonical: two filters have the same text only when they are the same. Empty when empty().
  std::string Text() const;
};

}  // namespace trawl::producer
