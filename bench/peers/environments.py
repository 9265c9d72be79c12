"""The peers' virtual environments, made once and kept below build/peers."""

import os
import pathlib
import shutil
import subprocess
import sys

PHOTOS = ["simplejpeg", "opencv-python-headless"]
PACKAGES = {
    "onnxruntime": ["onnxruntime", "numpy"],
    "openvino": ["openvino", "numpy"],
    "mxnet": ["mxnet==1.9.1", "numpy<1.24"],
    "torch": ["torch", "onnx2torch", "numpy"],
}
# Of the contestants in pipeline/.
PIPELINES = {
    "tuned": ["onnxruntime", "openvino", "onnx", "numpy", "aiohttp", *PHOTOS],
    "spark": ["mxnet==1.9.1", "numpy<1.24", "pyspark==3.5.5", *PHOTOS],
    "celery": ["celery[redis]", "onnxruntime", "numpy", *PHOTOS],
    "ray": ["ray[data]", "onnxruntime", "numpy", *PHOTOS],
}
# MXNet's last release knows no later Python.
VERSIONS = {"mxnet": ("3.9", "3.8", "3.7"), "spark": ("3.9",)}


# Runtimes without a switch for the instruction set, which are told that there is no AVX-512.
SWITCHLESS = ("onnxruntime", "mxnet", "torch")


def held_to_avx2(folder):
    """What holds a process of SWITCHLESS to AVX2: variables of its environment."""
    library = folder / "hold_to_avx2.so"
    source = pathlib.Path(__file__).resolve().parent / "hold_to_avx2.c"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library.resolve())}


def runs(python):
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def interpreter_for(runtime):
    """A Python that the runtime runs on, from the path or from pyenv, or None."""
    if runtime not in VERSIONS:
        return sys.executable
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for version in VERSIONS[runtime]:
        found = [shutil.which(f"python{version}")]
        found += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
        for python in found:
            if python and runs(python):
                return str(python)
    return None


def make(runtime, folder):
    """Installs the runtime. Returns its Python, or a reason why there is none."""
    python = folder / runtime / "bin" / "python"
    if (folder / runtime / "complete").exists():
        return python, None
    interpreter = interpreter_for(runtime)
    if interpreter is None:
        return None, "it needs Python " + " or ".join(VERSIONS[runtime])
    print(f"installing {runtime} …", file=sys.stderr, flush=True)
    commands = (
        [interpreter, "-m", "venv", "--clear", str(folder / runtime)],
        [str(python), "-m", "pip", "install", "--quiet", *{**PACKAGES, **PIPELINES}[runtime]],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["it says nothing"]
            return None, f"installing {runtime}: {lines[-1]}"
    (folder / runtime / "complete").touch()
    return python, None
