"""`tinyresnet predict` of a detector or a segmenter: what is where in pictures of any size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..detect import Detections, Detector
    from ..segment import Segmenter
    from ..weights import Header


def run(args: argparse.Namespace, model: Detector | Segmenter, header: Header) -> int:
    """Predict; the exit code."""
    from ..annotate import with_boxes, with_mask
    from ..data.batches import normalize
    from ..detect import Detections, Detector, detections
    from ..device import beside, move
    from ..files import replacing
    from ..tasks.segment import masks_of

    move(model, args.device)
    classes = header.classes or tuple(str(k) for k in range(model.config.num_classes))
    if args.classes:
        classes = tuple(name.strip() for name in args.classes.split(","))
    if len(classes) != model.config.num_classes:
        raise InputError(f"--classes names {len(classes)} classes, but the model knows {model.config.num_classes}")
    norm = arguments.normalization(args.normalize, header)
    if norm is None:
        raise InputError(f"{args.weights} does not say how pictures were normalised: give --normalize, e.g. imagenet")
    arguments.check_channels(model, norm, 3, "a picture")
    size = arguments.checked_size(args.picture_size or header.picture_size or model.picture_size)
    outs = _outs(args.plot, args.pictures)
    read = [_fitted(name, size) for name in args.pictures]  # all of them first: a broken one stops it here
    rows: list[dict[str, Any]] = []
    for name, out, (picture, fitted, place) in zip(args.pictures, outs, read, strict=True):
        x = beside(model, normalize(fitted[None], norm.mean, norm.std)[:, :, : place.high, : place.wide])
        if isinstance(model, Detector):
            found = detections(model.forward(x, train=False)[0], (place.high, place.wide))[0]
            scale = np.tile((place.width / place.wide, place.height / place.high), 2)
            found = Detections((found.boxes * scale).astype(np.float32), found.scores, found.labels)
            rows.append(_boxes(name, found, classes, args.threshold))
            image = with_boxes(picture, found, classes, least=args.threshold)
        else:
            mask = _as_large(masks_of(model.forward(x, train=False)[0])[0], picture.shape[1:])
            rows.append(_pixels(name, mask, classes))
            image = with_mask(picture, mask, classes)
        if out:
            with replacing(out) as beside_it:
                image.save(beside_it, format="PNG")
    if args.json:
        console.print_json({"model": model.config.name, "normalize": norm.source, "pictures": rows})
    else:
        for row in rows:
            _show(row)
    for out in filter(None, outs):
        print(f"drawn: {out}", file=sys.stderr)
    return 0


def _outs(out: Path | None, pictures: list[str]) -> list[Path | None]:
    """Where each picture is drawn: FILE.png, or FILE-1.png, FILE-2.png ... for several."""
    if out is None or len(pictures) == 1:
        return [out] * len(pictures)
    return [out.with_name(f"{out.stem}-{i}{out.suffix}") for i in range(1, len(pictures) + 1)]


def _fitted(name: str, size: int) -> tuple[Any, Any, Any]:
    """The picture (3, H, W) as it is, the same scaled into a square (3, size, size), and how it fits there."""
    from ..data.picture import decoded
    from ..data.scene_files import fit, on_square

    if Path(name).is_dir():
        raise InputError(f"{name} is a folder: name the pictures in it")
    image, _ = decoded(Path(name), 4096)
    place = fit(*image.size, size)
    return np.asarray(image).transpose(2, 0, 1), on_square(image, place, size), place


def _as_large(mask: Any, size: tuple[int, int]) -> Any:
    """The mask with each pixel as large as the picture's (H, W) want it."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, mask.shape, strict=True))
    return mask[rows[:, None], columns]


def _boxes(name: str, found: Detections, classes: tuple[str, ...], threshold: float) -> dict[str, Any]:
    kept = [
        {"class": classes[int(label)], "score": round(float(score), 4), "box": [round(float(v), 1) for v in box]}
        for box, score, label in zip(*found, strict=True)
        if score >= threshold
    ]
    return {"picture": name, "found": kept}


def _pixels(name: str, mask: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    counts = np.bincount(mask.ravel(), minlength=len(classes) + 1) / mask.size
    shares = {"background": round(float(counts[0]), 4)}
    shares |= {
        classes[k]: round(float(counts[k + 1]), 4) for k in np.argsort(-counts[1:], kind="stable") if counts[k + 1]
    }
    return {"picture": name, "share_of_pixels": shares}


def _show(row: dict[str, Any]) -> None:
    if "found" in row:
        lines = [(f["class"], f"{f['score']:.2f}", *(f"{v:.0f}" for v in f["box"])) for f in row["found"]]
        console.table(row["picture"], ("class", "score", "left", "top", "right", "bottom"), lines)
        if not lines:
            print("  nothing found above the threshold\n")
    else:
        lines = [(name, f"{100 * share:.1f} %") for name, share in row["share_of_pixels"].items()]
        console.table(row["picture"], ("class", "of the pixels"), lines)
