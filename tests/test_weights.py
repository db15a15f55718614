"""Weight files: what is saved is loaded, nothing is half written, and no file, however hostile, gives more than an error."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tinyresnet as tr
from cases import draw
from parity import start
from tinyresnet import Array, InputError
from tinyresnet.layers import Chain, Linear
from tinyresnet.weights import read_arrays, write_arrays

SETTINGS: dict[str, Any] = {"width": 4, "num_classes": 7, "in_channels": 1, "shortcut": "B", "dropout": 0.1}


def small(**settings: Any) -> tr.ResNet:
    return tr.build("resnet20", **{**SETTINGS, **settings}, rng=np.random.default_rng(3))


def assert_same(model: tr.Layer, other: tr.Layer) -> None:
    for (name, array), (other_name, other_array) in zip(
        model.state_dict().items(), other.state_dict().items(), strict=True
    ):
        assert (name, array.dtype, array.shape) == (other_name, other_array.dtype, other_array.shape)
        np.testing.assert_array_equal(array, other_array)


def test_round_trip(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "deeper" / "weights.safetensors"
    model.forward(draw(1, (2, 1, 8, 8)).astype(np.float32), train=True)  # moves running statistics and counts
    header = tr.Header(
        model.config, ("cat", "狗"), (0.5,), (0.25,), picture_size=8, extra={"epochs": 3, "lrs": [0.1, 0.01]}
    )
    tr.save(path, model, header=header)
    again, read = tr.load_model(path)
    assert read == header
    assert again.config == model.config
    assert_same(again, model)
    other = small(zero_init_residual=True)
    assert tr.load(path, other) == header
    assert_same(other, model)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_header_may_be_left_out(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", small()
    tr.save(path, model)
    assert tr.load_model(path)[1] == tr.Header(model.config)
    layer = Linear(3, 2, rng=np.random.default_rng(0))
    tr.save(path, layer)  # not a network: no configuration
    assert tr.load(path, Linear(3, 2, rng=np.random.default_rng(1))) == tr.Header()
    with pytest.raises(InputError, match="does not say which model"):
        tr.load_model(path)


def test_file_from_elsewhere(tmp_path: Path) -> None:
    """`module.` and `linear.` are understood, old files without counts too; sizes and shortcuts are read off the arrays."""
    path = tmp_path / "w.safetensors"
    for name, settings in [
        ("resnet20", SETTINGS),
        ("plain20", {"width": 8}),
        ("resnet18", {"width": 2, "in_channels": 4}),
    ]:
        model = tr.build(name, **{**settings, "dropout": 0.0}, rng=np.random.default_rng(5))
        state = {
            "module." + n.replace("fc.", "linear."): a for n, a in model.state_dict().items() if "num_batches" not in n
        }
        save_file(state, path)
        again, header = tr.load_model(path, name)
        assert header == tr.Header()
        assert_same(again, model)
    with pytest.raises(InputError, match="did you mean 'plain20'"):
        tr.load_model(path, "plian20")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_load(tmp_path: Path, dtype: type) -> None:
    path, model = tmp_path / "w.safetensors", small()
    wanted = {name: a.astype(dtype) if a.dtype == np.float32 else a for name, a in model.state_dict().items()}
    save_file(wanted, path)
    tr.load(path, model)
    for name, array in model.state_dict().items():
        assert array.dtype == (np.int64 if "num_batches" in name else np.float32)
        np.testing.assert_array_equal(array, wanted[name].astype(array.dtype))


def test_every_dtype_and_layout_is_written(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {
        "a": draw(1, (3, 4)).T,
        "b": draw(2, (4, 4))[::2, ::-1].astype(np.float32),
        "c": np.array(5),
        "d": np.zeros((0, 3), np.float16),
        "e": np.array([True, False]),
    }
    write_arrays(tmp_path / "a.safetensors", arrays, tr.Header())
    read, _ = read_arrays(tmp_path / "a.safetensors")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read[name], array)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    tr.save(path, small())
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        tr.save(path, small(width=8))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        tr.save(tmp_path / "file" / "w.safetensors", small())
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        tr.save(tmp_path / "folder", small())
    assert list((tmp_path / "folder").iterdir()) == []

    def refuse(*args: object, **settings: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(InputError, match=r"cannot write .*Permission denied"):
        tr.save(tmp_path / "w.safetensors", small())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_missing_and_mismatched_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        tr.load(tmp_path / "none.safetensors", small())
    with pytest.raises(InputError, match="there is no such file"):
        tr.load_model(tmp_path)
    path = tmp_path / "w.safetensors"
    tr.save(path, small())
    with pytest.raises(InputError, match=r"w\.safetensors: .*misshapen: fc.weight \(7, 16\) instead of \(9, 16\)"):
        tr.load(path, small(num_classes=9))
    state = small().state_dict()
    state["bn1.num_batches_tracked"] = np.array(1.5)
    state["conv1.weight"] = state["conv1.weight"].astype(np.complex64)
    with pytest.raises(InputError, match=r"wrong dtype: conv1.weight complex64 for float32, .* float64 for int64"):
        small().load_state_dict(state)


def test_a_mismatch_changes_nothing() -> None:
    model = small()
    before = model.state_dict()
    with pytest.raises(InputError):
        model.load_state_dict({**small(zero_init_residual=True).state_dict(), "fc.bias": np.zeros(3)})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


GOOD = {"name": "resnet20", **SETTINGS}
WRONG_TEXTS = """
{ | [] | null | 5 | "text" | {"model": 5} | {"model": "resnet20"} | {"model": {"name": "resnet20", "colour": 1}}
| {"classes": 3} | {"classes": null} | {"mean": "abc"} | {"mean": [null]} | {"std": {"a": 1}} | {"extra": 3}
| {"picture_size": "big"} | {"picture_size": Infinity} | {"picture_size": NaN}
"""
WRONG_SETTINGS: dict[str, list[Any]] = {
    "name": [5, None, [], {}, "resnet21"],
    "num_classes": [0, -1, "7", 7.5, None, True, [7], 10**12, 8],
    "width": [0, "4", 10**9, 5],
    "in_channels": [0, 3, 10**12, "1"],
    "shortcut": ["E", 5, ["A"], "A", "AB"],
    "dropout": ["much", 1, -0.1, None, 2.0],
}
WRONG_HEADERS = [
    *(text.strip() for text in WRONG_TEXTS.split("|")),
    "[" * 100_000,
    *(json.dumps({"model": {**GOOD, key: value}}) for key, values in WRONG_SETTINGS.items() for value in values),
]


@pytest.mark.parametrize("header", WRONG_HEADERS, ids=range(len(WRONG_HEADERS)))
def test_wrong_headers(tmp_path: Path, header: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file(small().state_dict(), path, {"tinyresnet": header})
    with pytest.raises(InputError, match=r"w\.safetensors|unknown model") as caught:
        tr.load_model(path)
    assert len(str(caught.value)) < 2000


def fuzz(data: bytes, rng: np.random.Generator) -> bytes:
    """The file cut short, lengthened, with random bytes, or with a changed header."""
    changed = bytearray(data)
    size = struct.unpack("<Q", data[:8])[0]
    way = rng.integers(6)
    if way == 0:
        return data[: rng.integers(len(data))]
    if way == 1:
        return data + rng.bytes(int(rng.integers(1, 50)))
    if way == 2:
        return struct.pack("<Q", int(rng.integers(0, 2 ** int(rng.integers(1, 63))))) + data[8:]
    ends = {3: (8, 8 + size), 4: (0, len(data)), 5: (8, 8 + size)}[int(way)]
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(*ends))
        changed[place] = rng.integers(256) if way != 5 else rng.choice(list(b'0123456789{}[]",:-FIUB'))
    return bytes(changed)


def test_no_file_gives_more_than_an_error(tmp_path: Path) -> None:
    """Three thousand broken files: InputError, or arrays that fit. No other exception, and no warning."""
    good, path = tmp_path / "good.safetensors", tmp_path / "w.safetensors"

    def make() -> Chain:
        return Chain({"fc": Linear(2, 3, rng=np.random.default_rng(0))})

    config = tr.Config("resnet20", num_classes=3)
    tr.save(good, make(), header=tr.Header(config, ("a", "b", "c"), (0.5,), (0.5,), 8, {"k": [1, None]}))
    data, rng = good.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(3000):
        path.write_bytes(fuzz(data, rng))
        model = make()
        try:
            header = tr.load(path, model)
        except InputError:
            refused += 1
        else:
            assert isinstance(header, tr.Header)
            assert all(isinstance(array, np.ndarray) for array in model.state_dict().values())
        with pytest.raises(InputError):  # these arrays are no network
            tr.load_model(path, "resnet20")
    assert 1500 < refused < 3000


def test_hostile_tables(tmp_path: Path) -> None:
    """Well-formed headers that lie about offsets, shapes and dtypes."""
    path = tmp_path / "w.safetensors"
    good = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    lies: list[dict[str, Any]] = [
        {**good, "data_offsets": [0, 10**18]},
        {**good, "data_offsets": [16, 0]},
        {**good, "data_offsets": [-4, 12]},
        {**good, "shape": [2**40, 2**40]},
        {**good, "shape": [2, -2]},
        {**good, "shape": "2,2"},
        {**good, "dtype": "object"},
        {**good, "dtype": "F8_E4M3", "shape": [16]},
        {**good, "dtype": "BF16", "shape": [8]},
        {"dtype": "F32", "shape": [2, 2]},
    ]
    for lie in lies:
        table = json.dumps({"weight": lie}).encode()
        path.write_bytes(struct.pack("<Q", len(table)) + table + bytes(16))
        with pytest.raises(InputError, match=r"w\.safetensors"):
            tr.load(path, Linear(2, 2, rng=np.random.default_rng(0)))


def test_what_is_written_is_plain_safetensors(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", start("resnet20")
    tr.save(path, model)
    arrays: dict[str, Array] = load_file(path)
    assert arrays.keys() == model.state_dict().keys()
    assert arrays["bn1.num_batches_tracked"].shape == ()
