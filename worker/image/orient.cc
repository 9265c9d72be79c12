#include "worker/image/orient.h"

#include <algorithm>
#include <cstddef>

#include "config/check.h"

namespace trawl::worker {
namespace {

/// An orientation as a walk over the stored picture: which corner the upright picture starts in,
/// and whether its rows are the stored columns.
struct Walk {
  bool from_right, from_bottom, swap_axes;
};

// EXIF names where the stored row 0 and column 0 lie in the scene: 2 mirrored, 3 upside down, 4
// flipped, 5 transposed, 6 to be turned clockwise, 7 transposed about the other diagonal, 8 to be
// turned anticlockwise.
constexpr Walk kWalks[9] = {{},
                            {false, false, false},
                            {true, false, false},
                            {true, true, false},
                            {false, true, false},
                            {false, false, true},
                            {false, true, true},
                            {true, true, true},
                            {true, false, true}};

// Square tiles keep both the rows that are read and those that are written in the first-level cache
// when the axes are swapped.
constexpr ptrdiff_t kTile = 32;

template <int kChannels>
void Copy(const uint8_t* start, ptrdiff_t step_x, ptrdiff_t step_y, Image& out) {
  const ptrdiff_t width = out.width, height = out.height;
  for (ptrdiff_t tile_y = 0; tile_y < height; tile_y += kTile) {
    for (ptrdiff_t tile_x = 0; tile_x < width; tile_x += kTile) {
      for (ptrdiff_t y = tile_y; y < std::min(tile_y + kTile, height); ++y) {
        const uint8_t* from = start + y * step_y + tile_x * step_x;
        uint8_t* to = out.pixels.data() + (y * width + tile_x) * kChannels;
        for (ptrdiff_t x = tile_x; x < std::min(tile_x + kTile, width); ++x) {
          for (int c = 0; c < kChannels; ++c) to[c] = from[c];
          to += kChannels;
          from += step_x;
        }
      }
    }
  }
}

}  // namespace

Image Upright(Image image, int orientation) {
  CHECK(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return image;
  const Walk& walk = kWalks[orientation];
  const ptrdiff_t pixel = image.channels, row = pixel * image.width;
  const uint8_t* start = image.pixels.data() + (walk.from_right ? row - pixel : 0) +
                         (walk.from_bottom ? row * (image.height - 1) : 0);
  const ptrdiff_t along_row = walk.from_right ? -pixel : pixel;
  const ptrdiff_t along_column = walk.from_bottom ? -row : row;
  Image out;
  out.channels = image.channels;
  out.width = walk.swap_axes ? image.height : image.width;
  out.height = walk.swap_axes ? image.width : image.height;
  out.pixels.resize(image.pixels.size());
  const ptrdiff_t step_x = walk.swap_axes ? along_column : along_row;
  const ptrdiff_t step_y = walk.swap_axes ? along_row : along_column;
  if (image.channels == 1) {
    Copy<1>(start, step_x, step_y, out);
  } else {
    Copy<3>(start, step_x, step_y, out);
  }
  return out;
}

}  // namespace trawl::worker
