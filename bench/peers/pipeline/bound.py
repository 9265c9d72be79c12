"""What decoding and engine alone allow on the same cores: 1 / (1/decode + 1/infer)."""

import json
import subprocess


def decoded_per_second(options, folder):
    """Of bench/image's `prepare`, a process for each core at the same time, together."""
    command = [str(options.image_bench), str(folder), "--benchmark_filter=prepare"]
    command += ["--benchmark_format=json", f"--benchmark_min_time={options.seconds}"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(options.threads)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{options.image_bench}: it did not end well")
    return sum(json.loads(text)["benchmarks"][0]["items_per_second"] for text in outputs)


def inferred_per_second(options, model):
    command = [str(options.trawl), "model", "bench", str(model), "--json"]
    command += ["--batch=8", f"--threads={options.threads}", f"--seconds={options.seconds}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)["images_per_second"]


def measure(options, folder, models):
    """Of each model, {its name: figures}."""
    decode, bounds = decoded_per_second(options, folder), {}
    for name, model in models.items():
        infer = inferred_per_second(options, model)
        bounds[name] = {
            "decode_per_second": decode,
            "infer_per_second": infer,
            "images_per_second": 1 / (1 / decode + 1 / infer),
        }
    return bounds
