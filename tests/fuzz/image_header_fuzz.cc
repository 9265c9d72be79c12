// Goal: what reads a picture's header without a library, some of it outside the sandbox, reads
// nothing beyond the bytes and asks for no more memory than the limits allow. Method: libFuzzer;
// the input is the object's bytes, and an EXIF block as well.

#include <cstdint>

#include "config/check.h"
#include "worker/image/exif.h"
#include "worker/image/footprint.h"
#include "worker/image/sniff.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trawl::worker;
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const ImageLimits limits;
  // Pixels of three bytes, the copy that turns them, and 16-bit coefficients.
  CHECK(DecodingBytes(bytes, limits) <= static_cast<size_t>(limits.max_pixels) * 16);
  const auto format = SniffFormat(bytes);
  if (!format) {
    CHECK(!format.error().message.empty());
    CHECK(DecodingBytes(bytes, limits) == 0);
  }
  const int orientation = ExifOrientation(bytes);
  CHECK(orientation >= 1 && orientation <= 8);
  return 0;
}
