"""The weights that come with the library: how they are packed, that they are small, and that they say how they were made."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import tinyresnet as tr
from tinyresnet import trained
from tinyresnet.errors import InputError
from tinyresnet.trained.__main__ import main
from tinyresnet.weights import Header, save


def test_unpacking_undoes_packing_to_half_a_step() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "weight": rng.standard_normal((5, 3, 3, 2)).astype(np.float32)
        * np.geomspace(1e-4, 1e3, 5, dtype=np.float32)[:, None, None, None],
        "zero": np.zeros((2, 3), np.float32),
        "bias": rng.standard_normal(5).astype(np.float32),
        "count": np.array(7),
    }
    packed = trained.pack(arrays)
    assert packed["weight"].dtype == np.int8
    again = trained.unpack(packed)
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        steps = packed.get(name + trained.SCALE, np.zeros(1)).reshape(-1, *(1,) * (array.ndim - 1))
        assert (np.abs(again[name] - array) <= 0.5001 * steps).all()


def test_both_together_are_small_and_say_how_they_were_made() -> None:
    """Small as they travel, in a wheel, which is a ZIP file."""
    files = sorted(Path(str(trained.__file__)).parent.glob("*.safetensors"))
    assert [file.stem for file in files] == list(trained.TASKS)
    assert sum(len(zlib.compress(file.read_bytes())) for file in files) < 300_000
    for task in trained.TASKS:
        model, header = trained.built_in(task)
        assert model.config.as_dict()["task"] == task
        assert header.extra["made_by"].startswith(f"tinyresnet train --task {task}")
        assert len(header.classes) == model.config.num_classes


def test_made_from_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    model = tr.build("resnet8", width=4, rng=np.random.default_rng(0))
    header = Header(model.config, extra={"about": {"data": "shapes", "out": "here"}, "settings": {"seed": 4, "lr": 1}})
    save(tmp_path / "run" / "best.safetensors", model, header=header)
    out = tmp_path / "out.safetensors"
    assert main([str(tmp_path / "run"), "--made-by", "tinyresnet train", "--out", str(out)]) == 0
    assert "bytes" in capsys.readouterr().out
    arrays, header = tr.weights.read_arrays(out)
    assert header.extra == {"about": {"data": "shapes"}, "settings": {"seed": 4}, "made_by": "tinyresnet train"}
    model.load_state_dict(trained.unpack(arrays))


def test_another_task_is_refused() -> None:
    with pytest.raises(InputError, match="detect"):
        trained.built_in("dance")
