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
from server import BUCKET  # noqa: E402

# Name, environment of environments.py, what it is called in the table, script and its flags.
PEERS = (
    ("ort", "tuned", "tuned Python + ONNX Runtime fp32", ["tuned.py", "--runtime=onnxruntime"]),
    ("ov", "tuned", "tuned Python + OpenVINO fp32", ["tuned.py", "--runtime=openvino"]),
    (
        "ov-default",
        "tuned",
        "tuned Python + OpenVINO as it comes",
        ["tuned.py", "--runtime=openvino", "--precision=default"],
    ),
)
PEERS_NAMES = [name for name, *_ in PEERS]
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

    def prepare(self):
        for path in self.db.parent.glob(self.db.name + "*"):
            path.unlink()


def package(folder, models):
    """Trawl's form of the model: the same file, with its labels."""
    folder.mkdir()
    shared = pathlib.Path(os.environ.get("TRAWL_SHARED", suite.SOURCE.parent / "shared"))
    onnx = suite.unpacked("resnet18-imagenet/resnet18-imagenet.onnx", models)
    shutil.copy(onnx, folder / "resnet18-imagenet.onnx")
    shutil.copy(shared / "models" / "synset.txt", folder)
    (folder / "model.yaml").write_text(MODEL_YAML, encoding="ascii")
    return folder


def trawl(options, server, model, scratch):
    db = scratch / "trawl.sqlite"
    command = [str(options.trawl), "run", f"s3://{BUCKET}/", "--model", str(model)]
    command += ["--db", str(db), "--job", "contest", "--log-level", "error"]
    environment = {**os.environ, **server.environment}
    return Contestant("trawl", "Trawl fp32", "trawl", command, environment, db)


def peer(name, title, script, python, options, server, model, scratch):
    db = scratch / f"{name}.sqlite"
    command = [str(python), str(HERE / script[0]), *script[1:]]
    command += [f"--endpoint={server.endpoint}", f"--bucket={BUCKET}", f"--db={db}"]
    command += [f"--model={model / 'resnet18-imagenet.onnx'}", f"--cores={options.threads}"]
    command += [f"--labels={model / 'synset.txt'}"]
    # A thread for each process: the processes share the cores out.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    return Contestant(name, title, "peer", command, environment, db)


def gather(options, server, scratch):
    """(contestants, {name: why it cannot take part})."""
    model = package(scratch / "model", options.environments / "models")
    found, absent = [trawl(options, server, model, scratch)], {}
    for name, environment, title, script in PEERS:
        if name not in options.contestants:
            continue
        python, problem = environments.make(environment, options.environments)
        if problem:
            absent[name] = problem
            print(f"without {title}: {problem}", file=sys.stderr)
            continue
        found.append(peer(name, title, script, python, options, server, model, scratch))
    return found, absent


def trawl_version(options):
    command = [str(options.trawl), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
