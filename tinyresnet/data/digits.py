"""`digits`: 1,797 handwritten digits of 8 x 8 grey pixels, which come with scikit-learn."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .dataset import Dataset

MEAN, STD = (0.305,), (0.376,)  # of the training pictures at 8 x 8
TRAINING = 1437  # four fifths


def load_digits() -> tuple[Dataset, Dataset]:
    """1,437 training and 360 test pictures (N, 1, 8, 8), always split in the same way.

    Raises InputError if scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise InputError("digits come with scikit-learn: install it by: pip install scikit-learn") from error
    raw = load()
    x = np.rint(raw.images[:, None] * (255 / 16)).astype(np.uint8)  # pixels are 0..16
    y = raw.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    classes = tuple(str(digit) for digit in range(10))
    parts = order[:TRAINING], order[TRAINING:]
    train, test = (Dataset("digits", x[part], y[part], classes, MEAN, STD) for part in parts)
    return train, test
