#pragma once
// A cursor over foreign bytes that cannot leave them: what the container formats (JPEG segments,
// PNG and RIFF chunks, TIFF directories) are walked with.

#include <cstddef>
#include <cstdint>

#include "worker/image/image.h"

namespace trawl::worker {

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes, bool big_endian = true)
      : bytes_(bytes), big_endian_(big_endian) {}

  size_t remaining() const { return bytes_.size() - at_; }
  size_t position() const { return at_; }

  /// Each moves on and returns true, or stays and returns false when fewer bytes remain.
  bool Skip(size_t count) {
    if (count > remaining()) return false;
    at_ += count;
    return true;
  }
  bool Take(size_t count, Bytes& taken) {
    if (count > remaining()) return false;
    taken = bytes_.subspan(at_, count);
    at_ += count;
    return true;
  }
  bool U16(uint32_t& value) { return Number(2, value); }
  bool U32(uint32_t& value) { return Number(4, value); }

 private:
  bool Number(size_t size, uint32_t& value) {
    Bytes raw;
    if (!Take(size, raw)) return false;
    value = 0;
    for (size_t i = 0; i < size; ++i)
      value = value << 8 | std::to_integer<uint32_t>(raw[big_endian_ ? i : size - 1 - i]);
    return true;
  }

  Bytes bytes_;
  bool big_endian_;
  size_t at_ = 0;
};

/// True when `bytes` begin with the characters of `prefix`; zero bytes in it are written out:
/// StartsWith(b, "Exif\0\0").
template <size_t N>
bool StartsWith(Bytes bytes, const char (&prefix)[N]) {
  if (bytes.size() < N - 1) return false;
  for (size_t i = 0; i + 1 < N; ++i)
    if (std::to_integer<unsigned char>(bytes[i]) != static_cast<unsigned char>(prefix[i]))
      return false;
  return true;
}

}  // namespace trawl::worker
