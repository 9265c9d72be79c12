"""The table of a contest of pipelines, and its lines."""

import json
import statistics

FIGURES = (
    "images_per_second_steady",
    "images_per_second_whole",
    "seconds",
    "first_result_s",
    "cpu_ms_per_image",
    "server_cpu_ms_per_image",
    "rss_mib",
    "pss_mib",
    "foreign_share",
)
# A run in which other processes took more of the machine than this is marked.
FOREIGN_SHARE_MAX = 0.04
HEADER = (
    "| pipeline | images/s steady | whole | Trawl to it, steady | … whole | first result s "
    "| CPU ms/image | peak RSS (PSS) MiB | rows | top-1 as Trawl |"
)


def medians(rounds):
    """Over a contestant's rounds."""
    line = {figure: statistics.median(r[figure] for r in rounds) for figure in FIGURES}
    steady = [r["images_per_second_steady"] for r in rounds]
    line |= {"steady_min": min(steady), "steady_max": max(steady)}
    line["rows"] = rounds[0]["rows"]  # a round with fewer does not count
    line["top1_as_trawl"] = min(r["top1_as_trawl"] for r in rounds)
    line["noisy_rounds"] = sum(r["foreign_share"] > FOREIGN_SHARE_MAX for r in rounds)
    return line | {"rounds": len(rounds), "versions": rounds[0]["versions"]}


def row(line, trawl):
    def ratio(figure):
        return f"{trawl[figure] / line[figure]:.2f}×" if line[figure] else "–"

    noisy = " ~" if line["noisy_rounds"] else ""
    return (
        f"| {line['title']} "
        f"| {line['images_per_second_steady']:.1f} "
        f"({line['steady_min']:.1f}–{line['steady_max']:.1f}){noisy} "
        f"| {line['images_per_second_whole']:.1f} "
        f"| {ratio('images_per_second_steady')} | {ratio('images_per_second_whole')} "
        f"| {line['first_result_s']:.1f} | {line['cpu_ms_per_image']:.1f} "
        f"| {line['rss_mib']:.0f} ({line['pss_mib']:.0f}) "
        f"| {line['rows']} | {100 * line['top1_as_trawl']:.1f} % |"
    )


def bound_text(bounds, trawl, threads):
    if not bounds:
        return []
    own = [bound[trawl["name"]] for bound in bounds]
    middle = {name: statistics.median(b[name] for b in own) for name in own[0]}
    limit = middle["images_per_second"]
    # The server works on the same cores, as a bucket elsewhere would not.
    served = trawl["server_cpu_ms_per_image"]
    left = 1 / (1 / limit + served / 1000 / threads)
    steady, whole = (
        [f"{100 * trawl[f'images_per_second_{rate}'] / most:.1f} %" for most in (limit, left)]
        for rate in ("steady", "whole")
    )
    return [
        "",
        f"{trawl['title']}: decoding alone {middle['decode_per_second']:.0f}/s, engine alone "
        f"{middle['infer_per_second']:.1f}/s, both on all cores: 1 / (1/decode + 1/infer) = "
        f"{limit:.1f}/s. Of it {steady[0]} are reached steady, {whole[0]} whole. The S3 server "
        f"takes {served:.1f} ms of the same cores an image; of what it leaves, {left:.1f}/s, "
        f"{steady[1]} are reached steady, {whole[1]} whole.",
    ]


NOTES = (
    "Steady: between the first fifth and the last tenth of the photos. Whole: from start to the "
    "last committed row. RSS counts shared pages in each process, PSS once. `~`: in some rounds "
    "others took more than 4 % of the machine. Trawl to it: of the same precision. Top-1 as Trawl: "
    "as Trawl in fp32; with another decoder and resize, so never all."
)


def markdown(facts, lines, bounds, absent):
    trawl = {line["precision"]: line for line in lines if line["kind"] == "trawl"}
    versions = dict.fromkeys(line["versions"] for line in lines if line["versions"])
    text = [
        f"# From bucket to rows: {facts['pictures']}",
        "",
        f"{facts['date']}, {facts['cpu']} ({', '.join(facts['isa_flags'])}), "
        f"{facts['threads']} cores, {facts['system']}. "
        f"{'; '.join([facts['trawl'], *versions])}. `{facts['command']}`",
        "",
        f"{facts['count']} objects in a local S3 server ({facts['server']}), ResNet-18, list → "
        f"SQLite with top-5. Medians of {lines[0]['rounds']} rounds in turn (least–most). {NOTES}",
        "",
        HEADER,
        "|---" * 10 + "|",
        *(row(line, trawl.get(line["precision"], lines[0])) for line in lines),
    ]
    for line in trawl.values():
        text += ["", f"{line['title']}: {line['rows']} rows in {line['seconds']:.1f} s."]
        text += bound_text(bounds, line, facts["threads"])
    for name, problem in absent.items():
        text += ["", f"Without {name}: {problem}."]
    return "\n".join(text) + "\n"


def write(folder, name, facts, rounds, bounds, absent):
    """`rounds`: {contestant: its rounds}, Trawl first. Returns the table."""
    lines = [
        {"name": c.name, "title": c.title, "kind": c.kind, "precision": c.precision} | medians(runs)
        for c, runs in rounds.items()
        if runs
    ]
    table = markdown(facts, lines, bounds, absent)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(table, encoding="utf-8")
    with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for line in [{"machine": facts, "absent": absent}, *lines]:
            file.write(json.dumps(line) + "\n")
        for line in bounds:
            file.write(json.dumps({"bound": line}) + "\n")
    return table
