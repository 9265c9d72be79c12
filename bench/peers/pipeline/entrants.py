"""Who takes part in a contest of pipelines, and with which command."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import environments  # noqa: E402
import suite  # noqa: E402
from server import BUCKET, PHOTOS, SHARED  # noqa: E402


@dataclasses.dataclass
class Peer:
    name: str
    environment: str  # of environments.py
    title: str
    script: str
    flags: list = dataclasses.field(default_factory=list)
    needs: str = ""  # a program
    precision: str = "fp32"  # or "int8": of the Trawl that it is compared with


PEERS = (
    Peer("ort", "tuned", "tuned Python + ONNX Runtime fp32", "tuned.py", ["--runtime=onnxruntime"]),
    Peer("ov", "tuned", "tuned Python + OpenVINO fp32", "tuned.py", ["--runtime=openvino"]),
    Peer(
        "ov-default",
        "tuned",
        "tuned Python + OpenVINO as it comes",
        "tuned.py",
        ["--runtime=openvino", "--precision=default"],
    ),
    Peer(
        "ov-int8",
        "tuned",
        "tuned Python + OpenVINO int8",
        "tuned.py",
        ["--runtime=openvino", "--precision=default", "--model={int8}"],
        precision="int8",
    ),
    Peer("celery", "celery", "Celery + ONNX Runtime", "celery_job.py", needs="redis-server"),
    Peer("ray", "ray", "Ray Data + ONNX Runtime", "ray_job.py"),
    Peer(
        "spark-pool",
        "spark",
        "reference design: PySpark + MXNet, a process pool for each batch",
        "spark_mxnet.py",
        ["--pool=4", "--symbol={symbol}"],
        "java",
    ),
    Peer(
        "spark",
        "spark",
        "PySpark + MXNet without the pool",
        "spark_mxnet.py",
        ["--symbol={symbol}"],
        "java",
    ),
)
PEERS_NAMES = [peer.name for peer in PEERS]
MODEL_YAML = """\
name: resnet18-imagenet
format: onnx
files: {graph: resnet18-imagenet.onnx}
input: {size: [224, 224]}
preprocess:
  resize: {shorter: 256}
  crop: center
  mean: [123.675, 116.28, 103.53]
  std: [58.395, 57.12, 57.375]
output: {kind: logits}
labels: synset.txt
"""


@dataclasses.dataclass(eq=False)  # one of a kind, and a key
class Contestant:
    name: str
    title: str
    kind: str  # "trawl" or "peer": whose database it leaves
    command: list
    environment: dict
    db: pathlib.Path
    precision: str
    model: pathlib.Path | None = None  # Trawl's package

    def prepare(self):
        for path in self.db.parent.glob(self.db.name + "*"):
            path.unlink()


def package(folder, models):
    """Trawl's form of the model: the same file, with its labels."""
    folder.mkdir()
    onnx = suite.unpacked("resnet18-imagenet/resnet18-imagenet.onnx", models)
    shutil.copy(onnx, folder / "resnet18-imagenet.onnx")
    shutil.copy(SHARED / "models" / "synset.txt", folder)
    (folder / "model.yaml").write_text(MODEL_YAML, encoding="ascii")
    return folder


def quantised(package_folder, options):
    """The package in int8, made once by Trawl itself."""
    made = options.environments / "models" / "resnet18-imagenet" / "trawl-int8"
    if not made.exists():
        print("quantising …", file=sys.stderr, flush=True)
        command = [str(options.trawl), "model", "quantize", str(package_folder)]
        command += ["--calibrate", str(PHOTOS), "--out", str(made)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return made


def trawl(precision, model, options, server, scratch):
    name = f"trawl-{precision}"
    db = scratch / f"{name}.sqlite"
    command = [str(options.trawl), "run", f"s3://{BUCKET}/", "--model", str(model)]
    command += ["--db", str(db), "--job", "contest", "--log-level", "error"]
    environment = {**os.environ, **server.environment}
    title = f"Trawl {precision}"
    return Contestant(name, title, "trawl", command, environment, db, precision, model)


def other(peer, python, options, server, model, scratch):
    db = scratch / f"{peer.name}.sqlite"
    models = options.environments / "models"
    onnx = str(model / "resnet18-imagenet.onnx")
    forms = {"{symbol}": mxnet_form, "{int8}": lambda folder: int8_form(python, onnx, folder)}
    command = [str(python), str(HERE / peer.script), f"--model={onnx}"]
    for flag in peer.flags:
        name, _, value = flag.partition("=")
        command.append(f"{name}={forms[value](models)}" if value in forms else flag)
    command += [f"--endpoint={server.endpoint}", f"--bucket={BUCKET}", f"--db={db}"]
    command += [f"--labels={model / 'synset.txt'}", f"--cores={options.threads}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "OMP_NUM_THREADS": "1",  # the processes share the cores out
        "RAY_USAGE_STATS_ENABLED": "0",
        **{name: str(scratch) for name in ("TMPDIR", "RAY_TMPDIR", "SPARK_LOCAL_DIRS")},
    }
    return Contestant(peer.name, peer.title, "peer", command, environment, db, peer.precision)


def mxnet_form(folder):
    suite.unpacked("resnet18-imagenet/resnet18-raw255-0000.params", folder)
    return suite.unpacked("resnet18-imagenet/resnet18-raw255-symbol.json", folder)


def int8_form(python, onnx, folder):
    """Made once, by ONNX Runtime's own quantisation."""
    made = folder / "resnet18-imagenet" / "resnet18-imagenet-int8.onnx"
    if not made.exists():
        command = [str(python), str(HERE / "quantise.py"), onnx, str(PHOTOS), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"quantising: {done.stderr.strip().splitlines()[-1]}")
    return made


def python_of(peer, folder):
    """Its Python, or a reason why there is none."""
    if peer.needs and shutil.which(peer.needs) is None:
        return None, f"it needs {peer.needs}"
    return environments.make(peer.environment, folder)


def gather(options, server, scratch):
    """(contestants, {title: why it cannot take part})."""
    model = package(scratch / "model", options.environments / "models")
    packages = {"fp32": model, "int8": quantised(model, options)}
    found = [trawl(*package, options, server, scratch) for package in packages.items()]
    absent = {}
    for peer in PEERS:
        if peer.name not in options.contestants:
            continue
        python, problem = python_of(peer, options.environments)
        try:
            if problem:
                raise RuntimeError(problem)
            found.append(other(peer, python, options, server, model, scratch))
        except RuntimeError as error:
            absent[peer.title] = str(error)
            print(f"without {peer.title}: {error}", file=sys.stderr)
    return found, absent


def trawl_version(options):
    command = [str(options.trawl), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
