#include "producer/object_set.h"

namespace trawl::producer {

bool ObjectSet::Insert(uint64_t batch, uint32_t index) {
  std::vector<bool>& bitmap = bitmaps_[batch];
  if (index >= bitmap.size()) bitmap.resize(index + size_t{1});
  if (bitmap[index]) return false;
  bitmap[index] = true;
  ++size_;
  return true;
}

bool ObjectSet::Contains(uint64_t batch, uint32_t index) const {
  const auto found = bitmaps_.find(batch);
  return found != bitmaps_.end() && index < found->second.size() && found->second[index];
}

void ObjectSet::ForEach(const std::function<void(uint64_t, uint32_t)>& visit) const {
  for (const auto& [batch, bitmap] : bitmaps_) {
    for (uint32_t index = 0; index < bitmap.size(); ++index)
      if (bitmap[index]) visit(batch, index);
  }
}

}  // namespace trawl::producer
