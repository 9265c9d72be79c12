#include "config/set_digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

namespace trawl {
namespace {

void AppendLittleEndian(std::string& bytes, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
}

}  // namespace

void SetDigest::Add(std::string_view job_id, uint64_t batch_seq, uint32_t index,
                    std::string_view key) {
  // Framed by the job id's length, so that no two identities share their bytes.
  std::string identity;
  identity.reserve(8 + job_id.size() + 8 + 4 + key.size());
  AppendLittleEndian(identity, job_id.size(), 8);
  identity += job_id;
  AppendLittleEndian(identity, batch_seq, 8);
  AppendLittleEndian(identity, index, 4);
  identity += key;
  const XXH128_hash_t hash = XXH3_128bits(identity.data(), identity.size());
  SetDigest member;
  member.low_ = hash.low64;
  member.high_ = hash.high64;
  Merge(member);
}

void SetDigest::Merge(const SetDigest& other) {
  low_ += other.low_;
  high_ += other.high_ + (low_ < other.low_ ? 1 : 0);
}

std::string SetDigest::Hex() const { return fmt::format("{:016x}{:016x}", high_, low_); }

Result<SetDigest> SetDigest::FromHex(std::string_view hex) {
  SetDigest digest;
  const auto read = [](std::string_view part, uint64_t& value) {
    const char* const end = part.data() + part.size();
    return std::from_chars(part.data(), end, value, 16).ptr == end;
  };
  if (hex.size() != 32 || !read(hex.substr(0, 16), digest.high_) ||
      !read(hex.substr(16), digest.low_)) {
    return Error(Code::kInvalidArgument, "a digest has 32 hex digits");
  }
  return digest;
}

}  // namespace trawl
