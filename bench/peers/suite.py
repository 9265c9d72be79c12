"""What is measured: models, batches and who takes part."""

import dataclasses
import lzma
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Row:
    """One line of the table: a model at a batch, for images per second or for a short answer."""

    name: str
    onnx: str  # a file, or "" when there is none
    symbol: str  # MXNet's form of the same network, or ""
    size: int
    batch: int
    latency: bool = False  # one session on all threads, not one for each
    precision: str = "fp32"  # "int8": the file is in QDQ form; "bf16": of floats rounded to it
    package: str = ""  # Trawl's, for bf16


@dataclasses.dataclass
class Contestant:
    """One way to run a model. Of a runtime's several ways at one precision, the best counts."""

    runtime: str  # "trawl", or the name of a folder of environments.py
    label: str
    precision: str = "fp32"  # "int8": in integers, and in fp32 what the file leaves in floats
    sessions: int = 1


def contestants(row, threads, runtimes):
    found = [Contestant("trawl", "Trawl", row.precision)]
    if row.precision == "bf16":
        found.append(Contestant("trawl", "Trawl"))
    same = "fp32" if row.precision == "bf16" else row.precision
    shares = [1] if row.latency or threads == 1 else [1, threads]
    for sessions in shares:
        way = "1 session" if sessions == 1 else f"{sessions} sessions"
        if row.onnx:
            found.append(Contestant("onnxruntime", way, same, sessions))
            found.append(Contestant("openvino", way, same, sessions))
            found.append(Contestant("openvino", way, "default", sessions))
    if row.symbol:
        found.append(Contestant("mxnet", "1 executor"))
    if row.onnx and same == "fp32":
        found.append(Contestant("torch", "traced and frozen"))
    return [c for c in found if c.runtime == "trawl" or c.runtime in runtimes]


# Model, files below models/ without their ending, MXNet's form, size, batch, latency.
RESNET18 = ("resnet18-imagenet/resnet18-imagenet", "resnet18-imagenet/resnet18-raw255", 224)
ROWS = (
    ("ResNet-18", *RESNET18, 8, False),
    ("ResNet-18", *RESNET18, 1, True),
    ("ResNet-50", "resnet50-imagenet/resnet50-imagenet", "", 224, 8, False),
    ("MobileNetV2", *["mobilenet-v2-imagenet/mobilenet-v2-1.0-224"] * 2, 224, 8, False),
    ("SqueezeNet 1.0", *["squeezenet-imagenet/squeezenet1.0"] * 2, 227, 8, False),
    ("MobileNet-v1 0.25", *["mobilenet-v1-imagenet/mobilenet-v1-0.25-128"] * 2, 128, 8, False),
    ("CIFAR ResNet-20", *["resnet-cifar10/resnet20-cifar10"] * 2, 32, 32, False),
    ("CIFAR ResNet-56", "resnet-cifar10/resnet56-cifar10", "", 32, 32, False),
)

# Model, files below models/ without their ending, batch. Where there is no -qdq.onnx, `trawl model
# quantize` makes one.
INT8_ROWS = (
    ("ResNet-18", "resnet18-imagenet/resnet18-imagenet", 8),
    ("ResNet-50", "resnet50-imagenet/resnet50-imagenet", 8),
    ("MobileNetV2", "mobilenet-v2-imagenet/mobilenet-v2-1.0-224", 8),
    ("SqueezeNet 1.0", "squeezenet-imagenet/squeezenet1.0", 8),
    ("MobileNet-v1 0.25", "mobilenet-v1-imagenet/mobilenet-v1-0.25-128", 8),
)


def shared_folder():
    return pathlib.Path(os.environ.get("TRAWL_SHARED", SOURCE.parent / "shared"))


def is_shared(name):
    packed = shared_folder() / "models" / f"{name}.xz"
    return packed.exists() or packed.with_suffix("").exists()


def unpacked(name, folder):
    """The model file, unpacked into `folder` if it is packed."""
    shared = shared_folder() / "models"
    if (shared / name).exists():
        return str(shared / name)
    target = folder / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        with lzma.open(shared / f"{name}.xz") as packed, open(partial, "wb") as file:
            shutil.copyfileobj(packed, file)
        partial.rename(target)
    return str(target)


def standard_rows(folder):
    rows = []
    for name, onnx, symbol, size, batch, latency in ROWS:
        if symbol:
            unpacked(f"{symbol}-0000.params", folder)
            symbol = unpacked(f"{symbol}-symbol.json", folder)
        rows.append(Row(name, unpacked(f"{onnx}.onnx", folder), symbol, size, batch, latency))
    return rows


def quantised(name, folder, trawl):
    """The model in QDQ form, made once. Speed does not depend on how well it answers."""
    package = folder / f"{name}-int8"
    if not package.exists():
        print(f"quantising {name} …", file=sys.stderr, flush=True)
        command = [str(trawl), "model", "quantize", unpacked(f"{name}.onnx", folder)]
        command += ["--calibrate", str(shared_folder() / "images" / "imagenet"), "--pictures=16"]
        command += ["--layer-error=100", "--out", str(package)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(next(package.glob("*.onnx")))


def with_bf16(row, folder, trawl):
    """The row for bf16, with a package that is made once."""
    package = folder / f"{pathlib.Path(row.onnx).stem}-bf16"
    if not package.exists():
        command = [str(trawl), "model", "quantize", row.onnx, "--precision", "bf16"]
        subprocess.run(command + ["--out", str(package)], check=True, stdout=subprocess.DEVNULL)
    return dataclasses.replace(row, precision="bf16", package=str(package), symbol="")


def int8_rows(folder, trawl):
    rows = []
    for name, files, batch in INT8_ROWS:
        shared = is_shared(f"{files}-qdq.onnx")
        onnx = unpacked(f"{files}-qdq.onnx", folder) if shared else quantised(files, folder, trawl)
        rows.append(Row(name, onnx, "", 0, batch, precision="int8"))
    return rows


def rows_of(files, size, batches, precision):
    """Somebody's own models: each at each batch, and at batch 1 for latency."""
    rows = []
    for file in files:
        path = pathlib.Path(file).resolve()
        onnx, symbol = (str(path), "") if path.suffix == ".onnx" else ("", str(path))
        name = path.name.removesuffix(".onnx").removesuffix("-symbol.json")
        rows += [Row(name, onnx, symbol, size, batch, False, precision) for batch in batches]
        rows.append(Row(name, onnx, symbol, size, 1, True, precision))
    return rows
