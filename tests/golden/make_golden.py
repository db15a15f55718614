"""Make the golden vectors: what PyTorch gives in float64, for test runs without it.

Run from the repository's root, with PyTorch and tinyresnet installed: python tests/golden/make_golden.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from tinyresnet import Array

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cases import SMALL, torch_resnet20  # noqa: E402 (the tests' folder is known only now)
from parity import OPTIMISERS, start, tensors, theirs, train_theirs  # noqa: E402


def main() -> None:
    """Write `layers.safetensors`, one array for every result of every row, and `training.safetensors`, ResNet-20's losses and logits."""
    rows = {
        f"{case.name}/{'train' if train else 'eval'}/{name}": array
        for case in SMALL
        for train in case.modes
        for name, array in theirs(torch, case, case.x(), train).items()
    }
    save(rows, "layers.safetensors")

    runs: dict[str, Array] = {}
    for optimiser in OPTIMISERS:
        p = tensors(torch, start("resnet20"))
        params = [tensor for tensor in p.values() if tensor.requires_grad]
        losses, logits = train_theirs(
            torch, lambda x, p=p: torch_resnet20(torch.nn.functional, x, p, True), params, optimiser, steps=5
        )
        runs |= {f"{optimiser}/losses": losses, f"{optimiser}/logits": logits}
    save(runs, "training.safetensors")


def save(arrays: dict[str, Array], file: str) -> None:
    """Write named arrays beside this script."""
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, HERE / file)
    print(f"{file}: {(HERE / file).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
