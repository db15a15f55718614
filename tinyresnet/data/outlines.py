"""The outlines of the ten drawn classes, as signed distances: negative inside, zero on the edge, positive outside.

Each function takes coordinates x, y (n, S, S) float32, in which the object fits the circle of radius 1 around 0, and
gives the distance to its edge (n, S, S). Only + - * / sqrt min max are used: each is exact to the last bit whatever
the array's length, so a picture does not depend on those drawn beside it.
Polygons: Inigo Quilez, "2D distance functions".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def circle(x: Plane, y: Plane, radius: float, cx: float = 0.0, cy: float = 0.0) -> Plane:
    """A disc of `radius` around (cx, cy)."""
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    distance: Plane = np.sqrt(dx * dx + dy * dy) - np.float32(radius)
    return distance


def polygon(x: Plane, y: Plane, corners: NDArray[np.float32]) -> Plane:
    """A closed polygon through `corners` (V, 2): the nearest edge, and inside where a ray crosses an odd number."""
    square = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        wx, wy = x - ax, y - ay
        along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        dx, dy = wx - ex * along, wy - ey * along
        np.minimum(square, dx * dx + dy * dy, out=square)
        inside ^= ((y >= ay) != (y >= by)) & ((ex * wy > ey * wx) == (by > ay))
    return np.where(inside, -np.sqrt(square), np.sqrt(square))


def ring(x: Plane, y: Plane) -> Plane:
    """A thick circle line."""
    return np.abs(circle(x, y, 0.70)) - np.float32(0.21)


def crescent(x: Plane, y: Plane) -> Plane:
    """A disc with another cut out of its side."""
    return np.maximum(circle(x, y, 0.95), -circle(x, y, 0.80, 0.50))


def heart(x: Plane, y: Plane) -> Plane:
    """Two discs, and a polygon from their centres down their tangents to the tip (y points down)."""
    lobes = np.minimum(circle(x, y, 0.46, 0.45, -0.26), circle(x, y, 0.46, -0.45, -0.26))
    return np.minimum(lobes, polygon(x, y, HEART))


def corner_list(*points: tuple[float, float]) -> NDArray[np.float32]:
    """Corners (V, 2) of a polygon, in order around it."""
    return np.array(points, np.float32)


def wheel(count: int, *radii: float) -> NDArray[np.float32]:
    """`count` corners around the centre, the radii taken in turn, the first one on top."""
    angle = 2 * np.pi * np.arange(count) / count
    radius = np.resize(radii, count)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1).round(9).astype(np.float32)


SQUARE = corner_list((-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7))
A, B = 0.27, 0.94  # the cross: half the width of an arm, and its length
CROSS = corner_list(
    *((-A, -B), (A, -B), (A, -A), (B, -A), (B, A), (A, A)), *((A, B), (-A, B), (-A, A), (-B, A), (-B, -A), (-A, -A))
)
ARROW = corner_list((0, -1), (0.72, -0.1), (0.25, -0.1), (0.25, 0.9), (-0.25, 0.9), (-0.25, -0.1), (-0.72, -0.1))
HEART = corner_list((0, 0.97), (0.799, 0.040), (0.45, -0.26), (-0.45, -0.26), (-0.799, 0.040))
HOURGLASS = corner_list((-0.62, -0.78), (0.62, -0.78), (0.1, 0), (0.62, 0.78), (-0.62, 0.78), (-0.1, 0))

OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": partial(circle, radius=0.85),
    "ring": ring,
    "square": partial(polygon, corners=SQUARE),
    "triangle": partial(polygon, corners=wheel(3, 1.0)),
    "star": partial(polygon, corners=wheel(10, 1.0, 0.4)),
    "cross": partial(polygon, corners=CROSS),
    "heart": heart,
    "crescent": crescent,
    "arrow": partial(polygon, corners=ARROW),
    "hourglass": partial(polygon, corners=HOURGLASS),
}


def outline_distance(labels: NDArray[np.int64], x: Plane, y: Plane) -> Plane:
    """The signed distances (n, S, S) to outlines of the classes `labels` (n,)."""
    distance = np.empty_like(x)
    for label, outline in enumerate(OUTLINES.values()):
        rows = np.flatnonzero(labels == label)
        distance[rows] = outline(x[rows], y[rows])
    return distance
