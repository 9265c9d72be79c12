#pragma once
// The memory of an execution's activations.

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace trawl::engine {

/// Uninitialised bytes. Large ones begin on a huge page and ask for such: every kernel walks
/// through them, and a small page lasts for a microsecond.
class Arena {
 public:
  Arena() = default;
  /// bytes() is nullptr when there is no memory for it.
  explicit Arena(size_t size);

  std::byte* bytes() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  size_t size_ = 0;
};

}  // namespace trawl::engine
