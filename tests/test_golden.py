"""Every row of `cases.py` and five training steps of ResNet-20 against numbers that PyTorch gave once: no PyTorch needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cases import SMALL, Case
from parity import OPTIMISERS, error, errors, ours, start, train_ours, worst
from tinyresnet import Array

HERE = Path(__file__).parent / "golden"


def read(file: str) -> dict[str, Array]:
    arrays: dict[str, Array] = load_file(HERE / file)
    return arrays


@pytest.fixture(scope="module")
def rows() -> dict[str, Array]:
    return read("layers.safetensors")


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_row(case: Case, rows: dict[str, Array]) -> None:
    for train in case.modes:
        prefix = f"{case.name}/{'train' if train else 'eval'}/"
        golden = {name.removeprefix(prefix): array for name, array in rows.items() if name.startswith(prefix)}
        found = errors(ours(case, case.x(), train), golden)
        assert worst(found)[0] <= 1e-10, worst(found)


def test_no_vector_is_left_over(rows: dict[str, Array]) -> None:
    assert {name.split("/")[0] for name in rows} == {case.name for case in SMALL}, "run tests/golden/make_golden.py"


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_steps(optimiser: str) -> None:
    golden = read("training.safetensors")
    losses, logits = train_ours(start("resnet20"), optimiser, steps=5)
    assert np.abs(losses / golden[f"{optimiser}/losses"] - 1).max() <= 1e-8
    assert max(map(error, logits, golden[f"{optimiser}/logits"])) <= 1e-8


def test_vectors_stay_small() -> None:
    assert sum(file.stat().st_size for file in HERE.glob("*.safetensors")) < 400_000
