#pragma once
// Packed weights: made once, read by all threads.

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "config/check.h"
#include "engine/limits.h"

namespace trawl::engine {

/// Uninitialised floats, 64-byte aligned. Large buffers ask for huge pages: a panel is read from
/// end to end, and a small page lasts for a microsecond.
class WeightBuffer {
 public:
  WeightBuffer() = default;
  explicit WeightBuffer(size_t floats) {
    constexpr size_t kHugePage = size_t{2} << 20;
    bytes_ = floats * sizeof(float);
    const size_t alignment = bytes_ < kHugePage ? kAlignment : kHugePage;
    const size_t rounded = (bytes_ + alignment) / alignment * alignment;
    data_.reset(static_cast<float*>(std::aligned_alloc(alignment, rounded)));
    CHECK(data_ != nullptr);
    if (alignment == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);  // only a hint
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  size_t bytes_ = 0;
};

}  // namespace trawl::engine
