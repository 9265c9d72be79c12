"""The table of a run, and its lines."""

import datetime
import json
import pathlib
import platform

# Columns: heading, runtime, hint.
COLUMNS = (
    ("Trawl", "trawl", "fp32"),
    ("ONNX Runtime fp32", "onnxruntime", "fp32"),
    ("OpenVINO fp32", "openvino", "fp32"),
    ("Trawl bf16", "trawl", "bf16"),
    ("Trawl int8", "trawl", "int8"),
    ("ONNX Runtime int8", "onnxruntime", "int8"),
    ("OpenVINO int8", "openvino", "int8"),
    ("OpenVINO as it comes", "openvino", "default"),
    ("MXNet fp32", "mxnet", "fp32"),
    ("PyTorch fp32", "torch", "fp32"),
)
INT8_NOTES = (
    "All run the same file in QDQ form. OpenVINO's own graph tells how many of its convolutions "
    "and products it runs in integers; the rest is in fp32, and as it comes in bf16. Files of "
    "`trawl model quantize` round no convolution before a residual sum; ONNX Runtime computes "
    "those in fp32."
)
BF16_NOTES = (
    "Trawl bf16: packages of `trawl model quantize --precision bf16`, whose convolutions of kernel "
    "1 and fully connected layers are in bf16, the rest in fp32. OpenVINO as it comes is in bf16."
)
NOTES = {"int8": INT8_NOTES, "bf16": BF16_NOTES}
ISA_FLAGS = (
    "avx2 fma f16c avx_vnni avx512f avx512bw avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_int8"
).split()


def processor():
    """(name, its instruction sets that matter here)."""
    name, flags = platform.machine(), []
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        if key.strip() == "flags":
            flags = [flag for flag in ISA_FLAGS if flag in value.split()]
    return name, flags


def machine_facts(options):
    name, flags = processor()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": name,
        "isa_flags": flags,
        "threads": options.threads,
        "isa_forced": options.isa,
        "precision": options.precision,
        "system": f"{platform.system()} {platform.machine()}",
    }


def best(lines, runtime, hint):
    """Of a runtime's ways at one precision, the fastest."""
    ways = [line for line in lines if (line["runtime"], line["hint"]) == (runtime, hint)]
    return max(ways, key=lambda line: line["images_per_second"], default=None)


def cell(line):
    if line is None:
        return "–"
    low, high = line["images_per_second_min"], line["images_per_second_max"]
    plain = line["hint"] == "fp32" or line["precision"] == line["hint"]
    precision = "" if plain else f" {line['precision']}"
    noisy = " ~" if line["noisy_windows"] else ""
    digits = 1 if line["images_per_second"] < 1000 else 0
    rate = f"{line['images_per_second']:.{digits}f}"
    return f"{rate} ({low:.{digits}f}–{high:.{digits}f}){precision}{noisy}"


def ratio(lines, precision, rivals):
    trawl = best(lines, "trawl", precision)
    rates = [best(lines, *rival) for rival in rivals]
    rates = [line["images_per_second"] for line in rates if line]
    return f"{trawl['images_per_second'] / max(rates):.2f}×" if trawl and rates else "–"


def of_same(precision):
    """The heading of a ratio, and whom it compares with."""
    if precision == "bf16":  # ONNX Runtime has none
        return "Trawl to its own fp32", [("trawl", "fp32")]
    rivals = [("onnxruntime", precision), ("openvino", precision)]
    return f"Trawl to the better {precision} of ONNX Runtime and OpenVINO", rivals


def markdown(facts, rows, absent):
    """`rows`: the result lines of each row of the table."""
    lines = [line for row in rows for line in row]
    shown = [column for column in COLUMNS if best(lines, *column[1:])]
    versions = {line["runtime"]: line["version"] for line in lines}
    precision = facts["precision"]
    held = f" held to {facts['isa_forced']}" if facts["isa_forced"] else ""
    text = [
        "# Trawl and its peers",
        "",
        f"{facts['date']}, {facts['cpu']} ({', '.join(facts['isa_flags'])}), {facts['threads']} "
        f"threads, {facts['system']}{held}.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        *[f"Absent: {runtime}: {reason}." for runtime, reason in absent.items()],
        "",
        "Images/s, steady state: the median of windows that were measured in turn (min–max). Of a "
        "runtime's ways to use the threads, the best counts. `~`: other processes were busy in a "
        "window. MXNet runs its own form of the same network.",
        *(["", NOTES[precision]] if precision in NOTES else []),
        "",
        "| model | batch | "
        + " | ".join(heading for heading, _, _ in shown)
        + f" | {of_same(precision)[0]} | … to OpenVINO as it comes |",
        "|---|---|" + "---|" * (len(shown) + 2),
    ]
    for row in rows:
        if not row:
            continue
        batch = f"{row[0]['batch']}{', latency' if row[0]['mode'] == 'latency' else ''}"
        cells = [cell(best(row, runtime, hint)) for _, runtime, hint in shown]
        same = ratio(row, precision, of_same(precision)[1])
        default = ratio(row, precision, [("openvino", "default")])
        text.append(f"| {row[0]['model']} | {batch} | {' | '.join(cells)} | {same} | {default} |")
    return "\n".join(text) + "\n"


def write(folder, facts, rows, absent):
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [] if facts["precision"] == "fp32" else [facts["precision"]]
    name = "-".join(["peers", *kinds, *([facts["isa_forced"]] if facts["isa_forced"] else [])])
    table = markdown(facts, rows, absent)
    (folder / f"{name}.md").write_text(table, encoding="utf-8")
    with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
        file.write(json.dumps({"machine": facts, "absent": absent}) + "\n")
        for line in (line for row in rows for line in row):
            file.write(json.dumps(line) + "\n")
    return table
