"""A set of scenes: pictures with any number of objects, their boxes and labels, and a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

IGNORED = 255  # in a mask: a pixel that does not count
KEPT_BYTES = 1 << 30  # scenes are kept in memory if all of a set together need less


class SceneBatch(NamedTuple):
    """n pictures and what is in them; picture i has B_i objects.

    Boxes are x0 y0 x1 y1 in pixels, the far edges just behind the last pixel. Crowds are regions that count as neither
    found nor missed. Masks are 0 for background, 1 + class, or 255 for pixels that do not count.
    """

    x: NDArray[np.uint8]  # (n, 3, H, W)
    boxes: tuple[NDArray[np.float32], ...]  # n arrays (B_i, 4)
    labels: tuple[NDArray[np.int64], ...]  # n arrays (B_i,)
    crowd: tuple[NDArray[np.bool_], ...]  # n arrays (B_i,)
    masks: NDArray[np.uint8]  # (n, H, W)


class Scenes(Protocol):
    """Where scenes come from: drawn or read when asked for."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, S, S)."""

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,)."""


@dataclass(frozen=True, eq=False)
class SceneSet:
    """Scenes of N pictures (3, S, S), `classes` without the background, `mean` and `std` of pixels scaled to [0, 1].

    An `endless` set has a scene for any index >= 0; len() is then the nominal epoch. Without `has_boxes` every scene
    has no object; without `has_masks` every mask is 255. `skipped` counts what was left out, by the reason
    (of a set that was split, all of it stands with the training set).
    """

    name: str
    source: Scenes
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    endless: bool = False
    has_boxes: bool = True
    has_masks: bool = True
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, S, S)."""
        return self.source.shape

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,). Raises InputError for an index that is not there."""
        indices = np.asarray(indices, np.int64)
        if indices.size and not (indices.min() >= 0 and (self.endless or indices.max() < len(self))):
            span = "0 on" if self.endless else f"0 to {len(self) - 1}"
            raise InputError(f"{self.name} has pictures {span}, asked for {indices.min()} to {indices.max()}")
        return self.source.read(indices)

    def head(self, count: int) -> SceneSet:
        """The first `count` scenes, as a set that ends. Raises InputError if there are fewer."""
        if not 1 <= count <= len(self):
            raise InputError(f"{self.name} has {len(self)} pictures: cannot take the first {count}")
        return replace(self, source=FirstScenes(self.source, count), endless=False)


class FirstScenes:
    """The first `count` scenes of a source."""

    def __init__(self, source: Scenes, count: int) -> None:
        self.source = source
        self.shape = (count, *source.shape[1:])

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,)."""
        return self.source.read(indices)


class RememberedScenes:
    """Scenes of a slow source, each asked for once and then kept in memory: 4 S^2 bytes each."""

    def __init__(self, source: Scenes) -> None:
        self.source = source
        self.shape = source.shape
        N, C, H, W = source.shape
        self.x, self.masks = np.empty((N, C, H, W), np.uint8), np.empty((N, H, W), np.uint8)
        self.objects: dict[int, tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]] = {}

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,)."""
        missing = np.array([i for i in np.unique(indices).tolist() if i not in self.objects], np.int64)
        if missing.size:
            new = self.source.read(missing)
            self.x[missing], self.masks[missing] = new.x, new.masks
            self.objects |= dict(zip(missing.tolist(), zip(*new[1:4], strict=True), strict=True))
        boxes, labels, crowd = (
            zip(*(self.objects[i] for i in indices.tolist()), strict=True) if len(indices) else ((), (), ())
        )
        return SceneBatch(self.x[indices], boxes, labels, crowd, self.masks[indices])


def remembered(source: Scenes) -> Scenes:
    """The source, its scenes kept in memory if they are small enough."""
    N, C, H, W = source.shape
    return RememberedScenes(source) if N * (C + 1) * H * W < KEPT_BYTES else source


def joined(parts: list[SceneBatch]) -> SceneBatch:
    """The scenes of all parts, one after the other."""
    x, boxes, labels, crowd, masks = zip(*parts, strict=True)
    return SceneBatch(np.concatenate(x), sum(boxes, ()), sum(labels, ()), sum(crowd, ()), np.concatenate(masks))
