"""CIFAR in its official layouts, the download, and the pickle reader that must survive anything without running it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import os
import pickle
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tinyresnet.data import archive, cifar, load
from tinyresnet.data.cifar_pickle import read_pickle
from tinyresnet.errors import InputError

RNG = np.random.default_rng(0)
NAMES = {"cifar10": [f"class {i}" for i in range(10)], "cifar100": [f"fine {i}" for i in range(100)]}
PIXELS = {name: RNG.integers(0, 256, (7, 3072), dtype=np.uint8) for name in (*cifar.BATCHES, "test_batch")}
LABELS = {name: RNG.integers(0, 10, 7) for name in PIXELS}
PIXELS |= {"train": RNG.integers(0, 256, (9, 3072), dtype=np.uint8), "test": PIXELS["test_batch"]}
LABELS |= {"train": np.arange(91, 100), "test": np.arange(7)}


def python2(values: dict[str, object]) -> bytes:
    """What cPickle of Python 2 wrote under protocol 2, as in the official archives: byte strings, NumPy's old names."""

    def write(value: object) -> bytes:
        if isinstance(value, str):
            return b"U" + bytes([len(value)]) + value.encode()
        if isinstance(value, int):
            return b"J" + value.to_bytes(4, "little", signed=True)
        if isinstance(value, list):
            return b"](" + b"".join(map(write, value)) + b"e"
        assert isinstance(value, np.ndarray)
        build = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        raw = b"T" + len(value.tobytes()).to_bytes(4, "little") + value.tobytes()
        shape = write(value.shape[0]) + write(value.shape[1]) + b"\x86"
        return build + b"(K\x01" + shape + dtype + b"I00\n" + raw + b"tb"

    return b"\x80\x02}(" + b"".join(write(key) + write(value) for key, value in values.items()) + b"u."


def official_files(name: str, protocol: int | str) -> dict[str, bytes]:
    """Small files in the layout of `name`: binary, or pickled under a protocol of 0 to 5 or by Python 2."""
    parts = ["train", "test"] if name == "cifar100" else [*cifar.BATCHES, "test_batch"]
    if protocol == "binary":
        files = {}
        for part in parts:
            coarse = [np.full((len(LABELS[part]), 1), 77)] if name == "cifar100" else []
            records = np.concatenate([*coarse, LABELS[part][:, None], PIXELS[part]], axis=1)
            files[f"{part}.bin"] = records.astype(np.uint8).tobytes()
        meta = "fine_label_names.txt" if name == "cifar100" else "batches.meta.txt"
        return files | {meta: ("\n".join(NAMES[name]) + "\n\n").encode(), "readme.html": b"<html>"}
    key = "fine_labels" if name == "cifar100" else "labels"
    write = python2 if protocol == "python 2" else lambda values: pickle.dumps(values, protocol=protocol)
    batches = {
        part: {"data": PIXELS[part], key: LABELS[part].tolist(), "filenames": ["a.png"] * len(LABELS[part])}
        for part in parts
    }
    meta = {"meta": {"fine_label_names": NAMES[name], "coarse_label_names": ["x"] * 20}}
    if name == "cifar10":
        meta = {"batches.meta": {"label_names": NAMES[name], "num_vis": 3072}}
    return {file: write(values) for file, values in (batches | meta).items()}


def tar(files: dict[str, bytes], folder: str = "some-folder") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def check_content(name: str, path: Path) -> None:
    train, test = load(str(path))
    parts = ["train"] if name == "cifar100" else cifar.BATCHES
    assert (train.name, train.classes) == (name, tuple(NAMES[name]))
    assert np.array_equal(train.x, np.concatenate([PIXELS[part] for part in parts]).reshape(-1, 3, 32, 32))
    assert np.array_equal(train.y, np.concatenate([LABELS[part] for part in parts]))
    last = "test" if name == "cifar100" else "test_batch"
    assert np.array_equal(test.x, PIXELS[last].reshape(-1, 3, 32, 32))
    assert np.array_equal(test.y, LABELS[last])
    assert [data.y.dtype for data in (train, test)] == [np.int64, np.int64]


@pytest.mark.parametrize("protocol", ["binary", "python 2", 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_every_official_layout_reads_the_same(name, protocol, tmp_path):
    files = official_files(name, protocol)
    (tmp_path / "archive.tar.gz").write_bytes(tar(files))
    (tmp_path / "archive.tar").write_bytes(gzip.decompress(tar(files)))
    write_folder(tmp_path / "flat", files)
    sub = next(x.folder for x in cifar.LAYOUTS if x.name == name and (x.labels is None) == (protocol == "binary"))
    write_folder(tmp_path / "parent" / sub, files)
    for path in ("archive.tar.gz", "archive.tar", "flat", "parent"):
        check_content(name, tmp_path / path)


@pytest.mark.parametrize("protocol", range(6))
def test_values_come_back_as_pickle_itself_reads_them(protocol):
    """With NumPy's module names of before and after version 2."""
    values = {
        "data": PIXELS["train"][:2],
        "empty": np.zeros((0, 3072), np.uint8),
        "numbers": [0, 1, 255, 256, 65535, 65536, -1, 2**31, -(2**40), True, None],
        "texts": ["", "a'b\\\n", "é\u4e2d", "x" * 300, ("one",), (1, 2), (1, 2, 3), (1, 2, 3, 4), ()],
        "bytes": [b"", b"\x00\xff'\n", bytes(range(256)) * 2],
        "nested": {"again": [{}, []]},
    }
    values["twice"] = values["texts"]
    data = pickle.dumps(values, protocol)
    old = data
    for module in (b"multiarray", b"numeric"):
        short, new = b"numpy.core." + module, b"numpy._core." + module
        old = old.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(short)]) + short).replace(new, short)
    assert (b"numpy._core" in data, b"numpy._core" in old) == (True, False)
    for form in (data, old):
        read = read_pickle(form, "test")
        for key in ("data", "empty"):
            assert read[key].dtype == np.uint8
            assert np.array_equal(read.pop(key), values[key])
        assert read == {key: value for key, value in values.items() if key not in ("data", "empty")}


def test_the_strings_of_python_2_come_back_as_its_bytes():
    by_hand = b"(dp0\nS'data'\np1\n(lp2\nI1\naI01\naL5L\nas" + b"S\"it's\"\np3\nS'\\xff\\n\\''\np4\ns."
    assert read_pickle(by_hand, "test") == {"data": [1, True, 5], "it's": b"\xff\n'"}
    for data in (by_hand, python2({"data": PIXELS["train"], "labels": [1, -2]})):
        wanted = pickle.loads(data, encoding="bytes")
        for key, value in read_pickle(data, "test").items():
            assert np.array_equal(value, wanted[key.encode()])


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


def array_pickle(dtype: str, data: bytes, *shape: bytes) -> bytes:
    head = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = f"cnumpy\ndtype\nU\x02{dtype}K\0K\1\x87R(K\3U\1|NNNJ".encode("latin-1") + b"\xff" * 4 + b"J" + b"\xff" * 4
    raw = b"T" + len(data).to_bytes(4, "little") + data
    return head + b"(K\x01(" + b"".join(shape) + b"t" + kind + b"K\x00tbI00\n" + raw + b"tbs."


HUGE = b"\x8a\x09" + b"\xff" * 8 + b"\x00"  # the integer 2^64 - 1
HOSTILE = {
    "system": (pickle.dumps({"data": Call(os.system, "exit 1")}, 2), "posix.system|nt.system"),
    "system in protocol 4": (pickle.dumps(Call(os.system, "exit 1"), 4), "posix.system|nt.system"),
    "eval": (pickle.dumps({"data": Call(eval, "1")}, 0), "__builtin__.eval.*instruction GLOBAL"),
    "eval in protocol 5": (pickle.dumps({"data": Call(eval, "1")}, 5), "builtins.eval"),
    "getattr": (pickle.dumps(Call(getattr, "", "x"), 4), "builtins.getattr"),
    "codecs with another codec": (pickle.dumps(Call(__import__("codecs").encode, "a", "rot13"), 2), "REDUCE calls"),
    "bytes of a length": (pickle.dumps({"a": Call(bytes, 10**12)}, 4), "REDUCE calls"),
    "calling an array": (b"cnumpy\nndarray\n(t\x85R.", "REDUCE calls"),
    "calling a number": (b"K\x01)R.", "REDUCE calls"),
    "INST": (b"(S'exit 1'\nios\nsystem\n.", "INST is not allowed"),
    "OBJ": (b"(cos\nsystem\no.", "os.system"),
    "NEWOBJ": (b"cnumpy\ndtype\n)\x81.", "NEWOBJ is not allowed"),
    "NEWOBJ_EX": (b"cnumpy\ndtype\n)}\x92.", "NEWOBJ_EX is not allowed"),
    "EXT1": (b"\x82\x01.", "EXT1 is not allowed"),
    "PERSID": (b"Pid\n.", "PERSID is not allowed"),
    "BINPERSID": (b"NQ.", "BINPERSID is not allowed"),
    "DUP": (b"N2.", "DUP is not allowed"),
    "float": (pickle.dumps(1.5, 2), "BINFLOAT is not allowed"),
    "set": (pickle.dumps({1}, 4), "EMPTY_SET is not allowed"),
    "unknown instruction": (b"\xff.", "unknown instruction"),
    "protocol 6": (b"\x80\x06N.", "protocol 6"),
    "empty": (b"", "cut short"),
    "no end": (b"}", "cut short"),
    "nothing left": (b".", "damaged"),
    "no dictionary": (b"].", "no dictionary"),
    "unhashable key": (b"}]Ns.", "keys that are no strings"),
    "odd items": (b"}(U\x01au.", "damaged"),
    "append to text": (b"U\x01aNa.", "no list"),
    "unknown memo": (b"h\x07.", "damaged"),
    "mark never closed": (b"(" * 1_000_000, "cut short"),
    "deep lists": (b"(" * 900_000 + b"l" * 900_000 + b".", "no dictionary"),
    "deep tuples": (b")" + b"\x85" * 1_900_000 + b".", "no dictionary"),
    "a list in itself": (b"}U\x01a]q\x00h\x00as.", None),
    "too long": (b"N" * 2_000_001 + b".", "more than 2000000 instructions"),
    "huge bytes": (b"\x8e" + b"\xff" * 7 + b"\x7f" + b"abc.", "damaged"),
    "huge text": (b"\x8d" + b"\xff" * 8 + b"abc.", "damaged"),
    "huge string": (b"T\xff\xff\xff\x7fabc.", "damaged"),
    "negative string": (b"T\xff\xff\xff\xffabc.", "damaged"),
    "huge integer": (b"\x8b\xff\xff\xff\x7f.", "LONG4 is not allowed"),
    "endless digits": (b"I" + b"9" * 1_000_000 + b"\n.", "damaged"),
    "text by text": (b"X\xff\xff\x0f\x00" + b"a" * 0x0FFFFF + b"q\x000" + b"h\x00" * 50 + b".", "POP is not allowed"),
    "encoded over and over": (
        b"c_codecs\nencode\nq\x00X\xff\xff\x0f\x00" + b"a" * 0x0FFFFF + b"q\x01X\x06\x00\x00\x00latin1q\x02"
        + b"h\x00h\x01h\x02\x86R" * 100_000 + b".",
        "encodes more text",
    ),
    "array of objects": (array_pickle("O8", b"a" * 8, b"K\x01"), "REDUCE calls"),
    "array of floats": (array_pickle("f8", b"a" * 8, b"K\x01"), "REDUCE calls"),
    "array too large": (array_pickle("u1", b"abcd", b"K\x05"), "does not fit its 4 bytes"),
    "array negative": (array_pickle("u1", b"abcd", b"J\xff\xff\xff\xff", b"J\xfc\xff\xff\xff"), "does not fit"),
    "array huge and empty": (array_pickle("u1", b"", b"K\x00", HUGE), "damaged"),
    "array of many axes": (array_pickle("u1", b"a", *[b"K\x01"] * 5), "does not fit"),
    "array sized by text": (array_pickle("u1", b"abcd", b"U\x014"), "does not fit"),
}  # fmt: skip
EVENTS = {"import", "exec", "compile", "open", "os.system", "pickle.find_class", "subprocess.Popen", "os.exec"}
watched: list[str] | None = None


def note(event: str, _: object) -> None:
    if watched is not None and event in EVENTS:
        watched.append(event)


sys.addaudithook(note)


@contextlib.contextmanager
def nothing_runs() -> Iterator[None]:
    """Fails if anything inside imports, executes or opens something, or takes more than 30 seconds."""
    global watched
    watched, start = [], time.perf_counter()
    try:
        yield
        assert watched == []
    finally:
        watched = None
    assert time.perf_counter() - start < 30


def test_the_watch_sees_what_pickle_does():
    with pytest.raises(AssertionError), nothing_runs():
        pickle.loads(pickle.dumps({"data": Call(eval, "1")}))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_nothing_runs(name):
    data, message = HOSTILE[name]
    with nothing_runs():
        if message is None:
            assert list(read_pickle(data, "file x")) == ["a"]
        else:
            with pytest.raises(InputError, match=f"file x is not a CIFAR pickle.*({message})"):
                read_pickle(data, "file x")


def test_large_official_sizes_are_read_quickly():
    values = {"data": np.zeros((50_000, 30), np.uint8), "fine_labels": list(range(50_000))}
    values |= {"coarse_labels": list(range(50_000)), "filenames": [f"picture_{i}.png" for i in range(50_000)]}
    for protocol in (0, 2, 5):
        with nothing_runs():
            assert len(read_pickle(pickle.dumps(values, protocol), "train")["filenames"]) == 50_000


def test_mutated_pickles_give_an_input_error_or_a_dictionary():
    rng = np.random.default_rng(1)
    values = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [3, 300], "filenames": ["a.png", "b'c"]}
    seeds = [pickle.dumps(values, protocol) for protocol in range(6)] + [python2({**values})]
    accepted = 0
    with nothing_runs():
        for _ in range(6000):
            data = bytearray(seeds[rng.integers(len(seeds))])
            other = seeds[rng.integers(len(seeds))]
            for _ in range(rng.integers(1, 4)):
                place = int(rng.integers(len(data) + 1))
                match rng.integers(5):
                    case 0:
                        data[place : place + 1] = rng.bytes(1)
                    case 1:
                        data[place:place] = rng.bytes(int(rng.integers(1, 5)))
                    case 2:
                        del data[place : place + int(rng.integers(1, 9))]
                    case 3:
                        start = int(rng.integers(len(other)))
                        data[place:place] = other[start : start + int(rng.integers(1, 40))]
                    case 4:
                        del data[place:]
            try:
                accepted += isinstance(read_pickle(bytes(data), "file"), dict)
            except InputError:
                continue
    assert 100 < accepted < 3000  # some mutations only touch contents


def with_file(name: str, protocol: int | str, file: str, data: bytes | None) -> dict[str, bytes]:
    files = official_files(name, protocol)
    return {key: value for key, value in {**files, file: data}.items() if value is not None}


BINARY = official_files("cifar10", "binary")["data_batch_2.bin"]
PART = {"data": PIXELS["test_batch"], "labels": LABELS["test_batch"].tolist()}
BAD_FILES = [
    ("cifar10", "binary", "data_batch_3.bin", None, "cifar-10-batches-bin, missing: data_batch_3.bin"),
    ("cifar100", "binary", "fine_label_names.txt", None, "missing: fine_label_names.txt"),
    ("cifar10", "binary", "data_batch_2.bin", BINARY[:-1], "21510 bytes, which is no whole number of records of 3073"),
    ("cifar10", "binary", "data_batch_2.bin", b"", "0 pictures"),
    ("cifar10", "binary", "data_batch_2.bin", b"\x0a" + BINARY[1:], "labels from . to 10, wanted 0 to 9"),
    ("cifar10", "binary", "batches.meta.txt", b"a\nb\n", "2 class names, wanted 10"),
    ("cifar10", "binary", "batches.meta.txt", b"\xff\xfe", "must be text"),
    ("cifar10", 2, "test_batch", None, "missing: test_batch"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"data": [1]}, 2), "no array of rows of 3072 bytes"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"data": PIXELS["test_batch"][:, 1:]}, 2), "no array of rows"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"labels": [1]}, 2), "no list of 7 whole numbers"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"labels": ["a"] * 7}, 2), "no list of 7 whole numbers"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"labels": [2**70] * 7}, 2), "too large"),
    ("cifar10", 2, "test_batch", pickle.dumps(PART | {"labels": [-1] * 7}, 2), "labels from -1 to -1"),
    ("cifar10", 2, "test_batch", pickle.dumps(Call(os.system, "exit 1"), 2), "test_batch is not a CIFAR pickle"),
    ("cifar10", 2, "batches.meta", pickle.dumps({}, 2), "0 class names, wanted 10"),
    ("cifar10", 2, "batches.meta", pickle.dumps({"label_names": 5}, 2), "must be text"),
]


@pytest.mark.parametrize("where", ["folder", "archive"])
@pytest.mark.parametrize(("name", "protocol", "file", "data", "message"), BAD_FILES, ids=[row[-1] for row in BAD_FILES])
def test_bad_files(name, protocol, file, data, message, where, tmp_path):
    files = with_file(name, protocol, file, data)
    path = write_folder(tmp_path / "folder", files)
    if where == "archive":
        path = tmp_path / "x.tar.gz"
        path.write_bytes(tar(files))
    with pytest.raises(InputError, match=message):
        load(str(path))


def odd_member(**settings: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as target:
        member = tarfile.TarInfo("x/test_batch.bin")
        for key, value in settings.items():
            setattr(member, key, value)
        target.addfile(member, io.BytesIO(b"\0" * member.size))
    return buffer.getvalue()


GOOD = tar(official_files("cifar10", "binary"))
BAD_ARCHIVES = {
    "not an archive": (b"hello" * 1000, "cannot read the archive"),
    "empty": (b"", "cannot read the archive|missing"),
    "cut short": (GOOD[: len(GOOD) // 2], "cannot read the archive"),
    "wrong byte": (GOOD[:5000] + b"\x00\x01\x02" + GOOD[5003:], "cannot read the archive.*CRC"),
    "a link": (odd_member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "missing"),
    "a hard link": (odd_member(type=tarfile.LNKTYPE, linkname="../../x"), "missing"),
    "a device": (odd_member(type=tarfile.CHRTYPE), "missing"),
    "a hole": (odd_member(pax_headers={"GNU.sparse.major": "0", "GNU.sparse.size": "9999999999999",
                                       "GNU.sparse.map": "0,0"}), "too many bytes"),
    "a small hole": (odd_member(pax_headers={"GNU.sparse.major": "0", "GNU.sparse.size": "3073",
                                             "GNU.sparse.map": "0,0"}), "has holes"),
    "twice": (gzip.compress(gzip.decompress(tar({"test_batch.bin": b"a"}))[:1024] + gzip.decompress(GOOD)), "twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archives(name, tmp_path):
    data, message = BAD_ARCHIVES[name]
    (tmp_path / "x.tar.gz").write_bytes(data)
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "x.tar.gz"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_an_archive_that_unfolds_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    (tmp_path / "x.tgz").write_bytes(tar({"padding": bytes(2 << 20)}))
    with pytest.raises(InputError, match="holds more than 1048576 bytes"):
        load(str(tmp_path / "x.tgz"))


def test_mutated_archives_give_an_input_error_or_the_right_pictures(tmp_path):
    rng = np.random.default_rng(2)
    plain = gzip.decompress(GOOD)
    right = load_bytes(tmp_path, plain)
    for _ in range(300):
        data = bytearray(plain)
        header = int(rng.choice([i for i in range(0, len(data), 512) if data[i : i + 11] == b"some-folder"]))
        for _ in range(rng.integers(1, 4)):
            data[header + int(rng.integers(512))] = rng.integers(256)
        with contextlib.suppress(InputError):
            assert load_bytes(tmp_path, bytes(data)) == right


def load_bytes(folder: Path, data: bytes) -> list[bytes]:
    (folder / "x.tar").write_bytes(data)
    return [np.asarray(values).tobytes() for part in load(str(folder / "x.tar")) for values in (part.x, part.y)]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server on this machine in place of the official one, which has a small archive."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "cifar-10-binary.tar.gz").write_bytes(GOOD)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "site"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(cifar, "SITE", f"http://127.0.0.1:{server.server_port}/")
    md5 = hashlib.md5(GOOD).hexdigest()
    monkeypatch.setitem(cifar.ARCHIVES, "cifar10", ("cifar-10-binary.tar.gz", md5))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_download_once_with_progress_then_from_the_cache(site, tmp_path, capsys, monkeypatch):
    cache = tmp_path / "cache"
    first, _ = load("cifar10", cache=cache, progress=True)
    assert "cifar-10-binary.tar.gz" in capsys.readouterr().err
    monkeypatch.setattr(cifar, "SITE", "http://127.0.0.1:9/")
    again, test = load("cifar10", cache=cache, test_size=3, picture_size=16)
    assert (len(first), first.x.shape[2:], len(test), again.x.shape[2:]) == (35, (32, 32), 3, (16, 16))
    assert capsys.readouterr().err == ""
    assert [path.name for path in cache.iterdir()] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda patch: patch.setitem(cifar.ARCHIVES, "cifar10", ("cifar-10-binary.tar.gz", "0" * 32)), "hash"),
        (lambda patch: patch.setitem(cifar.ARCHIVES, "cifar10", ("gone.tar.gz", "0" * 32)), "404"),
        (lambda patch: patch.setattr(cifar, "SITE", "http://127.0.0.1:9/"), "Max retries"),
    ],
    ids=["checksum", "not there", "no connection"],
)
def test_a_failed_download_says_what_to_do_and_leaves_nothing(site, change, message, tmp_path, monkeypatch):
    change(monkeypatch)
    with pytest.raises(InputError, match=f"cannot download http.*{message}.*by hand.*'cifar10'"):
        load("cifar10", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_statistics_are_those_of_the_real_pictures():
    path = Path(__file__).parents[2] / "shared" / "data" / "cifar10-lossless-5k.npz"
    if not path.exists():
        pytest.skip(f"needs {path.name} in the shared data folder")
    data, _ = load(str(path))
    mean, std = cifar.STATISTICS["cifar10"]
    assert np.abs(np.subtract(data.mean, mean)).max() < 0.003  # these are 4,000 of the 50,000
    assert np.abs(np.subtract(data.std, std)).max() < 0.003
