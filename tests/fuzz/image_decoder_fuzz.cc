// Goal: no bytes crash a decoder, hang it, make it write beyond its picture or take memory that was
// not reserved, and the same bytes always get the same verdict. Method: libFuzzer; the input is the
// object, decoded as a whole and for a model. A PNG's checksums are put right after most mutations,
// since libpng looks at nothing behind a wrong one.

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "config/check.h"
#include "worker/image/byte_reader.h"
#include "worker/image/footprint.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

constexpr size_t kPngSignature = 8, kChunkOverhead = 12;  // length, type, checksum

void CheckVerdicts(Bytes bytes) {
  const ImageLimits limits{.max_side = 2'000, .max_pixels = 250'000, .max_jpeg_scans = 20};
  engine::PreprocessSpec spec;
  spec.height = spec.width = 16;
  spec.resize_shorter = 24;
  Samples levels(3 * 16 * 16);
  const auto whole = DecodeImage(bytes, limits);
  const auto part = PrepareImage(bytes, limits, spec, levels);
  CHECK(whole.has_value() == part.has_value());
  if (whole) {
    CHECK(int64_t{whole->width} * whole->height <= limits.max_pixels);
    CHECK(whole->pixels.size() ==
          static_cast<size_t>(whole->width) * static_cast<size_t>(whole->height * whole->channels));
    CHECK(DecodingBytes(bytes, limits) >= whole->pixels.size());
  } else {
    CHECK(whole.error().code == part.error().code);
    CHECK(whole.error().code != ObjectErrorCode::kInternal);
    CHECK(!whole.error().message.empty());
  }
}

uint32_t BigEndian(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

/// Each whole chunk's, up to the first that is not whole.
void MendChecksums(uint8_t* data, size_t size) {
  for (size_t at = kPngSignature; at + kChunkOverhead <= size;) {
    const size_t length = BigEndian(data + at);
    if (length > size - at - kChunkOverhead) return;
    const auto checksum =
        static_cast<uint32_t>(crc32(0, data + at + 4, static_cast<uInt>(length + 4)));
    for (size_t i = 0; i < 4; ++i)
      data[at + 8 + length + i] = static_cast<uint8_t>(checksum >> (24 - 8 * i));
    at += kChunkOverhead + length;
  }
}

}  // namespace
}  // namespace trawl::worker

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  constexpr unsigned kLeftWrong = 8;  // one in so many
  size = LLVMFuzzerMutate(data, size, max_size);
  const bool png = size >= 4 && std::memcmp(data, "\x89PNG", 4) == 0;
  if (png && seed % kLeftWrong != 0) trawl::worker::MendChecksums(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trawl::worker::CheckVerdicts({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
