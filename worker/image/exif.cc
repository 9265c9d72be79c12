#include "worker/image/exif.h"

namespace trawl::worker {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShort = 3, kLong = 4;  // TIFF's field types

/// Reads the value of one directory entry if it is the orientation, else leaves `orientation`.
void ReadEntry(Bytes entry, bool big_endian, int& orientation) {
  ByteReader reader(entry, big_endian);
  uint32_t tag = 0, type = 0, count = 0, value = 0;
  reader.U16(tag);
  reader.U16(type);
  reader.U32(count);
  if (tag != kOrientationTag || count != 1) return;
  // A SHORT lies in the first two of the four value bytes, whatever the byte order.
  const bool read = type == kShort ? reader.U16(value) : type == kLong && reader.U32(value);
  if (read && value >= 1 && value <= 8) orientation = static_cast<int>(value);
}

}  // namespace

int ExifOrientation(Bytes tiff) {
  if (StartsWith(tiff, "Exif\0\0")) tiff = tiff.subspan(6);
  const bool big_endian = StartsWith(tiff, "MM\0*");
  if (!big_endian && !StartsWith(tiff, "II*\0")) return 1;
  ByteReader reader(tiff, big_endian);
  uint32_t offset = 0, entries = 0;
  if (!reader.Skip(4) || !reader.U32(offset) || offset < 8) return 1;
  if (!reader.Skip(offset - 8) || !reader.U16(entries)) return 1;
  int orientation = 1;
  Bytes entry;
  // At most 65,535 entries of 12 bytes, and never past the block: only the first directory
  // describes the picture.
  for (uint32_t i = 0; i < entries && reader.Take(12, entry); ++i)
    ReadEntry(entry, big_endian, orientation);
  return orientation;
}

}  // namespace trawl::worker
