#include "engine/arena.h"

#include <sys/mman.h>

#include "engine/limits.h"

namespace trawl::engine {

Arena::Arena(size_t size) : size_(size) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = size < kHugePage ? kAlignment : kHugePage;
  // At least one block, so that empty tensors have an address, too.
  const size_t rounded = (size + alignment) / alignment * alignment;
  bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
  if (bytes_ != nullptr && alignment == kHugePage) {
    madvise(bytes_.get(), rounded, MADV_HUGEPAGE);  // a hint; small pages do, too
  }
}

}  // namespace trawl::engine
