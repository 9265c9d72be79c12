#pragma once
// Turns a picture upright.

#include "worker/image/image.h"

namespace trawl::worker {

/// `orientation`: EXIF's 1 to 8. 1 returns `image` untouched.
Image Upright(Image image, int orientation);

}  // namespace trawl::worker
