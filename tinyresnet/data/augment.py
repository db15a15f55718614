"""Random changes to training pictures: each vectorised over the batch and drawn from a passed generator.

Every function returns a new array (or its argument as it came, when there is nothing to do) and writes to none. Pictures may be CuPy's: the
draws are the host's all the same, so that both see the same changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import array_module
from tinyresnet_kernels.im2col import windows

from ..errors import InputError

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Augment:
    """What to change, nothing by default. `colour` works on pixels in [0, 1], `change` on normalised pictures.

    crop: pad by this many zero pixels (zero is the mean) and cut at random; flip: left-right with probability 1/2;
    cutout: side of the blanked square; mixup: alpha of the Beta distribution; jitter: strength of colour changes.
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("crop", "cutout", "mixup"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} must be 0 or more, got {value}")
        if not 0 <= self.jitter <= 1:
            raise InputError(f"jitter must be between 0 and 1, got {self.jitter}")

    def colour(self, x: Images, rng: np.random.Generator) -> Images:
        """The changes before normalisation: x (N, C, H, W) in [0, 1]."""
        return colour_jitter(x, self.jitter, rng) if self.jitter else x

    def change(
        self, x: Images, labels: NDArray[np.int64], num_classes: int, rng: np.random.Generator
    ) -> tuple[Images, NDArray[Any]]:
        """The changes after normalisation: x (N, C, H, W), labels (N,); with mixup, labels become (N, K) float32."""
        x = random_crop(x, self.crop, rng) if self.crop else x
        x = random_flip(x, rng) if self.flip else x
        x = cutout(x, self.cutout, rng) if self.cutout else x
        return mixup(x, labels, num_classes, self.mixup, rng) if self.mixup else (x, labels)


def random_crop(x: Images, pad: int, rng: np.random.Generator) -> Images:
    """Each picture of x (N, C, H, W) moved by up to `pad` pixels each way, zeros moving in (He et al. 2016, 4.2)."""
    xp, (N, _, H, W) = array_module(x), x.shape
    padded = xp.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    cuts = windows(padded, (H, W), (1, 1), (1, 1)).transpose(0, 1, 4, 5, 2, 3)  # by their corner (top, left)
    top, left = xp.asarray(rng.integers(0, 2 * pad + 1, size=(2, N)))
    return cuts[xp.arange(N), :, top, left]


def random_flip(x: Images, rng: np.random.Generator) -> Images:
    """Each picture of x (N, C, H, W) mirrored left-right with probability 1/2."""
    xp = array_module(x)
    flipped = xp.asarray(rng.random(len(x)) < 0.5)
    return xp.where(flipped[:, None, None, None], x[..., ::-1], x)  # type: ignore[no-any-return]


def cutout(x: Images, side: int, rng: np.random.Generator) -> Images:
    """A square of zeros around a random pixel of each picture, cut off at the borders (DeVries and Taylor 2017)."""
    xp, (N, _, H, W) = array_module(x), x.shape
    top, left = xp.asarray(rng.integers(0, (H, W), size=(N, 2)).T - side // 2)
    rows, columns = xp.arange(H) - top[:, None], xp.arange(W) - left[:, None]
    blank = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return xp.where(blank[:, None], np.float32(0), x)  # type: ignore[no-any-return]


def mixup(
    x: Images, labels: NDArray[np.int64], num_classes: int, alpha: float, rng: np.random.Generator
) -> tuple[Images, NDArray[np.float32]]:
    """t x + (1 - t) x', and their labels likewise, x' a permutation of x and t ~ Beta(alpha, alpha), one a batch.

    Labels become distributions (N, K), where they were. Zhang, Cisse, Dauphin and Lopez-Paz, "mixup", 2018.
    """
    share = np.float32(rng.beta(alpha, alpha))
    other = rng.permutation(len(x))
    target = (labels[:, None] == array_module(labels).arange(num_classes)).astype(np.float32)
    mixed, mixed_target = (
        share * values + (1 - share) * values[array_module(values).asarray(other)] for values in (x, target)
    )
    return mixed, mixed_target


def colour_jitter(x: Images, strength: float, rng: np.random.Generator) -> Images:
    """Brightness, contrast, then saturation of each picture in [0, 1], times a factor in [1 - s, 1 + s]."""
    xp, (N, C, _, _) = array_module(x), x.shape
    factors = rng.uniform(1 - strength, 1 + strength, (3, N, 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = xp.asarray(factors)
    x = xp.clip(brightness * x, 0, 1)
    middle = _grey(x).mean(axis=(2, 3), keepdims=True)
    x = xp.clip(middle + contrast * (x - middle), 0, 1)
    if C == 3:
        grey = _grey(x)
        x = xp.clip(grey + saturation * (x - grey), 0, 1)
    return x


def _grey(x: Images) -> Images:
    """The brightness of colour pictures (ITU-R BT.601): (N, 1, H, W)."""
    if x.shape[1] != 3:
        return x
    grey: Images = np.float32(0.299) * x[:, :1] + np.float32(0.587) * x[:, 1:2] + np.float32(0.114) * x[:, 2:]
    return grey
