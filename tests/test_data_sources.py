"""Folders of pictures, NPZ files, digits, and how `load` chooses among all sources."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyresnet.data import NORMALIZE, SOURCES, cifar, eval_batches, load, npz, picture, read_picture
from tinyresnet.data.dataset import measure
from tinyresnet.errors import InputError

SHARED = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)
COLOURS = {"blue": (20, 40, 200), "green": (30, 180, 60), "red": (220, 10, 30)}


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"needs {name} in the shared data folder")
    return SHARED / name


def picture_folder(root: Path, counts: dict[str, int], suffix: str = ".png", size: tuple[int, int] = (40, 32)) -> Path:
    """`root`/CLASS/0.png ...: pictures of the colour that the class is named after."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", size, COLOURS[name]).save(root / name / f"{i}{suffix}")
    return root


def check_colours(data) -> None:
    for batch in eval_batches(data, batch_size=7, mean=(0,), std=(1,)):
        wanted = np.array([COLOURS[data.classes[label]] for label in batch.labels]) / 255
        assert np.abs(batch.x - wanted[:, :, None, None]).max() < 0.03


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".gif", ".webp"])
@pytest.mark.parametrize("test_name", ["test", "val", "valid"])
def test_folder_with_training_and_test(suffix, test_name, tmp_path):
    counts = {"red": 5, "blue": 4, "green": 6}
    picture_folder(tmp_path / "train", counts, suffix)
    picture_folder(tmp_path / test_name, {"red": 2, "green": 3}, suffix)
    (tmp_path / "train" / "red" / "notes.txt").write_text("not a picture")
    (tmp_path / "train" / ".cache").mkdir()
    train, test = load(str(tmp_path), picture_size=12)
    assert (train.name, train.classes) == (tmp_path.name, ("blue", "green", "red"))
    assert train.x.shape == (15, 3, 12, 12)
    assert np.array_equal(np.bincount(train.y), [4, 6, 5])
    assert np.array_equal(np.bincount(test.y), [0, 3, 2])
    assert np.abs(np.subtract(measure(train.x), (train.mean, train.std))).max() < 1e-12
    check_colours(train)
    check_colours(test)


def test_folder_of_classes_is_split_by_seed_and_misses_nothing(tmp_path):
    for i, path in enumerate(sorted(picture_folder(tmp_path, {"red": 20, "blue": 10, "green": 2}).rglob("*.png"))):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(path)
    splits = []
    for seed in (0, 0, 1):
        train, test = load(str(tmp_path), seed=seed, picture_size=4)
        assert [np.bincount(data.y).tolist() for data in (train, test)] == [[8, 1, 16], [2, 1, 4]]
        shades = [data.x[np.arange(len(data))][:, 0, 0, 0].tolist() for data in (train, test)]
        assert sorted(shades[0] + shades[1]) == list(range(32))
        splits.append(shades)
    assert splits[0] == splits[1] != splits[2]
    assert len(set(load(str(tmp_path))[0].head(6).y)) > 1  # shuffled: the head is no single class


def test_pictures_are_read_when_needed_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyresnet.data.folder.MEASURED", 3)
    read = []
    monkeypatch.setattr("tinyresnet.data.folder.read_picture", lambda p, s: read.append(p) or read_picture(p, s))
    picture_folder(tmp_path, {"red": 10, "blue": 10})
    for limit, again in ((1 << 30, 0), (1000, 5)):
        read.clear()
        monkeypatch.setattr("tinyresnet.data.folder.KEPT_BYTES", limit)
        train, _ = load(str(tmp_path))
        assert len(read) == 3
        first = train.x[np.arange(5)]
        count = len(read)
        assert np.array_equal(train.x[np.arange(5)], first)
        assert len(read) == count + again


def test_folder_shows_progress_on_stderr_alone(tmp_path, capsys):
    picture_folder(tmp_path, {"red": 4, "blue": 4})
    load(str(tmp_path), progress=True)
    shown = capsys.readouterr()
    assert "reading pictures" in shown.err
    assert shown.out == ""


def test_real_pictures_from_a_folder(tmp_path):
    with tarfile.open(shared("cifar10-jpeg.tar.xz")) as archive:
        for member in archive:  # the first few of each of the first classes: reading on would take long
            parts = Path(member.name).parts
            if member.isfile() and parts[-1] < "0006.jpg":
                target = tmp_path.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())
            if len(list((tmp_path / parts[0]).glob("*/*.jpg"))) >= 18:
                break
    train, test = load(str(tmp_path / parts[0]))
    assert len(train.classes) == 3
    assert train.x.shape[1:] == test.x.shape[1:] == (3, 32, 32)
    assert all(0.05 < std < 0.5 for std in train.std)


def gradient(width: int, height: int) -> np.ndarray:
    return np.linspace(0, 255, width * height).astype(np.uint8).reshape(height, width)


def test_read_picture_takes_the_middle_of_any_kind_of_picture(tmp_path):
    grey = gradient(30, 20)
    pictures = {
        "grey.png": Image.fromarray(grey),
        "rgb.png": Image.fromarray(grey).convert("RGB"),
        "rgba.png": Image.fromarray(grey).convert("RGBA"),
        "palette.gif": Image.fromarray(grey).convert("P"),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    wanted = np.asarray(Image.fromarray(grey).crop((5, 0, 25, 20)).resize((10, 10), Image.Resampling.BILINEAR))
    for name, image in pictures.items():
        image.save(tmp_path / name)
        for channels in (1, 3):
            x = read_picture(tmp_path / name, 10, channels)
            assert (x.shape, x.dtype, x.flags.c_contiguous) == ((channels, 10, 10), np.uint8, True)
            assert np.abs(x.astype(int) - wanted).max() <= 1, name
    Image.fromarray(gradient(1, 9)).save(tmp_path / "thin.png")
    assert read_picture(tmp_path / "thin.png", 8).shape == (3, 8, 8)


def test_read_picture_turns_a_photograph_as_its_camera_says(tmp_path):
    image = Image.new("RGB", (32, 32), "black")
    image.paste("white", (0, 0, 32, 16))  # white above black
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: white on the right
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    x = read_picture(tmp_path / "turned.jpg", 8)
    assert x[:, :, :3].max() < 20
    assert x[:, :, 5:].min() > 235


def png_bytes(size: tuple[int, int] = (20, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def bomb() -> bytes:
    """A small PNG of 20,000 x 20,000 pixels of one bit."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "png")
    return buffer.getvalue()


BAD_PICTURES = {
    "text.jpg": (b"hello", "cannot read the picture .*text.jpg"),
    "empty.png": (b"", "cannot read the picture .*empty.png"),
    "short.png": (png_bytes()[:300], "cannot read the picture .*short.png"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot read the picture .*script.png"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_broken_picture_is_named(name, tmp_path):
    data, message = BAD_PICTURES[name]
    (picture_folder(tmp_path, {"red": 8, "blue": 8}) / "red" / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        load(str(tmp_path))
    with pytest.raises(InputError, match="there is no picture"):
        read_picture(tmp_path / "gone.png", 8)


def test_a_picture_that_unfolds_too_far_is_refused(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(bomb())
    with pytest.raises(InputError, match=r"bomb\.png"):  # Pillow itself warns or refuses first
        read_picture(tmp_path / "bomb.png", 8)
    (tmp_path / "large.png").write_bytes(png_bytes((30, 40)))
    monkeypatch.setattr(picture, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match=r"large\.png has 40 x 30 pixels, at most 1,000"):
        read_picture(tmp_path / "large.png", 8)


def test_mutated_pictures_give_an_input_error_or_a_picture(tmp_path):
    seeds = []
    for kind in ("png", "jpeg", "bmp", "gif", "webp"):
        buffer = io.BytesIO()
        Image.fromarray(RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(buffer, kind)
        seeds.append(buffer.getvalue())
    rng = np.random.default_rng(1)
    outcomes = set()
    for i in range(400):
        data = bytearray(seeds[i % len(seeds)])
        for place in rng.integers(0, min(len(data), 200), rng.integers(1, 4)):
            data[place] = rng.integers(256)
        (tmp_path / "x").write_bytes(data[: rng.integers(1, len(data) + 1)] if i % 4 == 0 else data)
        try:
            outcomes.add(read_picture(tmp_path / "x", 8).shape)
        except InputError:
            outcomes.add(None)
    assert outcomes == {(3, 8, 8), None}


X = RNG.integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
ARRAYS = {"x_train": X[:8], "y_train": np.arange(8) % 3, "x_test": X[8:], "y_test": np.arange(4) % 3}


def write_npz(path: Path, compressed: bool = False, **changes: object) -> Path:
    arrays = {key: value for key, value in {**ARRAYS, **changes}.items() if value is not None}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


NPZ_FORMS = {
    "NCHW": (lambda x: x, X),
    "NHWC": (lambda x: x.transpose(0, 2, 3, 1), X),
    "NHW": (lambda x: x[:, 0], X[:, :1]),
    "one channel last": (lambda x: x[:, 0, :, :, None], X[:, :1]),
    "both could be: the first": (lambda x: x[..., :3], X[..., :3]),
    "Fortran order": (np.asfortranarray, X),
    "float32": (lambda x: x.astype(np.float32) / 255, X),
    "float64": (lambda x: x / 255, X),
    "big-endian float": (lambda x: (x / 255).astype(">f4"), X),
}


@pytest.mark.parametrize("name", NPZ_FORMS)
def test_npz_in_every_form(name, tmp_path):
    form, wanted = NPZ_FORMS[name]
    changes = {"x_train": form(X)[:8], "x_test": form(X)[8:], "y_test": (np.arange(4) % 3).astype(np.uint8)[:, None]}
    for compressed in (False, True):
        train, test = load(str(write_npz(tmp_path / "set.npz", compressed, **changes)))
        assert np.array_equal(train.x, wanted[:8])
        assert np.array_equal(test.x, wanted[8:])
        assert (train.x.dtype, train.y.dtype, test.y.dtype) == (np.uint8, np.int64, np.int64)
        assert test.y.tolist() == [0, 1, 2, 0]
        assert (train.name, train.classes) == ("set", ("0", "1", "2"))
        assert (train.mean, train.std) == (test.mean, test.std) == measure(wanted[:8])


def test_npz_class_names_sizes_and_spare_arrays(tmp_path):
    write_npz(tmp_path / "a.npz", classes=np.array(["cat", "dog", "eel", "fox"]), other=np.arange(3))
    train, test = load(str(tmp_path / "a.npz"), train_size=5, test_size=2, picture_size=4)
    assert train.classes == ("cat", "dog", "eel", "fox")
    assert (train.x.shape, test.x.shape, len(train.y), len(test.y)) == ((5, 3, 4, 4), (2, 3, 4, 4), 5, 2)


def test_the_real_npz():
    train, test = load(str(shared("cifar10-lossless-5k.npz")))
    assert (train.x.shape, test.x.shape) == ((4000, 3, 32, 32), (1000, 3, 32, 32))
    assert train.classes == tuple("0123456789")
    assert np.bincount(train.y).min() > 300


def member(name: str, data: bytes, declared: bytes | None = None) -> bytes:
    """A zip with one member, whose NPY header may be another's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(name, (declared or b"") + data)
    return buffer.getvalue()


def header(description: str) -> bytes:
    text = description.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def good_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    return buffer.getvalue()


ABSURD = "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999)}"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
BAD_NPZ = {
    "missing": ({"y_test": None}, "no array 'y_test'; it has x_train, y_train, x_test"),
    "text": ({"x_train": np.array(["a"] * 8)}, "x_train .* has shape"),
    "objects": ({"y_train": np.array([[1], "a"] * 4, object)}, "y_train .* has dtype object"),
    "complex": ({"x_train": X[:8] + 1j}, "dtype complex128"),
    "integers": ({"x_train": X[:8].astype(int)}, "dtype int64: wanted uint8, or floating-point"),
    "above 1": ({"x_train": X[:8] / 100}, r"from 0 to 2\.5\d*: floating-point pixels go from 0 to 1"),
    "below 0": ({"x_train": X[:8] / 255 - 0.1}, "from -0.1 to"),
    "not a number": ({"x_train": np.where(X[:8] > 250, np.nan, 0.5)}, "from nan to nan"),
    "flat": ({"x_train": X[:8].reshape(8, -1)}, r"shape \(8, 90\): wanted \(N, C, H, W\)"),
    "five axes": ({"x_train": X[:8, None]}, "wanted"),
    "four channels": ({"x_train": RNG.random((8, 4, 6, 4))}, "wanted 1 or 3 channels"),
    "empty": ({"x_train": X[:0], "y_train": np.arange(0)}, "none of them 0"),
    "unlike test": ({"x_test": X[8:, :, :5]}, r"\(3, 6, 5\) but test pictures \(3, 5, 5\)"),
    "too few labels": ({"y_train": np.arange(7)}, r"y_train .* has shape \(7,\): wanted \(8,\)"),
    "one-hot labels": ({"y_train": np.eye(8, dtype=int)}, r"shape \(8, 8\): wanted \(8,\)"),
    "fractions": ({"y_train": np.arange(8) / 2}, "dtype float64: labels are whole numbers"),
    "negative": ({"y_test": np.arange(4) - 1}, "labels from -1 to 2"),
    "far too many classes": ({"y_test": np.arange(4) * 10**9}, "labels from 0 to 3000000000"),
    "unsigned": ({"y_test": np.full(4, 2**63, np.uint64)}, "9223372036854775808"),
    "names too few": ({"classes": np.array(["a", "b"])}, "has the label 2, but only 2 classes"),
    "no zip": (b"hello", "no NPZ file or damaged"),
    "nothing": (b"", "no NPZ file or damaged"),
    "cut short": (good_npz()[:-100], "no NPZ file or damaged"),
    "no array in it": (member("x_train.npy", b"hello"), "no NPZ file or damaged"),
    "absurd shape": (member("x_train.npy", b"", header(ABSURD)), r"declares the shape \(99999999, 99999999\)"),
    "pickle": (member("x_train.npy", b"cos\nsystem\n.", header(OBJECTS)), "has dtype object"),
    "absurd header": (member("x_train.npy", b"", header("-" * 100 + "1")), "no NPZ file or damaged"),
    "deep header": (member("x_train.npy", b"", header("(" * 100)), "no NPZ file or damaged"),
}


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_npz(name, tmp_path):
    content, message = BAD_NPZ[name]
    path = tmp_path / "x.npz"
    path.write_bytes(content) if isinstance(content, bytes) else write_npz(path, **content)
    with pytest.raises(InputError, match=message) as caught:
        load(str(path))
    assert "x.npz" in str(caught.value)


def test_npz_that_unfolds_too_far_is_refused_before_it_is_read(tmp_path, monkeypatch):
    write_npz(tmp_path / "x.npz", compressed=True, x_train=np.zeros((8, 3, 300, 300), np.uint8))
    monkeypatch.setattr(npz, "MAX_BYTES", 1 << 20)
    with pytest.raises(InputError, match=r"declares 2,1.* bytes of arrays, at most 1,048,576"):
        load(str(tmp_path / "x.npz"))


def test_mutated_npz_gives_an_input_error_or_a_data_set(tmp_path):
    rng = np.random.default_rng(3)
    good = good_npz()
    refused = 0
    for i in range(1000):
        data = bytearray(good)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        (tmp_path / "x.npz").write_bytes(data[: rng.integers(len(data))] if i % 5 == 0 else data)
        try:
            load(str(tmp_path / "x.npz"))
        except InputError:
            refused += 1
    assert refused > 500


def test_digits():
    train, test = load("digits")
    assert (train.x.shape, test.x.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert np.abs(np.subtract(measure(train.x), (train.mean, train.std))).max() < 1e-3
    assert np.bincount(train.y).min() > 120
    assert len({p.tobytes() for p in (*train.x, *test.x)}) >= 1790  # the split shares nothing but true repetitions
    large, _ = load("digits", picture_size=16, train_size=100)
    assert large.x.shape == (100, 1, 16, 16)
    assert np.array_equal(large.y, load("digits", seed=5)[0].y[:100])


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install"):
        load("digits")


def test_the_tables_are_complete():
    assert list(SOURCES) == ["shapes", "digits", *cifar.ARCHIVES, "PATH"]
    for mean, std in NORMALIZE.values():
        assert len(mean) == len(std)
        assert min(std) > 0


BAD_SPECS = [
    ("shape", {}, "unknown data set .*'shape': did you mean 'shapes'"),
    ("no/such/folder", {}, "no file or folder no/such/folder"),
    ("gone.npz", {}, "no file or folder gone.npz"),
    ("digits", {"endless": True}, "digits has an end: only shapes can be endless"),
    ("digits", {"seed": -1}, "seed must be 0 or more, got -1"),
    ("digits", {"picture_size": 0}, "picture size must be 1 to 4096, got 0"),
    ("digits", {"picture_size": 5000}, "picture size must be 1 to 4096, got 5000"),
    ("digits", {"train_size": 2000}, "digits has 1437 pictures: cannot take the first 2000"),
    ("digits", {"test_size": 0}, "cannot take the first 0"),
]


@pytest.mark.parametrize(("spec", "settings", "message"), BAD_SPECS, ids=[row[-1] for row in BAD_SPECS])
def test_bad_specs(spec, settings, message):
    with pytest.raises(InputError, match=message):
        load(spec, **settings)


def test_bad_folders(tmp_path):
    (tmp_path / "file.txt").write_text("hello")
    with pytest.raises(InputError, match=r"cannot tell what .*file\.txt holds"):
        load(str(tmp_path / "file.txt"))
    with pytest.raises(InputError, match="holds no folders with pictures: wanted train/CLASS"):
        load(str(tmp_path))
    picture_folder(tmp_path / "one", {"red": 5, "blue": 1})
    with pytest.raises(InputError, match="'blue' has 1 picture"):
        load(str(tmp_path / "one"))
    picture_folder(tmp_path / "two" / "train", {"red": 2})
    (tmp_path / "two" / "val").mkdir()
    with pytest.raises(InputError, match="val holds no folders with pictures"):
        load(str(tmp_path / "two"))
    picture_folder(tmp_path / "two" / "val", {"red": 1, "green": 1})
    with pytest.raises(InputError, match="class 'green', which is not in"):
        load(str(tmp_path / "two"))
