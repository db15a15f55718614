"""Reads one picture file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})
MAX_PIXELS = 64_000_000  # what a picture may declare: a small file can unfold to fill the memory
ORIENTATION = 274  # the EXIF tag


def read_picture(path: Path, size: int, channels: int = 3) -> NDArray[np.uint8]:
    """The picture at `path` as (channels, size, size) uint8: RGB for 3 channels, grey for 1.

    Its shorter side is brought to `size` and the middle cut out, after turning it as its EXIF data say. Of a moving
    picture, the first. Raises InputError naming the file if it is no picture, damaged or too large.
    """
    from PIL import Image

    image, _ = decoded(path, size, "RGB" if channels == 3 else "L")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1))


def decoded(path: Path, size: int, mode: str = "RGB") -> tuple[Image.Image, tuple[int, int]]:
    """The picture at `path`, turned as its EXIF data say, and its width and height in the file.

    The picture itself may be smaller: JPEG is decoded at a fraction of its size, if that leaves 2 `size` pixels.
    Raises InputError naming the file if it is no picture, damaged or too large.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path} has {width} x {height} pixels, at most {MAX_PIXELS:,} are read")
            if file.getexif().get(ORIENTATION, 1) >= 5:  # turned by a right angle
                width, height = height, width
            file.draft("RGB", (2 * size, 2 * size))
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 256).astype(np.uint8))
            return image.convert(mode), (width, height)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"there is no picture {path}") from error
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they trip over
        raise InputError(f"cannot read the picture {path}: {str(error) or type(error).__name__}") from error
