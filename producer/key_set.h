#pragma once
// Which keys were seen, in 21 to 43 bytes each (a table of 16-byte hashes, 3/8 to 3/4 full), and
// half as much again while it grows: 10^7 keys of a manifest take 268 MB, and 403 MB for a moment,
// where the keys themselves could take 10 GB.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace trawl::producer {

/// A set of 128-bit hashes (XXH3) with open addressing. Two different keys are taken for one with a
/// probability of n²/2^129: below 10^-24 for 10^7 keys. Not synchronised.
class KeySet {
 public:
  /// True when `key` was not in the set before.
  bool Insert(std::string_view key);
  size_t size() const { return size_; }

 private:
  using Hash = std::pair<uint64_t, uint64_t>;  // {0, 0} marks a free slot

  bool InsertHash(Hash hash);
  void Grow();

  std::vector<Hash> slots_;
  size_t size_ = 0;
};

}  // namespace trawl::producer
