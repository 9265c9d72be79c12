#pragma once
// The process environment behind a seam, so that tests of credentials and endpoints bring their
// own.

#include <functional>
#include <string>

namespace trawl::storage {

/// The value of a variable, or "" when it is not set.
using Environment = std::function<std::string(const std::string& name)>;

/// This process's own.
Environment ProcessEnvironment();

}  // namespace trawl::storage
