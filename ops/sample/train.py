#!/usr/bin/env python3
"""Trains the sample model on freshly drawn pictures and writes model-onnx/ and model-mxnet/.

    python3 train.py [--pictures 12000] [--epochs 12] [--seed 7] [--out FOLDER]

Needs Python 3.9, numpy, Pillow 10, onnx and onnxruntime. It learns from
pictures of other seeds than the bucket's, so the bucket is a fair test; the accuracy there is
printed at the end.
"""

import argparse
import csv
import multiprocessing
import pathlib
import time

import numpy as np
import onnxruntime
from PIL import Image

from draw import CLASSES, Dice, draw
from export import export
from network import Adam, backward, forward, sample_network, softmax

SIDE = 64
MEAN, STD = [127.5] * 3, [64.0] * 3
BATCH = 50


def shrink(picture):
    """[SIDE, SIDE, 3] uint8, by the preprocessing that model.yaml states."""
    picture = picture.convert("RGB")
    width, height = picture.size
    scale = SIDE / min(width, height)
    width, height = max(SIDE, int(width * scale)), max(SIDE, int(height * scale))
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))


def normalise(pictures):
    return (pictures.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)


def fresh_picture(job):
    seed, label = job
    return shrink(draw(CLASSES[label], Dice([seed, label])))


def fresh_pictures(count, seed):
    labels = np.arange(count) % len(CLASSES)
    with multiprocessing.Pool() as pool:
        pictures = pool.map(
            fresh_picture, [(seed + i, int(label)) for i, label in enumerate(labels)], 64
        )
    return np.stack(pictures), labels


def shifted(pictures, rng):
    """The batch moved by up to four pixels: cheap variety."""
    dy, dx = rng.integers(-4, 5, 2)
    padded = np.pad(pictures, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="edge")
    return padded[:, 4 + dy : 4 + dy + SIDE, 4 + dx : 4 + dx + SIDE]


def accuracy(layers, pictures, labels):
    guesses = [
        forward(layers, normalise(pictures[i : i + 100])).argmax(-1)
        for i in range(0, len(pictures), 100)
    ]
    return float((np.concatenate(guesses) == labels).mean())


def train(layers, pictures, labels, epochs, rng):
    adam, steps = Adam(layers, decay=1e-4), epochs * (len(pictures) // BATCH)
    done = 0
    for epoch in range(epochs):
        start, losses = time.monotonic(), []
        order = rng.permutation(len(pictures))
        for i in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[i : i + BATCH]
            probabilities = softmax(
                forward(layers, normalise(shifted(pictures[chosen], rng)), training=True)
            )
            right = probabilities[np.arange(BATCH), labels[chosen]]
            losses.append(-np.log(right + 1e-9).mean())
            probabilities[np.arange(BATCH), labels[chosen]] -= 1
            backward(layers, (probabilities / BATCH).astype(np.float32))
            adam.step(3e-3 * 0.5 * (1 + np.cos(np.pi * done / steps)))
            done += 1
        print(
            f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.monotonic() - start:.0f} s",
            flush=True,
        )


def bucket_pictures(folder):
    """The good pictures of the committed bucket, through their files: (pictures, labels)."""
    with open(folder / "truth.tsv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if not row["error"]]
    pictures = [shrink(Image.open(folder / "bucket" / row["key"])) for row in rows]
    return np.stack(pictures), np.array([CLASSES.index(row["class"]) for row in rows])


def report(layers, onnx_file):
    fresh = accuracy(layers, *fresh_pictures(500, 9_000_000))
    print(f"top-1 on 500 other fresh drawings: {fresh:.4f}")
    pictures, labels = bucket_pictures(pathlib.Path(__file__).resolve().parent)
    print(f"top-1 on the {len(labels)} good pictures: {accuracy(layers, pictures, labels):.4f}")
    inputs = normalise(pictures[:20])
    session = onnxruntime.InferenceSession(onnx_file)
    logits = session.run(None, {"data": np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))})[0]
    difference = np.abs(logits - forward(layers, inputs)).max()
    print(f"largest difference between ONNX Runtime and this network: {difference:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    pictures, labels = fresh_pictures(options.pictures, 1_000_000)
    layers = sample_network(len(CLASSES), rng)
    train(layers, pictures, labels, options.epochs, rng)
    export(layers, CLASSES, options.out, SIDE, MEAN, STD)

    report(layers, options.out / "model-onnx" / "sample.onnx")


if __name__ == "__main__":
    main()
