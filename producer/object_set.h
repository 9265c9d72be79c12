#pragma once
// A set of a job's objects by their identity (batch, index): a bitmap a batch, 10^6 objects in
// about 3 MB.

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace trawl::producer {

/// A value; not synchronised.
class ObjectSet {
 public:
  /// True when it was not in the set before.
  bool Insert(uint64_t batch, uint32_t index);
  bool Contains(uint64_t batch, uint32_t index) const;
  /// True when any object of the batch is in the set.
  bool ContainsBatch(uint64_t batch) const { return bitmaps_.contains(batch); }
  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// In rising order.
  void ForEach(const std::function<void(uint64_t batch, uint32_t index)>& visit) const;

 private:
  std::map<uint64_t, std::vector<bool>> bitmaps_;
  uint64_t size_ = 0;
};

}  // namespace trawl::producer
