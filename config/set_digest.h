#pragma once
// An order-free digest of a set of objects: producer, topic and database each keep one, and equal
// digests with equal counts mean the same set. It is the sum modulo 2^128 of XXH3-128 over every
// member's identity, so it can be kept up by each side in its own order, and two partial digests
// merge by addition.

#include <cstdint>
#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl {

/// A value; not synchronised.
class SetDigest {
 public:
  void Add(std::string_view job_id, uint64_t batch_seq, uint32_t index, std::string_view key);
  void Merge(const SetDigest& other);
  /// 32 hex digits.
  std::string Hex() const;
  static Result<SetDigest> FromHex(std::string_view hex);
  friend bool operator==(const SetDigest&, const SetDigest&) = default;

 private:
  uint64_t low_ = 0;
  uint64_t high_ = 0;
};

}  // namespace trawl
