#pragma once
// A value that must not appear in a message, a log or a record by accident.

#include <string>
#include <utility>

namespace trawl::storage {

/// Has no formatter, no comparison and no conversion: the only way to the text is to ask for it by
/// name.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  bool empty() const { return value_.empty(); }
  const std::string& Reveal() const { return value_; }

 private:
  std::string value_;
};

}  // namespace trawl::storage
