#!/usr/bin/env python3
"""Writes resize_expectations.inc: what Pillow makes of a small picture, for resample_test.cc.

Run with Pillow 11.3.0; from 13 on it may run the two passes in the other order when the aspect
changes:
    python3 make_resize_expectations.py > resize_expectations.inc
The picture is a formula that the test repeats:
    sample (y, x, c) = ((7 y y + 13 x x + 5 x y + 31 c) * 37) mod 256
"""
from PIL import Image

FILTERS = {"kNearest": Image.NEAREST, "kBilinear": Image.BILINEAR, "kBicubic": Image.BICUBIC,
           "kArea": Image.BOX, "kLanczos": Image.LANCZOS}
# Height, width, channels, then the result's height and width: shrinking, growing, both, by whole
# factors, not at all.
SHAPES = [(17, 23, 3, 5, 7), (17, 23, 1, 5, 7), (4, 5, 3, 9, 8), (12, 12, 3, 4, 6),
          (6, 31, 1, 7, 3), (1, 9, 3, 3, 4), (40, 3, 1, 6, 3), (5, 4, 3, 5, 4)]


def sample(y, x, c):
    return ((7 * y * y + 13 * x * x + 5 * x * y + 31 * c) * 37) % 256


for height, width, channels, new_height, new_width in SHAPES:
    data = bytes(sample(y, x, c)
                 for y in range(height) for x in range(width) for c in range(channels))
    picture = Image.frombytes("RGB" if channels == 3 else "L", (width, height), data)
    for name, code in FILTERS.items():
        levels = picture.resize((new_width, new_height), code).tobytes()
        print(f"{{{height}, {width}, {channels}, {new_height}, {new_width}, ResizeFilter::{name},")
        numbers = [str(level) for level in levels]
        lines = [", ".join(numbers[i:i + 20]) for i in range(0, len(numbers), 20)]
        print(" {" + ",\n  ".join(lines) + "}},")
