"""Large pictures with little effort: a PNG, and JPEGs of both kinds, by the standard library alone.

JPEGs repeat one row of blocks between restart markers, so that what is computed is one row, and
what a decoder has to do is all of it.
"""

import random
import struct
import zlib

_RGB = 2
_SOI, _EOI, _RST0, _DRI = 0xD8, 0xD9, 0xD0, 0xDD
_DQT, _DHT, _SOF0, _SOF2, _SOS = 0xDB, 0xC4, 0xC0, 0xC2, 0xDA
_COMPONENTS = (1, 2, 3)
_CODE_BITS = 4  # of each symbol of both Huffman tables, which are the sizes of what follows
_SYMBOLS = bytes(range(12))
_END_OF_BLOCK = 0


def png(width, height, seed=0):
    """Noise of two bits in each byte: a file of about a quarter of the pixels' bytes."""
    noise = random.Random(seed).randbytes(1 << 20).translate(bytes(i & 3 for i in range(256)))
    row = 3 * width
    packer = zlib.compressobj(1)
    packed = [
        packer.compress(b"\0" + noise[at : at + row])
        for at in (7919 * y % (len(noise) - row) for y in range(height))
    ]
    header = struct.pack("!IIBBBBB", width, height, 8, _RGB, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(packed) + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def jpeg(width, height, progressive=False, seed=0):
    """Colour, not subsampled; sides are multiples of 8. Progressive: one scan for the means of the
    blocks, and one a component for the rest."""
    dice = random.Random(seed)
    row = [[_block(dice) for _ in _COMPONENTS] for _ in range(width // 8)]
    interval = struct.pack("!H", width // 8)
    size = struct.pack("!BHHB", 8, height, width, len(_COMPONENTS))
    frame = size + b"".join(bytes((each, 0x11, 0)) for each in _COMPONENTS)
    lengths = bytes(len(_SYMBOLS) if i == _CODE_BITS else 0 for i in range(1, 17))
    tables = [bytes((kind << 4,)) + lengths + _SYMBOLS for kind in (0, 1)]
    parts = [
        bytes((0xFF, _SOI)),
        _segment(_DQT, b"\0" + b"\x10" * 64),
        *(_segment(_DHT, table) for table in tables),
        _segment(_SOF2 if progressive else _SOF0, frame),
        _segment(_DRI, interval),
    ]
    # What a scan holds: components, first and last coefficient.
    scans = [((0, 1, 2), 0, 63)]
    if progressive:
        scans = [((0, 1, 2), 0, 0), *(((each,), 1, 63) for each in range(3))]
    for components, first, last in scans:
        head = bytes((len(components),)) + b"".join(bytes((1 + i, 0)) for i in components)
        parts.append(_segment(_SOS, head + bytes((first, last, 0))))
        bits = (_bits(mcu[i], first, last) for mcu in row for i in components)
        coded = _stuffed("".join(bits))
        rows = height // 8
        parts += [coded + bytes((0xFF, _RST0 + i % 8)) for i in range(rows - 1)] + [coded]
    return b"".join(parts) + bytes((0xFF, _EOI))


def _block(dice):
    """What the mean differs by from the block's before, and the first few coefficients."""
    return [dice.randint(-3, 3), *(dice.choice((-5, -2, 2, 6)) for _ in range(9))]


def _segment(marker, data):
    return struct.pack("!BBH", 0xFF, marker, 2 + len(data)) + data


def _bits(block, first, last):
    values = block[first : last + 1]
    coded = "".join(map(_coded, values))
    return coded + (_symbol(_END_OF_BLOCK) if last > 0 else "")


def _coded(value):
    size = abs(value).bit_length()
    bits = value if value >= 0 else value + (1 << size) - 1
    return _symbol(size) + (format(bits, f"0{size}b") if size else "")


def _symbol(symbol):
    return format(symbol, f"0{_CODE_BITS}b")


def _stuffed(bits):
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
