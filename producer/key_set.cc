#include "producer/key_set.h"

#include <xxhash.h>

namespace trawl::producer {
namespace {

constexpr size_t kFirstSlots = 1024;

}  // namespace

bool KeySet::Insert(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  // The one hash in 2^128 that would look like a free slot takes its neighbour's place.
  const Hash entry =
      hash.low64 == 0 && hash.high64 == 0 ? Hash{1, 0} : Hash{hash.low64, hash.high64};
  if (size_ + 1 > slots_.size() / 4 * 3) Grow();
  if (!InsertHash(entry)) return false;
  ++size_;
  return true;
}

bool KeySet::InsertHash(Hash hash) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash.first & mask;
  while (slots_[at] != Hash{}) {
    if (slots_[at] == hash) return false;
    at = (at + 1) & mask;
  }
  slots_[at] = hash;
  return true;
}

void KeySet::Grow() {
  std::vector<Hash> old(slots_.empty() ? kFirstSlots : slots_.size() * 2);
  old.swap(slots_);
  for (const Hash& hash : old)
    if (hash != Hash{}) InsertHash(hash);
}

}  // namespace trawl::producer
