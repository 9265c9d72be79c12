"""From an object's bytes to the model's input, and from its output to a top-5, as fast as Python's
libraries can: TurboJPEG at the smallest scale that suffices, and a crop before the resize.
"""

import cv2
import numpy

try:
    import simplejpeg
except ImportError:  # not for every Python
    simplejpeg = None

# Each process has its share of the processors already.
cv2.setNumThreads(1)

SHORTER, SIZE, TOP = 256, 224, 5
MEAN = numpy.array([123.675, 116.28, 103.53], numpy.float32)
STD = numpy.array([58.395, 57.12, 57.375], numpy.float32)


def decoded(data):
    """[H, W, 3] uint8, RGB, not smaller than what the model sees."""
    if simplejpeg and data[:2] == b"\xff\xd8":
        try:
            return simplejpeg.decode_jpeg(
                data,
                "RGB",
                fastdct=True,
                fastupsample=True,
                min_height=SHORTER,
                min_width=SHORTER,
            )
        except ValueError:
            pass  # CMYK, say, which OpenCV reads
    image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not an image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def square(data):
    """[SIZE, SIZE, 3] uint8: shorter side to SHORTER, the middle SIZE of it."""
    image = decoded(data)
    height, width = image.shape[:2]
    side = round(min(height, width) * SIZE / SHORTER)
    top, left = (height - side) // 2, (width - side) // 2
    crop = image[top : top + side, left : left + side]
    return cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def fill(target, image, normalise):
    """`image`: [SIZE, SIZE, 3] uint8, written to `target`, [3, SIZE, SIZE] float32."""
    for channel in range(3):
        target[channel] = image[:, :, channel]
        if normalise:
            target[channel] -= MEAN[channel]
            target[channel] /= STD[channel]


def top(outputs, logits=True):
    """For each row of [N, classes] its most probable: [(class, probability), …], best first."""
    best = numpy.argsort(-outputs, axis=1)[:, :TOP]
    if logits:
        powers = numpy.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs = powers / powers.sum(axis=1, keepdims=True)
    return [[(int(c), float(row[c])) for c in classes] for row, classes in zip(outputs, best)]


def answers(squares, run, batch, normalise=True, logits=True):
    """(key, top-5) of each (key, square), `batch` at a time. `run`: [batch, 3, …] → outputs."""
    tensor = numpy.zeros((batch, 3, SIZE, SIZE), numpy.float32)
    keys = []
    for key, image in squares:
        fill(tensor[len(keys)], image, normalise)
        keys.append(key)
        if len(keys) == batch:
            yield list(zip(keys, top(run(tensor), logits)))
            keys = []
    if keys:
        yield list(zip(keys, top(run(tensor)[: len(keys)], logits)))
