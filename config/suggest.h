#pragma once
// "Did you mean …?" for names that people type: settings, YAML keys, flags.

#include <string>
#include <string_view>
#include <vector>

namespace trawl {

/// The candidate nearest to `name` in edit distance (Levenshtein), or "" when none is near enough
/// to be meant.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);

/// "; did you mean 'batch-size'?", or "".
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace trawl
