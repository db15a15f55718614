"""The small segmenter that `--task segment` walks: a class for every pixel of two pictures of 8 x 8.

    x 1@8x8   backbone, resnet8 of one channel    stride 2: 2@4x4, stride 4: 4@2x2
              head, "fpn" or "fcn"                3@8x8 - loss

In hand numbers, as `small.py` has them. Strokes are things, stray pixels are nobody's: they do not count.
"""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..data.scene_set import IGNORED
from ..layers import ConvTranspose2d
from ..resnet import Config
from ..segment import Segmenter, SegmenterConfig
from ..tasks.segment import BACKGROUND
from . import small

THINGS = small.CLASSES[:2]
CLASSES = (BACKGROUND, *THINGS)
LEAST = 0.002  # a gradient worth looking at: the loss is the mean of over 100 pixels


def hand_segmenter(seed: int, head: str) -> tuple[Segmenter, Array, Array]:
    """The segmenter in hand numbers, two pictures (2, 1, 8, 8) and their masks (2, 8, 8), all drawn from the seed; float64.

    Of the segmenters that the seed draws the first is taken that `small.speaks`. Transposed convolutions of "fcn" start as bilinear
    interpolation. Raises InputError on an unknown head.
    """
    backbone = Config("resnet8", num_classes=len(THINGS), in_channels=1, width=1)
    config = SegmenterConfig(backbone, head=head, channels=1, extra=0)
    rng = np.random.default_rng(seed)
    while True:
        model = Segmenter(config, rng=rng, dtype=np.float64)
        started = {path for path, layer in model.named_layers() if head == "fcn" and isinstance(layer, ConvTranspose2d)}
        for name, param in model.named_params():
            if name.rpartition(".")[0] not in started:
                small.in_quarters(name, param, rng)
        x, labels = small.pictures(rng, len(THINGS))
        masks = masks_of(x, labels)
        if small.speaks(model, x, masks, least=LEAST):
            model.zero_grad()
            return model, x, masks


def masks_of(x: Array, labels: Array) -> Array:
    """The class of every pixel (N, H, W): 0 for the background, 1 + the picture's label for strokes; stray pixels are IGNORED."""
    pixels = x[:, 0]
    return np.where(pixels >= 2, 1 + labels[:, None, None], np.where(pixels == 1, IGNORED, 0))
