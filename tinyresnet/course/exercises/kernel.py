"""Lesson 10: a CUDA kernel, run on the CPU by the host runtime, which watches and counts (`course/assistant/kernel_run.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Exercise, Function, Rng
from .words import hints

SIZES = ({"sizes": (32, 32, 32)}, {"sizes": (16, 48, 32)}, {"sizes": (17, 23, 19)}, {"sizes": (5, 40, 33)})


def draw(rng: Rng, sizes: tuple[int, int, int]) -> tuple[Any, ...]:
    """A (M, K) and B (K, N) in float32."""
    M, N, K = sizes
    return rng.standard_normal((M, K)).astype(np.float32), rng.standard_normal((K, N)).astype(np.float32)


MATMUL = Exercise(
    "matmul",
    10,
    "A tiled matrix product in CUDA",
    (
        Function(
            "matmul",
            6,
            draw,
            np.matmul,
            ("c",),
            SIZES,
            hints=hints("matmul"),
        ),
    ),
    file="matmul.cu",
)
