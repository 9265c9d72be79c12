// Goal: PNGs of every colour type, depth and interlacing give exactly their pixels; damage of any
// kind an error. Method: rows written by libpng's encoder and unpacked by plain arithmetic here.

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "tests/support/peak_memory.h"
#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using namespace std::string_view_literals;

ObjectErrorCode CodeOf(const ObjectResult<Image>& result) {
  EXPECT_FALSE(result);
  return result ? ObjectErrorCode::kInternal : result.error().code;
}

struct Kind {
  int color_type, depth;
};

int SamplesPerPixel(int color_type) {
  switch (color_type) {
    case PNG_COLOR_TYPE_RGB:
      return 3;
    case PNG_COLOR_TYPE_RGB_ALPHA:
      return 4;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return 2;
    default:
      return 1;
  }
}

/// The sample as an 8-bit level: the high byte of 16, small depths stretched; palette indices as
/// they are.
uint8_t LevelAt(const uint8_t* row, int index, const Kind& kind) {
  if (kind.depth == 16) return row[index * 2];
  if (kind.depth == 8) return row[index];
  const int bit = index * kind.depth;
  const int max = (1 << kind.depth) - 1;
  const int value = row[bit / 8] >> (8 - kind.depth - bit % 8) & max;
  return static_cast<uint8_t>(kind.color_type == PNG_COLOR_TYPE_PALETTE ? value
                                                                        : value * 255 / max);
}

/// What the rows mean, by plain arithmetic.
Image Unpack(int height, int width, std::span<const uint8_t> rows, const Kind& kind) {
  const int samples = SamplesPerPixel(kind.color_type);
  const bool grey =
      kind.color_type == PNG_COLOR_TYPE_GRAY || kind.color_type == PNG_COLOR_TYPE_GRAY_ALPHA;
  Image image{.height = height, .width = width, .channels = grey ? 1 : 3, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    const uint8_t* row =
        rows.data() + rows.size() / static_cast<size_t>(height) * static_cast<size_t>(y);
    for (int x = 0; x < width; ++x) {
      const uint8_t first = LevelAt(row, x * samples, kind);
      if (kind.color_type == PNG_COLOR_TYPE_PALETTE) {
        image.pixels.insert(image.pixels.end(), {first, static_cast<uint8_t>(255 - first),
                                                 static_cast<uint8_t>(7 * first)});
      } else {
        for (int c = 0; c < image.channels; ++c)
          image.pixels.push_back(LevelAt(row, x * samples + c, kind));
      }
    }
  }
  return image;
}

TEST(Png, DecodesEveryColourTypeAndDepthExactly) {
  const Kind kinds[] = {{PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},
                        {PNG_COLOR_TYPE_GRAY, 4},        {PNG_COLOR_TYPE_GRAY, 8},
                        {PNG_COLOR_TYPE_GRAY, 16},       {PNG_COLOR_TYPE_PALETTE, 1},
                        {PNG_COLOR_TYPE_PALETTE, 2},     {PNG_COLOR_TYPE_PALETTE, 4},
                        {PNG_COLOR_TYPE_PALETTE, 8},     {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
                        {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_RGB, 8},
                        {PNG_COLOR_TYPE_RGB, 16},        {PNG_COLOR_TYPE_RGB_ALPHA, 8},
                        {PNG_COLOR_TYPE_RGB_ALPHA, 16}};
  constexpr int kHeight = 11, kWidth = 13;
  for (const Kind& kind : kinds) {
    for (const bool interlaced : {false, true}) {
      for (const bool transparent : {false, true}) {
        if (transparent && (kind.color_type & PNG_COLOR_MASK_ALPHA) != 0) continue;
        const int row_bytes = (kWidth * SamplesPerPixel(kind.color_type) * kind.depth + 7) / 8;
        const Samples rows = NoisePicture(kHeight, row_bytes, 1).pixels;
        const File file = EncodePng(kHeight, kWidth, rows,
                                    {.color_type = kind.color_type,
                                     .depth = kind.depth,
                                     .interlaced = interlaced,
                                     .transparent_color = transparent,
                                     .exif = {}});
        const auto image = DecodeImage(file, {});
        ASSERT_TRUE(image) << image.error().message << " type " << kind.color_type << " depth "
                           << kind.depth;
        const Image expected = Unpack(kHeight, kWidth, rows, kind);
        EXPECT_EQ(image->channels, expected.channels);
        EXPECT_EQ(image->pixels, expected.pixels)
            << "type " << kind.color_type << " depth " << kind.depth << " interlaced " << interlaced
            << " tRNS " << transparent;
      }
    }
  }
}

TEST(Png, ComesOutUpright) {
  const Image stored = NoisePicture(4, 7, 3);
  const auto image = DecodeImage(EncodePng(4, 7, stored.pixels, {.exif = ExifBlock(5, false)}), {});
  ASSERT_TRUE(image);
  EXPECT_EQ(image->height, 7);
  EXPECT_EQ(image->width, 4);
}

TEST(Png, IsTruncatedWhereverItIsCut) {
  const File whole = EncodePng(NoisePicture(30, 30, 3));
  for (size_t length = 8; length < whole.size(); length += 1 + whole.size() / 97) {
    const File cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_EQ(CodeOf(DecodeImage(cut, {})), ObjectErrorCode::kTruncated) << length;
  }
}

TEST(Png, IsCorruptWhenABitOfItsPixelsFlips) {
  const File whole = EncodePng(NoisePicture(30, 30, 3));
  const size_t pixels = Find(whole, "IDAT"sv);
  for (size_t at = pixels + 4; at < whole.size() - 20; at += 53) {
    File file = whole;
    file[at] ^= std::byte{0x10};
    const auto code = CodeOf(DecodeImage(file, {}));
    EXPECT_TRUE(code == ObjectErrorCode::kCorruptImage) << at;
  }
}

TEST(Png, ForgivesADamagedChunkThatIsNotPixels) {
  const Image stored = NoisePicture(5, 5, 3);
  File file = EncodePng(5, 5, stored.pixels, {.exif = ExifBlock(1, false)});
  file[Find(file, "eXIf"sv) + 30] ^= std::byte{0x10};
  const auto image = DecodeImage(file, {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->pixels, stored.pixels);
}

/// A chunk with its length and checksum.
File Chunk(std::string_view type, std::string_view start, std::span<const uint8_t> data) {
  std::string body(type);
  body += start;
  body.append(data.begin(), data.end());
  const auto append = [](uLong value, std::string& text) {
    for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(value >> shift & 0xFF);
  };
  std::string chunk;
  append(body.size() - type.size(), chunk);
  chunk += body;
  append(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())),
         chunk);
  return FileOf(chunk);
}

TEST(Png, SkipsPackedTextAndProfilesWithoutUnpackingThem) {
  const std::vector<uint8_t> zeros(16 << 20);
  std::vector<uint8_t> packed(64 << 10);
  uLongf size = packed.size();
  ASSERT_EQ(compress2(packed.data(), &size, zeros.data(), zeros.size(), 9), Z_OK);
  packed.resize(size);
  const Image stored = NoisePicture(5, 5, 3);
  const std::pair<std::string_view, std::string_view> kinds[] = {
      {"zTXt"sv, "Comment\0\0"sv}, {"iTXt"sv, "Comment\0\1\0\0\0"sv}, {"iCCP"sv, "p\0\0"sv}};
  for (const auto& [type, start] : kinds) {
    File file = EncodePng(stored);
    const File bomb = Chunk(type, start, packed);
    file.insert(file.begin() + 33, bomb.begin(), bomb.end());  // behind the header's chunk
    EXPECT_LT(testing::PeakGrowth([&] {
                const auto image = DecodeImage(file, {});
                ASSERT_TRUE(image) << type << ": " << image.error().message;
                EXPECT_EQ(image->pixels, stored.pixels);
              }),
              1 << 20)
        << type;
  }
}

/// A PNG whose header says height × width, checksum and all, over the pixels of a small picture.
File ClaimingSize(uint8_t high, uint8_t low) {
  // The chunk's checksum is over its type and data: it is made by a throw-away encoder of the
  // claimed size.
  const int side = high << 8 | low;
  const File claimed = EncodePng(1, side, std::vector<uint8_t>(static_cast<size_t>(side) * 3));
  File file = EncodePng(NoisePicture(4, 4, 3));
  std::copy(claimed.begin() + 12, claimed.begin() + 33, file.begin() + 12);
  return file;
}

TEST(Png, IsRefusedFromItsHeaderWhenTooLarge) {
  EXPECT_EQ(CodeOf(DecodeImage(ClaimingSize(0x4E, 0x20), {})), ObjectErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(DecodeImage(EncodePng(NoisePicture(8, 9, 1)), {.max_pixels = 71})),
            ObjectErrorCode::kTooLarge);
  const File bomb = ClaimingSize(0x4E, 0x20);
  EXPECT_LT(testing::PeakGrowth([&] { EXPECT_FALSE(DecodeImage(bomb, {})); }), 1 << 20);
}

TEST(Png, IsTruncatedWhenItsBytesCannotHoldThePixelsThatItPromises) {
  File file = EncodePng(200, 16'000, std::vector<uint8_t>(200 * 16'000 * 3));
  EXPECT_TRUE(DecodeImage(file, {}));
  // The same header over next to no pixels.
  const size_t pixels = Find(file, "IDAT"sv);
  for (size_t i = 0; i < 3; ++i) file[pixels - 4 + i] = std::byte{0};
  file[pixels - 1] = std::byte{9};
  const auto image = DecodeImage(file, {});
  EXPECT_EQ(CodeOf(image), ObjectErrorCode::kTruncated);
  EXPECT_NE(image.error().message.find("cannot hold"), std::string::npos) << image.error().message;
}

TEST(Png, IsUnsupportedWithACriticalChunkThatNobodyKnows) {
  File file = EncodePng(NoisePicture(4, 4, 3));
  const File chunk = FileOf("\0\0\0\4CgBI\x50\0\x20\2\x2B\xD5\xB3\x7F"sv);
  file.insert(file.begin() + 8, chunk.begin(), chunk.end());
  const auto image = DecodeImage(file, {});
  EXPECT_EQ(CodeOf(image), ObjectErrorCode::kUnsupportedFormat);
  EXPECT_NE(image.error().message.find("CgBI"), std::string::npos);
}

}  // namespace
}  // namespace trawl::worker
