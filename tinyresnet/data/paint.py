"""What drawn pictures are made of: turned planes, textures, strokes, soft blobs, noise, and boxes around masks.

Planes are (n, S, S) float32, one for each of n pictures; every number comes from that picture's own stream. Coordinates
x and y may come as (n or 1, 1, S) and (n or 1, S, 1), which is the faster.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .counter import CounterRandom
from .outlines import Plane

TURNS = np.exp(2j * np.pi * np.arange(4096) / 4096).round(9)  # a table: the same bits for any array and machine


def turned(random: CounterRandom, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """The coordinates seen from a frame turned by a random angle."""
    return turned_by(TURNS[random.integers(len(TURNS))], x, y)


def turned_by(turns: NDArray[np.complex128], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """The coordinates seen from frames turned by `turns` (n,), numbers of length 1."""
    cos, sin = (part[:, None, None].astype(np.float32) for part in (turns.real, turns.imag))
    u: Plane = cos * x + sin * y
    v: Plane = cos * y - sin * x
    return u, v


def textured(random: CounterRandom, x: Plane, y: Plane, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """`colour` (n, 3) with a plain, striped, checked or graded texture over it: (n, 3, S, S)."""
    kind, period = random.integers(4), random.uniform(0.14, 0.30)[:, None, None]
    contrast = random.uniform(-0.22, 0.22, 3)[:, :, None, None]
    u, v = turned(random, x - np.float32(0.5), y - np.float32(0.5))
    level = np.zeros_like(u)
    stripes, checks, graded = (np.flatnonzero(kind == k) for k in (1, 2, 3))
    level[stripes] = wave(u[stripes] / period[stripes])
    level[checks] = wave(u[checks] / period[checks]) * wave(v[checks] / period[checks])
    level[graded] = u[graded] * np.float32(2)
    level = level[:, None] * contrast
    level += colour[:, :, None, None]
    return level


def wave(t: Plane) -> Plane:
    """A wave of period 1 between -1 and 1 with short ramps."""
    wave: Plane = np.clip(np.float32(10) * np.abs(t - np.floor(t + np.float32(0.5))) - np.float32(2.5), -1, 1)
    return wave


def stroke(random: CounterRandom, x: Plane, y: Plane) -> Plane:
    """How much of each pixel a thin straight line covers: (n, S, S)."""
    ax, ay = (random.uniform(0, 1)[:, None, None] for _ in range(2))
    half_length, half_width = random.uniform(0.1, 0.3)[:, None, None], random.uniform(0.010, 0.030)[:, None, None]
    u, v = turned(random, x - ax, y - ay)
    u = np.maximum(np.abs(u) - half_length, 0)
    cover: Plane = np.clip(np.float32(0.5) + (half_width - np.sqrt(u * u + v * v)) * np.float32(x.shape[-1]), 0, 1)
    return cover


def blob(random: CounterRandom, x: Plane, y: Plane) -> Plane:
    """How much of each pixel a small soft oval covers: (n, S, S)."""
    ax, ay = (random.uniform(0, 1)[:, None, None] for _ in range(2))
    width, ratio = random.uniform(0.06, 0.12)[:, None, None], random.uniform(1.5, 3)[:, None, None]
    u, v = turned(random, x - ax, y - ay)
    u, v = u / (width * ratio), v / width
    cover: Plane = np.clip(np.float32(1.2) - u * u - v * v, 0, 1)
    return cover


def contrasting(
    random: CounterRandom, back: NDArray[np.float32], own: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Of four random colours, each leaning to `own` (n, 3) by `share` (n, 4 or 1, 1), the farthest from `back`: (n, 3)."""
    colours = share * own[:, None] + (1 - share) * random.uniform(0.05, 0.95, 4, 3)
    r, g, b = np.moveaxis(colours - back[:, None], 2, 0)
    farthest: NDArray[np.float32] = colours[np.arange(len(back)), np.argmax(r * r + g * g + b * b, axis=1)]
    return farthest


def developed(random: CounterRandom, canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The canvas (n, 3, S, S) with noise, in place, and as pixels in 0..255."""
    size = canvas.shape[-1]
    strength = random.uniform(0.02, 0.10)[:, None, None, None]
    grain = random.bits(size, size).view(np.uint8).reshape(-1, size, size, 8)[..., :6].astype(np.float32)
    grain = np.moveaxis(grain[..., :3] - grain[..., 3:], 3, 1)  # two uniform bytes make a triangular distribution
    canvas += strength * np.float32(1 / 255) * grain
    return (np.clip(canvas, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def paint(canvas: NDArray[np.float32], cover: Plane, colour: NDArray[np.float32]) -> None:
    """Lay `colour` (n, 3) or (n, 3, S, S) over the canvas (n, 3, S, S) where `cover` (n, S, S) says, in place."""
    colour = colour if colour.ndim == 4 else colour[:, :, None, None]
    change = colour - canvas
    change *= cover[:, None]
    canvas += change


def boxes_around(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The tightest box around each mask: (n, 4) float32, x0 y0 x1 y1, the far edges just behind the last pixel."""
    size = masks.shape[-1]
    columns, rows = np.any(masks, axis=1), np.any(masks, axis=2)
    near = [line.argmax(axis=1) for line in (columns, rows)]
    far = [size - line[:, ::-1].argmax(axis=1) for line in (columns, rows)]
    return np.stack([*near, *far], axis=1).astype(np.float32)
