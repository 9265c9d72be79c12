#!/usr/bin/env python3
"""Draws the sample bucket: 300 pictures of ten things, and a few files broken on purpose.

    python3 draw.py [--seed 2024] [--count 300] [--out FOLDER]

Writes FOLDER/bucket/… and FOLDER/truth.tsv (key, class, error). The same seed gives the same
pictures. Needs Python 3.9, numpy and Pillow 10. `draw(name, dice)` is also what train.py uses.
"""

import argparse
import io
import math
import pathlib
import shutil
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ["boat", "clock", "fish", "heart", "house", "key", "star", "sun", "tree", "umbrella"]

INK = (38, 40, 56)
WHITE = (252, 250, 244)
BRIGHT = [
    "e4572e",
    "f2a541",
    "f6c945",
    "6bab5a",
    "2a9d8f",
    "2b7bba",
    "4059ad",
    "7b4fa3",
    "d6568f",
    "b23a48",
    "8d6346",
    "5c677d",
]
PASTEL = [
    "fdf3e3",
    "e6f1f7",
    "eaf4e4",
    "f8e4ea",
    "efe8f6",
    "fff8d6",
    "dfeeea",
    "f4f4f2",
    "d8e6f5",
    "f9ddc8",
]
DARK = ["1f2a44", "263b3a", "3b2a40", "2f3136", "173753"]
GOLD = ["d9a520", "f0b429", "c9892b", "e8c04a"]
METAL = ["8a8f98", "b0894a", "d1a33c", "6d7480", "a3683c", "c0c5cc"]
GREEN = ["3f8f4f", "5aa469", "2f7a55", "7fb048", "4c956c"]


def rgb(text):
    return tuple(int(text[i : i + 2], 16) for i in (0, 2, 4))


def shade(colour, factor):
    """Darker below 1, lighter (towards white) above 1."""
    if factor <= 1:
        return tuple(int(c * factor) for c in colour)
    return tuple(int(c + (255 - c) * (factor - 1)) for c in colour)


class Dice:
    """numpy's generator with the few throws that drawing needs."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def real(self, low, high):
        return float(self.rng.uniform(low, high))

    def whole(self, low, high):
        """Both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability):
        return bool(self.rng.random() < probability)

    def pick(self, things):
        return things[int(self.rng.integers(len(things)))]

    def colour(self, *palettes):
        """One of the palettes' colours, a little off, so that no two pictures share it exactly."""
        base = np.array(rgb(self.pick(sum(palettes, []))), float)
        return tuple(int(c) for c in np.clip(base + self.rng.normal(0, 9, 3), 0, 255))


class Pen:
    """Draws in unit coordinates (-1..1, y down) on a transparent layer, affinely transformed."""

    def __init__(self, size, angle, scale, centre, flip, dice, stroke, ink, wobble):
        self.layer = Image.new("RGBA", (size, size), (0, 0, 0, 0))
        self.canvas = ImageDraw.Draw(self.layer)
        self.dice, self.stroke, self.ink, self.wobble = dice, stroke, ink, wobble
        self.scale = scale * size / 2
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        self.matrix = turn @ np.diag([-1 if flip else 1, 1]) * self.scale
        self.centre = np.array(centre) * size

    def pixels(self, points):
        points = np.asarray(points, float) @ self.matrix.T + self.centre
        return [tuple(p) for p in points]

    def line(self, points, width, colour, closed=False):
        """A round-ended stroke; `width` in unit coordinates."""
        path = self.pixels(points)
        if closed:
            path += path[:2]
        width = max(1.0, width * self.scale)
        self.canvas.line(path, fill=colour, width=round(width), joint="curve")
        for x, y in (path[0], path[-1]):
            r = width / 2
            self.canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def shape(self, points, fill, outline=True):
        """A filled polygon, with the picture's outline where the style has one."""
        points = np.asarray(points, float)
        if self.wobble:
            points = self.shaken(points)
        self.canvas.polygon(self.pixels(points), fill=fill)
        if outline and self.stroke:
            self.line(points, self.stroke, self.ink, closed=True)

    def shaken(self, points):
        """The outline as an unsteady hand would draw it: more points, each a little astray."""
        after = np.roll(points, -1, axis=0)
        steps = 3 if len(points) < 12 else 1
        dense = np.concatenate(
            [points + (after - points) * t / steps for t in range(steps)], axis=1
        )
        dense = dense.reshape(-1, 2)
        return dense + self.dice.rng.normal(0, self.wobble, dense.shape)

    def disc(self, x, y, rx, ry=None, fill=INK, outline=True):
        self.shape(arc(x, y, rx, rx if ry is None else ry, 0, 360), fill, outline)

    def hole(self, points):
        """Cuts through to the background."""
        self.canvas.polygon(self.pixels(points), fill=(0, 0, 0, 0))
        if self.stroke:
            self.line(points, self.stroke, self.ink, closed=True)


def arc(x, y, rx, ry, start, end):
    """Points of an ellipse's arc, degrees clockwise from east; a full turn is closed."""
    full = abs(end - start) >= 360
    count = max(8, int(abs(end - start) / 8))
    angles = np.radians(np.linspace(start, end, count, endpoint=not full))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def face(pen, y, size):
    for x in (-0.38, 0.38):
        pen.disc(x * size, y - 0.15 * size, 0.11 * size, fill=INK, outline=False)
    pen.line(arc(0, y + 0.05 * size, 0.42 * size, 0.36 * size, 25, 155), 0.1 * size, INK)


# The ten things. Each gets a pen and the dice, and fills about the unit disc.


def boat(pen, dice):
    hull, sail = dice.colour(BRIGHT), dice.colour(BRIGHT, PASTEL)
    pen.line([(0, 0.3), (0, -0.95)], 0.07, shade(dice.colour(["8d6346"]), 0.8))
    pen.shape([(0.07, -0.88), (0.07, 0.2), (0.75, 0.2)], sail)
    if dice.chance(0.75):
        second = sail if dice.chance(0.5) else dice.colour(BRIGHT, PASTEL)
        pen.shape([(-0.07, -0.7), (-0.07, 0.2), (-0.6, 0.2)], second)
    if dice.chance(0.6):
        pen.shape([(0, -0.98), (0.3, -0.89), (0, -0.8)], dice.colour(BRIGHT))
    bottom = dice.real(0.55, 0.65)
    pen.shape([(-0.95, 0.32), (0.95, 0.32), (bottom, 0.78), (-bottom, 0.78)], hull)
    if dice.chance(0.5):
        pen.shape(box(-0.84, 0.4, 0.84, 0.49), shade(hull, 1.6), outline=False)
    if dice.chance(0.6):
        x = np.linspace(-1, 1, 40)
        pen.line(
            np.stack([x, 0.86 + 0.06 * np.sin(x * 14)], axis=1),
            0.09,
            dice.colour(["2b7bba", "5aa9d6"]),
        )


def clock(pen, dice):
    rim, dial = dice.colour(BRIGHT, DARK), dice.colour(PASTEL)
    if dice.chance(0.45):  # an alarm clock, with feet and bells
        for side in (-1, 1):
            pen.line([(side * 0.4, 0.6), (side * 0.62, 0.95)], 0.13, shade(rim, 0.7))
            pen.disc(side * 0.5, -0.72, 0.27, fill=shade(rim, 1.25))
        pen.line([(0, -0.7), (0, -0.98)], 0.1, shade(rim, 0.7))
    pen.disc(0, 0, 0.85, fill=rim)
    pen.disc(0, 0, dice.real(0.64, 0.72), fill=dial)
    for hour in range(12):
        if hour % 3 and dice.chance(0.2):
            continue
        a = math.radians(hour * 30)
        inner = 0.5 if hour % 3 == 0 else 0.55
        pen.line(
            [(inner * math.sin(a), -inner * math.cos(a)), (0.6 * math.sin(a), -0.6 * math.cos(a))],
            0.07 if hour % 3 == 0 else 0.035,
            INK,
        )
    minute = dice.whole(0, 59)
    hour = math.radians(30 * (dice.whole(0, 11) + minute / 60))
    minute = math.radians(6 * minute)
    pen.line([(0, 0), (0.3 * math.sin(hour), -0.3 * math.cos(hour))], 0.09, INK)
    pen.line([(0, 0), (0.46 * math.sin(minute), -0.46 * math.cos(minute))], 0.06, INK)
    pen.disc(0, 0, 0.07, fill=dice.colour(["e4572e", "b23a48"]), outline=False)


def fish(pen, dice):
    body = dice.colour(BRIGHT)
    fin = shade(body, dice.pick([0.75, 1.35]))
    fat = dice.real(0.4, 0.56)
    pen.shape([(0.45, 0), (0.98, -0.48), (0.84, 0), (0.98, 0.48)], fin)
    pen.shape([(-0.25, -fat * 0.8), (0.1, -fat - 0.28), (0.35, -fat * 0.6)], fin)
    t = np.linspace(0, 1, 24)
    upper = np.stack([-0.95 + 1.6 * t, -fat * np.sin(math.pi * t**0.8)], axis=1)
    pen.shape(np.concatenate([upper, upper[::-1] * [1, -1]]), body)
    if dice.chance(0.5):
        for x in (-0.2, 0.05, 0.3):
            h = fat * (0.85 - abs(x))
            pen.line([(x, -h), (x + 0.05, 0), (x, h)], 0.09, shade(body, 1.5))
    else:
        for x, y in ((-0.1, -0.12), (0.1, 0.1), (0.28, -0.08), (-0.08, 0.22)):
            pen.line(arc(x, y, 0.09, 0.1, -80, 80), 0.04, shade(body, 0.65))
    pen.line(arc(-0.62, 0, 0.14, fat * 0.6, -70, 70), 0.045, shade(body, 0.6))
    pen.disc(-0.68, -0.1, 0.11, fill=WHITE, outline=False)
    pen.disc(-0.7, -0.1, 0.06, fill=INK, outline=False)


def heart(pen, dice):
    t = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    points = np.stack([x * dice.real(0.85, 0.98), y * 0.9 - 0.05], axis=1)
    colour = dice.colour(["d7263d", "e4572e", "d6568f", "b23a48", "e63970"], BRIGHT)
    pen.shape(points, colour)
    if dice.chance(0.35):
        pen.shape(points * 0.68 + [0, -0.02], shade(colour, 1.45), outline=False)
    elif dice.chance(0.6):
        pen.line(arc(-0.42, -0.38, 0.26, 0.26, 170, 265), 0.11, shade(colour, 1.65))


def house(pen, dice):
    wall, roof = dice.colour(PASTEL, BRIGHT), dice.colour(
        ["b23a48", "8d6346", "5c677d", "4059ad", "c4552d"]
    )
    while math.dist(wall, roof) < 90:
        wall = dice.colour(PASTEL)
    if dice.chance(0.7):
        pen.shape(box(0.38, -0.85, 0.58, -0.3), shade(roof, 0.75))
    pen.shape(box(-0.7, -0.12, 0.7, 0.85), wall)
    eave = dice.real(0.82, 0.98)
    pen.shape([(-eave, -0.08), (0, dice.real(-0.95, -0.75)), (eave, -0.08)], roof)
    door = dice.real(-0.35, 0.1)
    pen.shape(box(door - 0.16, 0.25, door + 0.16, 0.85), shade(roof, 0.6))
    pen.disc(door + 0.09, 0.57, 0.035, fill=rgb("f6c945"), outline=False)
    glass = dice.colour(["9fd3e8", "fbe58a", "cfe8f3"])
    for x in ((-0.5, 0.45) if dice.chance(0.4) and abs(door) < 0.12 else (0.42,)):
        pen.shape(box(x - 0.17, 0.15, x + 0.17, 0.49), glass)
        pen.line([(x, 0.15), (x, 0.49)], 0.04, WHITE if not pen.stroke else pen.ink)
        pen.line([(x - 0.17, 0.32), (x + 0.17, 0.32)], 0.04, WHITE if not pen.stroke else pen.ink)
    if dice.chance(0.4):
        pen.disc(0, -0.4, 0.13, fill=glass)


def key(pen, dice):
    metal = dice.colour(METAL, GOLD)
    width = dice.real(0.12, 0.17)
    pen.shape(box(-0.3, -width / 2, 0.95, width / 2), metal)
    teeth = dice.whole(2, 3)
    for tooth in range(teeth):
        x = 0.88 - tooth * 0.2
        pen.shape(box(x - 0.07, width / 2 - 0.02, x + 0.07, dice.real(0.24, 0.4)), metal)
    bow = dice.whole(0, 2)
    if bow == 0:
        pen.disc(-0.58, 0, 0.38, fill=metal)
        pen.hole(arc(-0.58, 0, 0.2, 0.2, 0, 360))
    elif bow == 1:  # clover
        for x, y in ((-0.78, 0), (-0.52, -0.25), (-0.52, 0.25)):
            pen.disc(x, y, 0.24, fill=metal)
        for x, y in ((-0.78, 0), (-0.52, -0.25), (-0.52, 0.25)):
            pen.hole(arc(x, y, 0.1, 0.1, 0, 360))
    else:
        corners = [
            (-0.95, -0.2),
            (-0.75, -0.4),
            (-0.4, -0.4),
            (-0.22, -0.16),
            (-0.22, 0.16),
            (-0.4, 0.4),
            (-0.75, 0.4),
            (-0.95, 0.2),
        ]
        pen.shape(corners, metal)
        pen.hole(np.array(corners) * 0.5 + [-0.31, 0])
    if dice.chance(0.4):
        pen.line([(-0.15, -width / 8), (0.8, -width / 8)], 0.035, shade(metal, 1.55))


def star(pen, dice):
    tips = 5 if dice.chance(0.85) else 6
    inner = dice.real(0.4, 0.5)
    angles = np.arange(2 * tips) * math.pi / tips - math.pi / 2
    radii = np.where(np.arange(2 * tips) % 2 == 0, 0.97, 0.97 * inner)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    colour = dice.colour(GOLD, ["f6c945"], BRIGHT)
    pen.shape(points, colour)
    style = dice.whole(0, 3)
    if style == 0:  # facets
        for i in range(0, 2 * tips, 2):
            pen.shape(
                [(0, 0), points[i], points[(i + 1) % (2 * tips)]],
                shade(colour, 0.78),
                outline=False,
            )
    elif style == 1:
        pen.shape(points * 0.6, shade(colour, 1.5), outline=False)
    elif style == 2:
        face(pen, 0.05, 0.45)


def sun(pen, dice):
    colour = dice.colour(GOLD, ["f6c945", "f2a541", "f08a24", "e4572e"])
    rays, inner = dice.whole(8, 14), dice.real(0.5, 0.6)
    shape = dice.whole(0, 2)
    for ray in range(rays):
        a = 2 * math.pi * ray / rays
        out = np.array([math.cos(a), math.sin(a)])
        side = np.array([-out[1], out[0]])
        reach = 0.95 if ray % 2 == 0 or shape == 0 else 0.82
        if shape == 0:
            pen.line([out * (inner + 0.12), out * reach], 0.09, colour)
        else:
            half = math.pi * inner / rays * (0.9 if shape == 1 else 0.55)
            root = out * (inner + (0.0 if shape == 1 else 0.06))
            pen.shape([root - side * half, out * reach, root + side * half], shade(colour, 0.88))
    pen.disc(0, 0, inner, fill=colour)
    if dice.chance(0.45):
        face(pen, 0, 0.6)
    elif dice.chance(0.5):
        pen.disc(0, 0, inner * 0.72, fill=shade(colour, 1.4), outline=False)


def tree(pen, dice):
    bark, leaf = dice.colour(["8d6346", "6f4e37", "a0714f"]), dice.colour(
        GREEN, GREEN, ["e08e45", "c8553d", "e6a5b8"]
    )
    top = dice.whole(0, 2)
    pen.shape([(-0.13, 0.1), (0.13, 0.1), (0.2, 0.95), (-0.2, 0.95)], bark)
    if top == 0:  # a conifer
        for level in (2, 1, 0):
            y, half = -0.95 + level * 0.42, 0.42 + level * 0.17
            pen.shape([(0, y), (half, y + 0.68), (-half, y + 0.68)], shade(leaf, 1 - 0.09 * level))
        return
    crown = [(-0.42, -0.05, 0.4), (0.42, -0.05, 0.4), (0, -0.5, 0.45), (0, 0, 0.45)]
    if top == 1:
        for x, y, r in crown:
            pen.disc(x, y, r, fill=leaf)
        for x, y, r in crown:
            pen.disc(x, y, r - 0.04, fill=leaf, outline=False)
    else:
        pen.disc(0, -0.27, dice.real(0.55, 0.72), 0.68, fill=leaf)
    pen.disc(-0.18, -0.5, 0.2, fill=shade(leaf, 1.25), outline=False)
    if dice.chance(0.45):
        fruit = dice.colour(["d7263d", "f2a541", "f6c945"])
        for x, y in (
            (-0.32, -0.02),
            (0.3, -0.12),
            (0.05, -0.38),
            (0.02, 0.12),
            (-0.2, -0.55),
            (0.28, -0.5),
        ):
            pen.disc(x, y, 0.075, fill=fruit, outline=False)


def umbrella(pen, dice):
    one = dice.colour(BRIGHT)
    two = one if dice.chance(0.3) else dice.colour(BRIGHT, PASTEL)
    stick = dice.colour(["8d6346", "5c677d", "2f3136"])
    pen.line([(0, -0.95), (0, 0.7)], 0.08, stick)
    hook = 1 if dice.chance(0.5) else -1
    pen.line(
        arc(hook * 0.18, 0.7, 0.18, 0.2, 180 if hook == 1 else 0, 0 if hook == 1 else 180),
        0.08,
        stick,
    )
    panels, height = dice.pick([4, 5, 6]), dice.real(0.75, 0.88)
    edges = np.linspace(-0.98, 0.98, panels + 1)
    for i in range(panels):
        left, right = edges[i], edges[i + 1]
        t = np.linspace(0, math.pi / 2, 10)
        rise = np.stack([left * np.cos(t), -height * np.sin(t)], axis=1)
        fall = np.stack([right * np.cos(t), -height * np.sin(t)], axis=1)[::-1]
        scallop = arc((left + right) / 2, 0, (right - left) / 2, 0.1, 360, 180)
        pen.shape(np.concatenate([rise, fall, scallop]), one if i % 2 == 0 else two)


# How much each thing may be turned (degrees, either way), and whether it may be mirrored.
POSE = {
    "boat": (14, True),
    "clock": (16, False),
    "fish": (32, True),
    "heart": (26, False),
    "house": (10, True),
    "key": (180, True),
    "star": (40, False),
    "sun": (30, False),
    "tree": (11, True),
    "umbrella": (48, True),
}
DRAWERS = {f.__name__: f for f in (boat, clock, fish, heart, house, key, star, sun, tree, umbrella)}


def blend(a, b, t):
    return np.asarray(a, float) * (1 - t) + np.asarray(b, float) * t


def background(width, height, dice):
    """[height, width, 3] float: plain, gradients, patterns, a landscape."""
    dark = dice.chance(0.25)
    one = np.array(dice.colour(DARK if dark else PASTEL), float)
    two = np.array(shade(tuple(int(c) for c in one), dice.pick([0.82, 0.9, 1.35])), float)
    if dice.chance(0.3):
        two = np.array(dice.colour(DARK if dark else PASTEL), float)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    kind = dice.pick(["plain", "slope", "slope", "glow", "stripes", "dots", "checks", "hills"])
    if kind == "plain":
        t = np.zeros_like(x)
    elif kind == "slope":
        a = dice.real(0, 2 * math.pi)
        t = 0.5 + 0.7 * ((x - 0.5) * math.cos(a) + (y - 0.5) * math.sin(a))
    elif kind == "glow":
        t = np.hypot(x - dice.real(0.3, 0.7), y - dice.real(0.3, 0.7)) * 1.3
    elif kind == "hills":
        ridge = dice.real(0.55, 0.75) + 0.06 * np.sin(x * dice.real(5, 12) + dice.real(0, 6))
        sky = blend(one, two, (y * 0.8)[..., None])
        ground = np.array(
            shade(dice.colour(GREEN, ["c9b27c", "8fb8d8"]), 0.75 if dark else 1.35), float
        )
        return np.where((y > ridge)[..., None], ground, sky)
    else:
        a, pitch = dice.real(0, math.pi), dice.real(0.08, 0.2)
        u = (x * math.cos(a) + y * math.sin(a)) / pitch
        v = (-x * math.sin(a) + y * math.cos(a)) / pitch
        if kind == "stripes":
            edge = np.abs((u % 2) - 1) - 0.5
        elif kind == "checks":
            edge = (np.abs((u % 2) - 1) - 0.5) * (np.abs((v % 2) - 1) - 0.5) * 4
        else:
            edge = 0.28 - np.hypot(u % 1 - 0.5, v % 1 - 0.5)
        t = np.clip(edge * pitch * max(width, height) + 0.5, 0, 1)
    return blend(one, two, np.clip(t, 0, 1)[..., None])


def confetti(picture, dice):
    """Small specks behind the thing, so that not everything on a plain ground is the thing."""
    canvas = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(dice.whole(4, 14)):
        x, y = dice.real(0, width), dice.real(0, height)
        r = dice.real(0.008, 0.028) * min(width, height)
        colour = dice.colour(BRIGHT, PASTEL)
        if dice.chance(0.6):
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        else:
            dx, dy = dice.real(-2, 2) * r, dice.real(-2, 2) * r
            canvas.line((x, y, x + dx, y + dy), fill=colour, width=max(1, int(r)))


def thing(name, side, dice):
    """The thing alone on a transparent square of `side` pixels, in one of the drawing styles."""
    style = dice.pick(["flat", "flat", "inked", "inked", "sketch", "sticker"])
    turn, mirror = POSE[name]
    pen = Pen(
        size=side * 3,
        angle=math.radians(dice.real(-turn, turn)),
        scale=dice.real(0.6, 0.9),
        centre=(dice.real(0.42, 0.58), dice.real(0.42, 0.58)),
        flip=mirror and dice.chance(0.5),
        dice=dice,
        stroke={"inked": dice.real(0.04, 0.075), "sketch": dice.real(0.03, 0.05)}.get(style, 0),
        ink=dice.pick([INK, INK, (70, 45, 35), (25, 55, 90)]),
        wobble=dice.real(0.008, 0.016) if style == "sketch" else 0,
    )
    DRAWERS[name](pen, dice)
    layer = pen.layer.resize((side, side), Image.Resampling.BOX)
    return layer, style


def sticker_edge(layer):
    """A white rim around the thing, as a sticker has."""
    alpha = layer.getchannel("A")
    rim = alpha.filter(ImageFilter.GaussianBlur(layer.width / 60)).point(
        lambda a: min(255, max(0, a - 20) * 8)
    )
    sheet = Image.new("RGBA", layer.size, WHITE + (0,))
    sheet.putalpha(rim)
    return Image.alpha_composite(sheet, layer)


def visible(layer, ground):
    """Whether the thing stands out from what is behind it: mean colour distance over its pixels."""
    pixels = np.asarray(layer, float)
    alpha = pixels[..., 3] > 128
    gap = np.linalg.norm(pixels[..., :3] - np.asarray(ground, float)[..., :3], axis=-1)
    return alpha.sum() > 0 and np.median(gap[alpha]) > 70


def draw(name, dice, width=None, height=None):
    """One picture of `name`, RGB. Sizes from 96 to 320 pixels unless given."""
    width = width or dice.whole(96, 320)
    height = height or min(320, max(96, int(width * dice.real(0.75, 1.33))))
    side = min(width, height)
    while True:
        ground = background(width, height, dice)
        picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
        if dice.chance(0.25):
            confetti(picture, dice)
        corner = ((width - side) // 2, (height - side) // 2)
        behind = picture.crop((*corner, corner[0] + side, corner[1] + side))
        layer, style = thing(name, side, dice)
        if style == "sticker":
            layer = sticker_edge(layer)
        if style in ("inked", "sticker") or visible(layer, behind):
            break
    if style == "sticker" or dice.chance(0.35):
        shadow = Image.new("L", (side, side))
        shadow.paste(layer.getchannel("A"), (side // 40, side // 28))
        shadow = shadow.filter(ImageFilter.GaussianBlur(side / 50)).point(lambda a: a * 0.4)
        picture.paste(Image.new("RGB", (side, side), (0, 0, 0)), corner, shadow)
    picture.paste(layer, corner, layer)
    return grainy(picture, dice)


def grainy(picture, dice):
    """What cameras and scanners add: grain, a touch of blur, light that is not even."""
    pixels = np.asarray(picture, float)
    if dice.chance(0.4):
        pixels = pixels + dice.rng.normal(0, dice.real(2, 9), pixels.shape[:2] + (1,))
    if dice.chance(0.3):
        y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
        pixels = pixels * (1 - dice.real(0.08, 0.2) * (x * x + y * y))[..., None]
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if dice.chance(0.15):
        picture = picture.filter(ImageFilter.GaussianBlur(dice.real(0.4, 1.0)))
    return picture.convert("L").convert("RGB") if dice.chance(0.04) else picture


# The bucket.


def encode(picture, kind, dice):
    """The picture's bytes as one of the formats and variants that turn up in real buckets."""
    out = io.BytesIO()
    if kind == "jpg":
        if dice.chance(0.06):
            picture = picture.convert(dice.pick(["L", "CMYK"]))
        picture.save(
            out,
            "JPEG",
            quality=dice.whole(68, 90),
            progressive=dice.chance(0.25),
            optimize=True,
            subsampling=dice.pick([0, 1, 2]) if picture.mode == "RGB" else -1,
        )
    elif kind == "webp":
        picture.save(out, "WEBP", quality=dice.whole(65, 88), lossless=dice.chance(0.1), method=6)
    else:
        picture = picture.quantize(dice.pick([48, 128]), dither=Image.Dither.NONE)
        if dice.chance(0.3):
            picture = picture.convert("RGBA")
        picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def key_name(index, kind, dice):
    """Keys as people and phones make them: they tell nothing about what is in the picture."""
    month, day = dice.whole(1, 12), dice.whole(1, 28)
    suffix = {"jpg": dice.pick(["jpg", "jpg", "jpg", "JPG", "jpeg"])}.get(kind, kind)
    return dice.pick(
        [
            f"inbox/2024/{month:02}/{day:02}/IMG_{1000 + index}.{suffix}",
            f"inbox/2024/{month:02}/{day:02}/IMG_{1000 + index}.{suffix}",
            f"archive/box-{dice.whole(1, 4)}/scan{index:04}.{suffix}",
            f"archive/box-{dice.whole(1, 4)}/scan{index:04}.{suffix}",
            f"children's drawings/school year 2023+24/page {index}.{suffix}",
            f"Gemälde/Blatt {index} (50% größer).{suffix}",
        ]
    )


def bad_crc(png):
    """Flips one bit of the checksum that closes the first IDAT chunk."""
    at = png.index(b"IDAT")
    length = struct.unpack(">I", png[at - 4 : at])[0]
    end = at + 4 + length
    return png[:end] + bytes([png[end] ^ 1]) + png[end + 1 :]


def giant_header(jpeg):
    """Rewrites the frame header to 65,500 × 65,500 pixels: 12 GB once decoded."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9 :]


def gif_picture():
    """A whole GIF: a picture, but of a format that Trawl does not decode."""
    out = io.BytesIO()
    Image.new("P", (96, 96), 3).save(out, "GIF")
    return out.getvalue()


def broken(dice):
    """Key → (bytes, the error code that its failure row must have)."""
    jpeg, png = io.BytesIO(), io.BytesIO()
    picture = draw("boat", dice, 240, 200)
    picture.save(jpeg, "JPEG", quality=85)
    picture.quantize(64).save(png, "PNG")
    jpeg, png = jpeg.getvalue(), png.getvalue()
    page = (
        "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n"
        "<body>Your session has ended. Please sign in again.</body></html>\n"
    )
    return {
        "inbox/2024/03/09/IMG_0991 (upload interrupted).jpg": (
            jpeg[: len(jpeg) * 2 // 5],
            "truncated",
        ),
        "inbox/2024/05/17/IMG_0992.jpg": (page.encode(), "not_an_image"),
        "inbox/2024/05/18/IMG_0993.png": (b"", "not_an_image"),
        "archive/box-2/scan0994.png": (bad_crc(png), "corrupt_image"),
        "archive/box-2/contents.txt": (
            "Box 2: drawings, spring to autumn.\n".encode(),
            "not_an_image",
        ),
        "archive/box-3/poster.jpg": (giant_header(jpeg), "too_large"),
        "archive/box-3/banner.gif": (gif_picture(), "unsupported_format"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    options = parser.parse_args()

    dice = Dice(options.seed)
    files, truth = {}, []
    for index in range(options.count):
        name = CLASSES[index % len(CLASSES)]
        kind = dice.pick(["jpg"] * 6 + ["png"] * 2 + ["webp"] * 2)
        path = key_name(index, kind, dice)
        files[path] = encode(draw(name, dice), kind, dice)
        truth.append((path, name, ""))
    for path, (content, error) in broken(dice).items():
        files[path] = content
        truth.append((path, "broken", error))

    bucket = options.out / "bucket"
    shutil.rmtree(bucket, ignore_errors=True)
    for path, content in files.items():
        (bucket / path).parent.mkdir(parents=True, exist_ok=True)
        (bucket / path).write_bytes(content)
    rows = ["key\tclass\terror"] + ["\t".join(row) for row in sorted(truth)]
    (options.out / "truth.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:.2f} MB, in {bucket}")


if __name__ == "__main__":
    main()
