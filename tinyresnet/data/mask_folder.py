"""Folders of pictures and masks: `train/images/NAME.jpg` and `train/masks/NAME.png`, the same under `test`, `val` or
`valid`; or `images/` and `masks/` alone.

The pixels of a mask are class numbers from 0, the background; 255 does not count. `classes.txt`, if there, has a name a
line, the background's first.
"""

from __future__ import annotations

from collections.abc import Container
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .folder import TEST_NAMES
from .picture import MAX_PIXELS, SUFFIXES
from .progress import progress_bar
from .scene_files import Fit, RecordError, SceneFile, Skipped, file_scene_sets
from .scene_set import IGNORED, SceneSet

MASK_SUFFIXES = frozenset({".png", ".bmp", ".gif"})  # not .jpg: it would change class numbers


def find_mask_folders(path: Path) -> list[Path]:
    """The training folder, and the test folder if there is one; none if `path` is no such data set."""
    if (path / "masks").is_dir():
        return [path]
    train, *tests = (path / name for name in ("train", *TEST_NAMES))
    return [train, *[test for test in tests if (test / "masks").is_dir()][:1]] if (train / "masks").is_dir() else []


def load_mask_folder(
    path: Path, folders: list[Path], *, size: int, seed: int, skip_bad: bool = False, progress: bool = False
) -> tuple[SceneSet, SceneSet]:
    """Training and test set of `folders`, on squares of `size` pixels; they have no boxes.

    Without a test folder, a fifth is the test set, drawn by `seed`. Without classes.txt all masks are read here, for
    the highest class number. A damaged picture or mask raises InputError when it is read; with `skip_bad` all are read
    here, and bad ones left out and counted.
    """
    skipped = [Skipped(skip_bad) for _ in folders]
    pairs = [_pairs(folder, counts) for folder, counts in zip(folders, skipped, strict=True)]
    classes = _class_names(path / "classes.txt")
    if classes is None:
        highest = _highest([mask for part in pairs for _, mask in part], skip_bad, progress)
        classes = tuple(str(k) for k in range(1, highest + 1))
    if not classes:
        raise InputError(f"the masks of {path} have no class but 0, the background (255 does not count)")
    train, *tests = (
        [SceneFile(picture, mask=partial(_fitted_mask, mask, len(classes))) for picture, mask in part] for part in pairs
    )
    return file_scene_sets(
        path.resolve().name,
        train,
        tests[0] if tests else None,
        classes,
        size=size,
        seed=seed,
        skipped=skipped,
        has_boxes=False,
        has_masks=True,
        progress=progress,
    )


def _pairs(folder: Path, skipped: Skipped) -> list[tuple[Path, Path]]:
    """The pictures of a folder with their masks, sorted by name."""
    pictures, masks = _by_name(folder / "images", SUFFIXES, skipped), _by_name(folder / "masks", MASK_SUFFIXES, skipped)
    for kind, other, files, others in (("picture", "mask", pictures, masks), ("mask", "picture", masks, pictures)):
        for name in sorted(files.keys() - others.keys()):
            with skipped.bad_ones():
                raise RecordError(f"{kind} without a {other}", f"the {kind} {files[name]} has no {other} of its name")
    return [(pictures[name], masks[name]) for name in sorted(pictures.keys() & masks.keys())]


def _by_name(folder: Path, suffixes: Container[str], skipped: Skipped) -> dict[str, Path]:
    """The files of a folder by their names without the suffix."""
    found: dict[str, Path] = {}
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in suffixes)
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    for file in files:
        with skipped.bad_ones():
            if file.stem in found:
                raise RecordError(
                    "repeated name", f"{file} and {found[file.stem]} have one name: pictures and masks go by it"
                )
            found[file.stem] = file
    return found


def _class_names(path: Path) -> tuple[str, ...] | None:
    """The names in classes.txt without the background's; None if there is no such file."""
    if not path.exists():
        return None
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8-sig").rstrip().split("\n"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not 2 <= len(names) <= IGNORED or not all(names) or len(set(names)) < len(names):
        raise InputError(f"{path} has {len(names)} lines: wanted 2 to {IGNORED} different names, one a line")
    return names[1:]


def _highest(masks: list[Path], skip_bad: bool, progress: bool) -> int:
    """The highest class number in all masks; what cannot be read comes up again with its picture."""
    highest = 0
    with progress_bar("reading masks", len(masks), show=progress) as bar:
        for path in masks:
            try:
                mask = read_mask(path)
                highest = max(highest, int(mask.max(initial=0, where=mask != IGNORED)))
            except RecordError:
                if not skip_bad:
                    raise
            bar.update(1)
    return highest


def read_mask(path: Path) -> NDArray[np.uint8]:
    """The class numbers in a mask file: (H, W), as they are there. Raises RecordError."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "BMP", "GIF")) as file:
            if file.width * file.height > MAX_PIXELS:
                raise InputError(f"it has {file.width} x {file.height} pixels, at most {MAX_PIXELS:,} are read")
            mask = np.asarray(file)
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they trip over
        raise RecordError(
            "damaged mask", f"cannot read the mask {path}: {str(error) or type(error).__name__}"
        ) from error
    if mask.ndim != 2:
        raise RecordError(
            "mask in colour", f"the mask {path} has {mask.shape[2]} channels: wanted one, of class numbers"
        )
    if mask.min() < 0 or mask.max() > IGNORED:
        raise RecordError(
            "unknown class", f"the mask {path} has numbers from {mask.min()} to {mask.max()}: wanted 0 to 255"
        )
    return mask.astype(np.uint8)


def _fitted_mask(path: Path, num_classes: int, place: Fit) -> NDArray[np.uint8]:
    """The mask at `path`, scaled as its picture: (high, wide)."""
    from PIL import Image

    mask = read_mask(path)
    if mask.shape != (place.height, place.width):
        high, wide = mask.shape
        size = f"{wide} x {high} pixels, but its picture {place.width} x {place.height}"
        raise RecordError("mask of another size", f"the mask {path} has {size}")
    highest = int(mask.max(initial=0, where=mask != IGNORED))
    if highest > num_classes:
        raise RecordError(
            "unknown class", f"the mask {path} has the class {highest}, but the classes are 0 to {num_classes}"
        )
    return np.asarray(Image.fromarray(mask).resize((place.wide, place.high), Image.Resampling.NEAREST))
