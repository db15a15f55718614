"""Scenes from picture files of any size, scaled to fit a square: what the readers of data sets share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dataset import measure
from .picture import decoded
from .progress import progress_bar
from .scene_set import IGNORED, SceneBatch, Scenes, SceneSet, remembered

if TYPE_CHECKING:
    from PIL import Image

MEASURED = 2000  # pictures that mean and std are measured on
TEST_SHARE = 0.2  # of a data set that comes without a test set


class RecordError(InputError):
    """A record or a picture that may be left out; `reason` is what to count it under."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Skipped:
    """Lets bad records through as errors, or leaves them out and counts them."""

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.counts: Counter[str] = Counter()

    @contextmanager
    def bad_ones(self) -> Iterator[None]:
        """Around what handles one record."""
        try:
            yield
        except RecordError as error:
            if not self.skip_bad:
                raise
            self.counts[error.reason] += 1


class Fit(NamedTuple):
    """A picture of `width` x `height` pixels scaled to `wide` x `high`, at the top left of a square."""

    width: int
    height: int
    wide: int
    high: int

    def scaled(self, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """The boxes (M, 4), scaled with the picture."""
        scale = np.array([self.wide / self.width, self.high / self.height])
        scaled: NDArray[np.float32] = (boxes * np.tile(scale, 2)).astype(np.float32)
        return scaled


def fit(width: int, height: int, size: int) -> Fit:
    """How a picture fits a square of `size` pixels: its longer side fills it."""
    scale = size / max(width, height)
    return Fit(width, height, max(1, round(width * scale)), max(1, round(height * scale)))


def on_square(image: Image.Image, place: Fit, size: int) -> NDArray[np.uint8]:
    """The RGB picture scaled to `place`, the rest zero: (3, size, size)."""
    from PIL import Image

    x = np.zeros((size, size, 3), np.uint8)
    x[: place.high, : place.wide] = np.asarray(image.resize((place.wide, place.high), Image.Resampling.BILINEAR))
    return x.transpose(2, 0, 1)


@dataclass(frozen=True, eq=False)
class SceneFile:
    """A picture file and what is in it, in its own pixels; `mask` draws or reads the mask, (high, wide) of the fit."""

    path: Path
    size: tuple[int, int] | None = None  # width and height that the file must have
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    mask: Callable[[Fit], NDArray[np.uint8]] | None = None

    def read(self, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """The picture (3, size, size), its boxes, and its mask (size, size). Raises RecordError."""
        try:
            image, (width, height) = decoded(self.path, size)
        except InputError as error:
            raise RecordError("damaged picture", str(error)) from error
        if self.size and self.size != (width, height):
            declared = "{} x {}".format(*self.size)
            raise RecordError(
                "picture of another size",
                f"the picture {self.path} has {width} x {height} pixels, but its annotations are for {declared}",
            )
        place = fit(width, height, size)
        mask = np.full((size, size), IGNORED, np.uint8)
        if self.mask:
            mask[: place.high, : place.wide] = self.mask(place)
        return on_square(image, place, size), place.scaled(self.boxes), mask


class SceneFiles:
    """Scenes read from files when asked for, on squares of `size` pixels."""

    def __init__(self, files: Sequence[SceneFile], size: int) -> None:
        self.files = files
        self.shape = (len(files), 3, size, size)

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,). Raises InputError naming a file that is damaged."""
        files, size = [self.files[i] for i in indices], self.shape[2]
        x, masks = np.empty((len(files), 3, size, size), np.uint8), np.empty((len(files), size, size), np.uint8)
        boxes = []
        for i, file in enumerate(files):
            x[i], scaled, masks[i] = file.read(size)
            boxes.append(scaled)
        return SceneBatch(x, tuple(boxes), tuple(f.labels for f in files), tuple(f.crowd for f in files), masks)


class Pixels:
    """The pictures of scenes alone."""

    def __init__(self, scenes: Scenes) -> None:
        self.scenes = scenes
        self.shape = scenes.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.scenes.read(indices).x


def file_scene_sets(
    name: str,
    train: list[SceneFile],
    test: list[SceneFile] | None,
    classes: tuple[str, ...],
    *,
    size: int,
    seed: int,
    skipped: list[Skipped],
    has_boxes: bool,
    has_masks: bool,
    progress: bool = False,
) -> tuple[SceneSet, SceneSet]:
    """Training and test set of these files, shuffled by `seed`; without a test set, a fifth of them, drawn by `seed`.

    `skipped` counts what was left out of each. With `skip_bad`, every file is read first. Mean and std are those of the
    first 2,000 training pictures. Raises InputError for a damaged one among them, and if no file is left.
    """
    parts = [train] if test is None else [train, test]
    if skipped[0].skip_bad:
        with progress_bar("checking pictures", sum(map(len, parts)), show=progress) as bar:
            parts = [_readable(*part, size, bar.update) for part in zip(parts, skipped, strict=True)]
    rng = np.random.default_rng(seed)
    parts = [[files[i] for i in rng.permutation(len(files))] for files in parts]
    if test is None:
        count = max(1, round(TEST_SHARE * len(parts[0])))
        parts = [parts[0][count:], parts[0][:count]]
    for kind, files in zip(("training", "test"), parts, strict=True):
        if not files:
            raise InputError(f"{name} has no {kind} pictures" + (" that can be used" if skipped[0].skip_bad else ""))
    sources = [remembered(SceneFiles(files, size)) for files in parts]
    with progress_bar("reading pictures", min(MEASURED, len(parts[0])), show=progress) as bar:
        mean, std = measure(Pixels(sources[0]), MEASURED, bar.update)
    about = (classes, mean, std, False, has_boxes, has_masks)
    train_set, test_set = (
        SceneSet(name, source, *about, dict(some.counts))
        for source, some in zip(sources, [*skipped, Skipped(False)], strict=False)
    )
    return train_set, test_set


def _readable(files: list[SceneFile], skipped: Skipped, size: int, report: Callable[[int], object]) -> list[SceneFile]:
    """The files that can be read; the others are counted."""
    good = []
    for file in files:
        with skipped.bad_ones():
            file.read(size)
            good.append(file)
        report(1)
    return good
