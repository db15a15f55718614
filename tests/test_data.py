"""Batches, the background thread, augmentation, and what a Dataset promises."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tinyresnet.data import Augment, Dataset, contact_sheet, eval_batches, load, normalize, prefetch, train_batches
from tinyresnet.data import augment as changes
from tinyresnet.data.dataset import Remembered, measure
from tinyresnet.data.resize import resize
from tinyresnet.errors import InputError

EVERYTHING = Augment(crop=3, flip=True, cutout=5, mixup=0.4, jitter=0.3)


def dataset(count: int = 50, size: int = 8) -> Dataset:
    x = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    x.setflags(write=False)
    y = np.arange(count) % 4
    y.setflags(write=False)
    return Dataset("random", x, y, ("a", "b", "c", "d"), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("augment", [Augment(), EVERYTHING])
def test_any_start_step_gives_the_batches_of_the_undisturbed_run(endless, augment):
    data = load("shapes", train_size=50, test_size=1, picture_size=16, endless=True)[0] if endless else dataset()
    options = {"batch_size": 16, "seed": 3, "stop_step": 11, "augment": augment}
    whole = list(train_batches(data, **options))
    assert [(batch.epoch, batch.step) for batch in whole] == [(step // 3, step) for step in range(11)]
    for start in range(12):
        rest = list(train_batches(data, start_step=start, **options))
        assert len(rest) == 11 - start
        for batch, same in zip(whole[start:], rest, strict=True):
            assert batch.x.tobytes() == same.x.tobytes()
            assert batch.labels.tobytes() == same.labels.tobytes()
            assert batch[2:] == same[2:]
    if augment.mixup:
        assert len({np.unique(batch.labels).tobytes() for batch in whole}) == 11  # each step draws anew
    other = next(train_batches(data, **{**options, "seed": 4}))
    assert endless or other.x.tobytes() != whole[0].x.tobytes()


def test_an_epoch_takes_each_picture_once_in_an_order_of_its_own():
    data = dataset()
    batches = list(train_batches(data, batch_size=16, seed=0, stop_step=6, mean=(0,), std=(1,)))
    keys = {picture.tobytes(): i for i, picture in enumerate(normalize(data.x, (0,), (1,)))}
    seen = [[keys[picture.tobytes()] for batch in batches[i : i + 3] for picture in batch.x] for i in (0, 3)]
    assert all(len(set(epoch)) == 48 for epoch in seen)
    assert seen[0] != seen[1]
    for batch, places in zip(batches, np.reshape(seen, (6, 16)), strict=True):
        assert np.array_equal(batch.labels, data.y[places])


def test_endless_batches_never_show_a_picture_twice():
    data = load("shapes", train_size=32, test_size=1, picture_size=12, endless=True)[0]
    batches = list(train_batches(data, batch_size=32, seed=0, stop_step=8))
    assert len({picture.tobytes() for batch in batches for picture in batch.x}) == 8 * 32
    assert [batch.epoch for batch in batches] == list(range(8))


def test_eval_batches_give_everything_in_order_and_normalised():
    data = dataset()
    batches = list(eval_batches(data, batch_size=16))
    assert [len(batch.x) for batch in batches] == [16, 16, 16, 2]
    x = np.concatenate([batch.x for batch in batches])
    wanted = (data.x / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
    assert x.dtype == np.float32
    assert np.abs(x - wanted).max() < 1e-5
    assert np.array_equal(np.concatenate([batch.labels for batch in batches]), data.y)
    train = next(train_batches(data, batch_size=50, seed=0, stop_step=1))
    assert {p.tobytes() for p in train.x} == {p.tobytes() for p in x}  # training normalises to the same bits


def test_prefetch_keeps_the_order_and_works_ahead():
    prepared = []

    def items() -> Iterator[int]:
        for i in range(20):
            prepared.append(i)
            yield i

    ahead = prefetch(items(), depth=3)
    assert next(ahead) == 0
    for _ in range(200):
        if len(prepared) >= 5:
            break
        threading.Event().wait(0.01)
    assert 5 <= len(prepared) <= 6  # one taken, three ready, one waiting to be put
    assert list(ahead) == list(range(1, 20))
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("threads", [True, False])
def test_prefetch_passes_exceptions_on_and_stops_when_closed(threads, monkeypatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if not threads:
        monkeypatch.setattr(threading.Thread, "start", refuse)

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise InputError("broken picture")

    ahead = prefetch(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(InputError, match="broken picture"):
        next(ahead)
    assert list(prefetch(iter(range(5)))) == list(range(5))

    closed = []

    def endless() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    for taken in (1, 5):
        ahead = prefetch(endless(), depth=1)
        assert list(itertools.islice(ahead, taken)) == list(range(taken))
        ahead.close()
        assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert len(closed) == 2


def test_an_open_prefetch_does_not_keep_the_interpreter_from_ending():
    script = "import itertools; from tinyresnet.data import prefetch; p = prefetch(itertools.count()); print(next(p))"
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=paths)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def read_only(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    for array in arrays:
        array.setflags(write=False)
    return arrays


@pytest.mark.parametrize(
    "augment",
    [Augment(crop=2), Augment(flip=True), Augment(cutout=3), Augment(mixup=1.0), Augment(jitter=0.5), EVERYTHING],
    ids=lambda augment: next(k for k, v in vars(augment).items() if v) if augment != EVERYTHING else "everything",
)
def test_augmentation_is_seeded_keeps_shapes_and_writes_to_nothing(augment):
    x, labels = read_only(np.random.default_rng(0).random((30, 3, 8, 6), np.float32), np.arange(30) % 4)

    def once(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        return augment.change(augment.colour(x, rng), labels, 4, rng)

    (y, new), (same, _), (other, _) = once(0), once(0), once(1)
    assert y.tobytes() == same.tobytes() != other.tobytes()
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert new.shape == ((30, 4) if augment.mixup else (30,))
    assert y.tobytes() != x.tobytes()


def test_crop_moves_pictures_and_fills_with_zeros():
    rows, columns = np.mgrid[1:9, 1:8].astype(np.float32)
    x = np.broadcast_to(np.stack([rows, columns]), (400, 2, 8, 7))
    y = changes.random_crop(x, 2, np.random.default_rng(0))
    inside = y[:, 0] > 0
    assert np.array_equal(inside, y[:, 1] > 0)
    moves = set()
    for picture, here in zip(y, inside, strict=True):
        by = [np.unique((new - old)[here]) for new, old in zip(picture, x[0], strict=True)]
        assert [len(values) for values in by] == [1, 1]  # the whole picture moved as one
        moves.add((int(by[0][0]), int(by[1][0])))
        assert here.sum() == (8 - abs(by[0][0])) * (7 - abs(by[1][0]))
    assert moves == set(itertools.product(range(-2, 3), repeat=2))


def test_flip_mirrors_half_of_the_pictures():
    x = np.random.default_rng(1).random((2000, 1, 2, 3), np.float32)
    y = changes.random_flip(x, np.random.default_rng(0))
    kept = (y == x).all(axis=(1, 2, 3))
    assert np.array_equal(y[~kept], x[~kept][..., ::-1])
    assert 900 < kept.sum() < 1100  # 4.5 standard deviations


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_blanks_one_square_cut_off_at_the_borders(side):
    y = changes.cutout(np.ones((500, 2, 10, 9), np.float32), side, np.random.default_rng(0))
    blank = y == 0
    assert np.array_equal(blank[:, 0], blank[:, 1])
    rows, columns = blank[:, 0].any(axis=2).sum(axis=1), blank[:, 0].any(axis=1).sum(axis=1)
    assert np.array_equal(blank[:, 0].sum(axis=(1, 2)), rows * columns)
    for span in (rows, columns):
        assert span.min() == (side + 1) // 2
        assert span.max() == side


def test_mixup_mixes_pictures_and_labels_alike():
    labels = np.arange(40) % 5
    x = np.broadcast_to(labels[:, None, None, None], (40, 1, 2, 2)).astype(np.float32)
    shares = []
    for seed in range(200):
        y, target = changes.mixup(x, labels, 5, 0.4, np.random.default_rng(seed))
        assert target.dtype == np.float32
        assert np.abs(target.sum(axis=1) - 1).max() < 1e-6
        assert np.abs(y[:, 0, 0, 0] - target @ np.arange(5)).max() < 1e-5
        shares.append(target.max(axis=1).min())
    assert min(shares) < 0.6
    assert max(shares) > 0.99


def test_jitter_stays_in_range_and_leaves_grey_grey():
    rng = np.random.default_rng(0)
    x = rng.random((50, 3, 4, 4), np.float32)
    y = changes.colour_jitter(x, 0.8, rng)
    assert y.min() >= 0
    assert y.max() <= 1
    grey = changes.colour_jitter(np.repeat(x[:, :1], 3, axis=1), 0.8, rng)
    assert np.abs(grey - grey[:, :1]).max() < 1e-6
    flat = changes.colour_jitter(np.full((500, 3, 2, 2), 0.5, np.float32), 0.4, rng)[:, 0, 0, 0]
    assert 0.3 <= flat.min() < 0.32  # only the brightness of an even picture changes: 0.5 times 0.6 to 1.4
    assert 0.68 < flat.max() <= 0.7
    assert changes.colour_jitter(x[:, :1], 0.5, rng).shape == (50, 1, 4, 4)


class Counting:
    """A slow source that counts how often each picture is asked for."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.shape, self.asked = x, x.shape, np.zeros(len(x), int)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        np.add.at(self.asked, indices, 1)
        return self.x[indices]


def test_remembered_pictures_are_asked_for_once():
    source = Counting(dataset().x)
    x = Remembered(source)
    for indices in (np.array([3, 3, 7]), np.array([], int), np.arange(10), np.array([49, -1])):
        assert np.array_equal(x[indices], source.x[indices])
    assert sorted(np.flatnonzero(source.asked)) == [*range(10), 49]
    assert source.asked.max() == 1
    with pytest.raises(IndexError):
        x[np.array([50])]


def test_head_and_measure():
    data = dataset()
    lazy = Dataset("lazy", Counting(data.x), data.y, data.classes, data.mean, data.std)
    for whole in (data, lazy):
        head = whole.head(7)
        assert (len(head), head.x.shape, len(head.y), len(whole)) == (7, (7, 3, 8, 8), 7, 50)
        assert np.array_equal(head.x[np.array([6, 0])], data.x[[6, 0]])
        with pytest.raises(IndexError):
            head.x[np.array([7])]
        for count in (0, 51):
            with pytest.raises(InputError, match=f"first {count}"):
                whole.head(count)
    mean, std = measure(data.x)
    assert np.abs(np.array(mean) - (data.x / 255).mean(axis=(0, 2, 3))).max() < 1e-12
    assert np.abs(np.array(std) - (data.x / 255).std(axis=(0, 2, 3))).max() < 1e-12
    assert measure(np.full((3, 1, 2, 2), 7, np.uint8))[1] == (1.0,)


def test_resize_keeps_flat_and_linear_pictures_and_takes_the_middle():
    flat = np.full((3, 1, 9, 9), 77, np.uint8)
    for size in (1, 4, 9, 20):
        assert np.array_equal(resize(flat, size), np.full((3, 1, size, size), 77))
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8), (1, 1, 32, 32))
    assert np.abs(resize(ramp, 16)[0, 0, 5, 1:-1] - (4.0 + 16 * np.arange(1, 15))).max() <= 1
    fine = np.broadcast_to(np.tile([0, 255, 255, 0], 8).astype(np.uint8), (1, 1, 32, 32))
    assert np.abs(resize(fine, 8)[0, 0, :, 1:-1] - 127.5).max() < 40  # all pixels count, not only those in between
    wide = np.zeros((1, 1, 4, 10), np.uint8)
    wide[..., 3:7] = 200
    assert np.array_equal(resize(wide, 2), np.full((1, 1, 2, 2), 200))


def test_contact_sheet_shows_every_class(tmp_path):
    from PIL import Image

    data = dataset(12, size=10)
    contact_sheet(data, tmp_path / "sheet.png", per_class=5)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    zoomed = np.repeat(np.repeat(data.x, 6, axis=2), 6, axis=3).transpose(0, 2, 3, 1)
    left = pixels.shape[1] - 5 * 64
    for index, picture in enumerate(zoomed):  # class = index % 4 is the row
        top, start = index % 4 * 64, left + index // 4 * 64
        assert np.array_equal(pixels[top : top + 60, start : start + 60], picture)
    grey = load("digits")[0].head(100)
    contact_sheet(grey, tmp_path / "digits.png")
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".png"] == []


BAD_SETTINGS = [
    (lambda: train_batches(dataset(), batch_size=51, seed=0, stop_step=1), "50 training pictures.*batches of 51"),
    (lambda: train_batches(dataset(), batch_size=0, seed=0, stop_step=1), "batches of 0"),
    (lambda: train_batches(dataset(), batch_size=5, seed=-1, stop_step=1), "seed.*-1"),
    (lambda: train_batches(dataset(), batch_size=5, seed=0, start_step=-2, stop_step=1), "start step.*-2"),
    (lambda: list(train_batches(dataset(), batch_size=5, seed=0, stop_step=1, mean=(0, 0))), "3 channels, but mean is"),
    (lambda: list(eval_batches(dataset(), batch_size=0)), "batch size must be 1 or more, got 0"),
    (lambda: Augment(crop=-1), "crop must be 0 or more, got -1"),
    (lambda: Augment(cutout=-3), "cutout must be 0 or more, got -3"),
    (lambda: Augment(mixup=float("nan")), "mixup must be 0 or more, got nan"),
    (lambda: Augment(jitter=1.5), "jitter must be between 0 and 1, got 1.5"),
]


@pytest.mark.parametrize(("action", "message"), BAD_SETTINGS, ids=[message for _, message in BAD_SETTINGS])
def test_bad_settings(action, message):
    with pytest.raises(InputError, match=message):
        action()
