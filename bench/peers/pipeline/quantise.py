"""The model in int8 (QDQ, a scale for each channel of weights), calibrated on photos.

quantise.py MODEL.onnx FOLDER-OF-PHOTOS OUTPUT.onnx
"""

import pathlib
import sys

import numpy
import onnx
import onnx.version_converter
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import photos

CALIBRATION_PHOTOS = 64
OPSET = 13  # the first in which each channel may have a scale of its own


class Calibration(quantization.CalibrationDataReader):
    def __init__(self, name, files):
        self.name, self.files = name, iter(files)

    def get_next(self):
        file = next(self.files, None)
        if file is None:
            return None
        tensor = numpy.zeros((1, 3, photos.SIZE, photos.SIZE), numpy.float32)
        photos.fill(tensor[0], photos.square(file.read_bytes()), normalise=True)
        return {self.name: tensor}


def main():
    model, folder, output = sys.argv[1:]
    files = sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix.lower() == ".jpeg")
    network = onnx.version_converter.convert_version(onnx.load(model), OPSET)
    name = network.graph.input[0].name
    partial = f"{output}.part"
    # Folds what would otherwise stand between a convolution and its scales.
    onnx.save(network, partial)
    quant_pre_process(partial, partial, skip_symbolic_shape=True)
    quantization.quantize_static(
        partial,
        partial,
        Calibration(name, files[:: max(1, len(files) // CALIBRATION_PHOTOS)]),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    pathlib.Path(partial).rename(output)


if __name__ == "__main__":
    main()
