"""Drawn scenes, their batches, and augmentation that moves boxes and masks with the picture."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from tinyresnet.data import (
    IGNORED,
    SceneAugment,
    SceneBatch,
    load_scenes,
    scene_batches,
    scene_eval_batches,
    scene_shapes,
)
from tinyresnet.data import scene_augment as changes
from tinyresnet.data.dataset import measure
from tinyresnet.data.scene_augment import Moved
from tinyresnet.data.scene_paste import KEPT, paste
from tinyresnet.data.scene_shapes import MEAN, STD, draw_scenes
from tinyresnet.data.shapes import CLASSES, HUES, TEST_START
from tinyresnet.errors import InputError

GOLDEN = 747076638
INDICES = np.concatenate([np.arange(40), [2**40, 2**40 + 1, 2**59]])
EVERYTHING = SceneAugment(flip=True, scale=0.4, crop=9, jitter=0.3, paste=2)


@pytest.fixture(scope="module")
def scenes() -> SceneBatch:
    return draw_scenes(np.arange(360), seed=1, size=96)


def same(a: SceneBatch, b: SceneBatch) -> bool:
    """Equal to the last bit, dtypes and shapes too."""
    flat = [[batch.x, batch.masks, *batch.boxes, *batch.labels, *batch.crowd] for batch in (a, b)]
    return [(v.tobytes(), v.shape, v.dtype) for v in flat[0]] == [(v.tobytes(), v.shape, v.dtype) for v in flat[1]]


def picked(batch: SceneBatch, places: list[int]) -> SceneBatch:
    boxes, labels, crowd = (tuple(values[i] for i in places) for values in batch[1:4])
    return SceneBatch(batch.x[places], boxes, labels, crowd, batch.masks[places])


def tightest(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("size", [48, 96])
def test_a_scene_is_the_same_bits_however_it_is_drawn(size):
    whole = draw_scenes(INDICES, seed=5, size=size)
    order = np.random.default_rng(0).permutation(len(INDICES))
    for part in ([0], [7, 3, 7], order):
        assert same(draw_scenes(INDICES[part], seed=5, size=size), picked(whole, list(part)))
    assert len({picture.tobytes() for picture in whole.x}) == len(INDICES)
    assert [len(values) for values in draw_scenes(INDICES[:0], seed=5, size=size)] == [0] * 5


def test_seeds_differ_and_the_drawing_has_not_changed():
    drawn = [draw_scenes(np.arange(12), seed=seed, size=96) for seed in (0, 1, 2**64 - 1)]
    assert len({picture.tobytes() for batch in drawn for picture in batch.x}) == 36
    first = [drawn[0].x, drawn[0].masks, *drawn[0].boxes, *drawn[0].labels]
    assert zlib.crc32(b"".join(a.tobytes() for a in first)) == GOLDEN  # a change makes old results incomparable


def test_the_whole_range_of_scenes_is_drawn(scenes):
    counts = np.array([len(labels) for labels in scenes.labels])
    assert 4 <= (counts == 0).sum() <= 22  # 1 in 30
    assert np.bincount(counts)[1:].min() > 30
    assert np.bincount(np.concatenate(scenes.labels)).min() > 80
    boxes = np.concatenate(scenes.boxes)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert 4 <= sides.min() <= 6 <= 39 <= sides.max() <= 41
    assert np.histogram(sides, 5, (6, 40))[0].min() > 0.14 * len(sides)  # even, but for what is covered
    assert not np.concatenate(scenes.crowd).any()
    assert [v.dtype for v in (scenes.x, scenes.masks, boxes)] == [np.uint8, np.uint8, np.float32]
    mean, std = measure(scenes.x)
    assert np.abs(np.subtract(mean, MEAN)).max() < 0.02
    assert np.abs(np.subtract(std, STD)).max() < 0.02


def test_boxes_and_masks_agree(scenes):
    for mask, boxes, labels in zip(scenes.masks, scenes.boxes, scenes.labels, strict=True):
        left = mask.copy()
        for box, label in zip(boxes.astype(int), labels, strict=True):
            x0, y0, x1, y1 = box
            inside = mask[y0:y1, x0:x1] == 1 + label
            assert tightest(inside) == [0, 0, x1 - x0, y1 - y0]
            left[y0:y1, x0:x1][inside] = 0
        assert not left.any()
        if len(labels) == 1:
            assert tightest(mask > 0) == boxes[0].tolist()


def test_every_object_keeps_half_of_its_pixels(monkeypatch):
    placed = []

    def place(canvas, objects, picture, slot):
        owner = scene_shapes_place(canvas, objects, picture, slot)
        whole = np.bincount(objects.owner, objects.inside, len(picture))
        placed.extend(zip(whole, (owner[picture] == 1 + slot[:, None, None]).sum(axis=(1, 2)), strict=True))
        return owner

    scene_shapes_place = scene_shapes._place
    monkeypatch.setattr(scene_shapes, "_place", place)
    batch = draw_scenes(np.arange(100), seed=3, size=64)
    whole, visible = np.array(placed).T
    there = visible > 0
    assert there.sum() == sum(map(len, batch.labels))
    assert (visible[there] / whole[there]).min() >= 0.5
    assert 0.1 < (visible[there] < whole[there]).mean() < 0.7  # some are covered
    assert (~there).mean() < 0.1  # few find no place


def test_objects_have_the_colour_of_their_class_more_often_than_not(scenes):
    hues = HUES - HUES.mean(axis=1, keepdims=True)
    right = []
    for x, mask, labels in zip(scenes.x, scenes.masks, scenes.labels, strict=True):
        for label in set(labels.tolist()):
            colour = x[:, mask == 1 + label].mean(axis=1)
            nearest = (hues @ (colour - colour.mean()) / np.linalg.norm(hues, axis=1)).argmax()
            right.append(nearest == label)
    assert 0.65 < np.mean(right) < 0.9


def test_training_and_test_scenes_never_meet():
    train, test = load_scenes("shapes", train_size=40, test_size=30, picture_size=48, seed=2)
    endless, _ = load_scenes("shapes", train_size=40, test_size=1, picture_size=48, seed=2, endless=True)
    some = np.array([3, 1, 3])
    for _ in range(2):  # drawn, then remembered
        assert same(train.read(some), endless.read(some))
        assert same(test.read(some), draw_scenes(TEST_START + some, seed=2, size=48))
    assert endless.read(np.array([10**9])).x.shape == (1, 3, 48, 48)
    assert (train.shape, len(test), train.classes) == ((40, 3, 48, 48), 30, CLASSES)
    assert (train.endless, test.endless, endless.endless, endless.head(5).endless) == (False, False, True, False)
    assert len(endless.head(5)) == 5
    assert same(endless.head(5).read(some), train.read(some))


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("augment", [None, EVERYTHING])
def test_any_start_step_gives_the_batches_of_the_undisturbed_run(endless, augment):
    data, _ = load_scenes("shapes", train_size=12, test_size=1, picture_size=48, endless=endless)
    options = {"batch_size": 5, "seed": 3, "stop_step": 5, "augment": augment}
    whole = list(scene_batches(data, **options))
    assert [(batch.epoch, batch.step) for batch in whole] == [(step // 2, step) for step in range(5)]
    for start in (1, 3, 5):
        rest = list(scene_batches(data, start_step=start, **options))
        assert len(rest) == 5 - start
        for batch, again in zip(whole[start:], rest, strict=True):
            assert same(SceneBatch(*batch[:5]), SceneBatch(*again[:5]))
            assert batch[5:] == again[5:]
    assert len({picture.tobytes() for batch in whole[:2] for picture in batch.x}) == 10


def test_eval_batches_give_everything_in_order_and_normalised():
    _, data = load_scenes("shapes", train_size=1, test_size=10, picture_size=48)
    batches = list(scene_eval_batches(data, 4))
    assert [len(batch.x) for batch in batches] == [4, 4, 2]
    everything = data.read(np.arange(10))
    wanted = (everything.x / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert np.abs(np.concatenate([batch.x for batch in batches]) - wanted).max() < 1e-5
    joined = [sum((batch[k] for batch in batches), ()) for k in range(1, 4)]
    assert same(everything, SceneBatch(everything.x, *joined, np.concatenate([batch.masks for batch in batches])))


def moved(batch: SceneBatch) -> Moved:
    """The scenes with pixels in [0, 1], and nothing in them that may be written to."""
    result = Moved(batch.x.astype(np.float32) / 255, *batch[1:])
    for array in (result.x, result.masks, *result.boxes, *result.labels):
        array.setflags(write=False)
    return result


def maps(count: int, *, factor: tuple[float, float] = (1, 1), start: tuple[float, float] = (0, 0)) -> tuple:
    return tuple(np.repeat(np.array(pair, float)[:, None], count, axis=1) for pair in (factor, start))


def test_a_flip_mirrors_everything_and_twice_is_the_identity(scenes):
    before = moved(picked(scenes, list(range(20))))
    flip = maps(20, factor=(-1, 1), start=(96, 0))
    once = changes.move(before, *flip)
    assert np.array_equal(once.x, before.x[..., ::-1])
    assert np.array_equal(once.masks, before.masks[..., ::-1])
    assert np.array_equal(once.boxes[3], (before.boxes[3] * [-1, 1, -1, 1] + [96, 0, 96, 0])[:, [2, 1, 0, 3]])
    assert same(SceneBatch(*once), SceneBatch(*changes.mirror(before, np.ones(20, bool))))
    twice = changes.move(once, *flip)
    assert same(SceneBatch(*twice), SceneBatch(*before))


@pytest.mark.parametrize(
    "augment",
    [SceneAugment(flip=True), SceneAugment(crop=15), SceneAugment(scale=0.5), EVERYTHING],
    ids=["flip", "crop", "scale", "everything"],
)
def test_boxes_masks_and_pictures_move_together(augment, scenes):
    """Pictures that are their own masks: what is true of the pixels must be true of the boxes."""
    alone = picked(scenes, [i for i, labels in enumerate(scenes.labels) if len(labels) == 1])
    before = moved(alone)._replace(x=np.repeat((alone.masks > 0)[:, None].astype(np.float32), 3, axis=1))
    after, again = (augment.change(before, np.random.default_rng(0)) for _ in range(2))
    assert same(SceneBatch(*after), SceneBatch(*again))
    off = []
    for x, mask, boxes, labels in zip(after.x[:, 0], *after[4:], *after[1:3], strict=True):
        inside = (mask > 0) & (mask != IGNORED)
        agree = (x > 0.5) == inside
        assert agree.mean() > (0.98 if augment.scale else 1 - 1e-9)
        if len(boxes):
            assert (1 + labels).tolist() == np.unique(mask[inside]).tolist()
            assert 0 <= boxes.min() <= boxes.max() <= 96
            if boxes.min() > 0 and boxes.max() < 96:  # not cut off
                off.append(np.abs(np.subtract(tightest(inside), boxes[0])).max())
    assert len(off) > 10
    assert max(off) <= (2 if augment.scale else 0)  # scaled masks have whole pixels still
    assert np.mean(off) < 0.8
    assert 0 <= after.x.min() <= after.x.max() <= 1
    if not augment.crop:  # a grown picture fills the frame, a shrunk one lies in it wholly
        assert (after.masks != IGNORED).sum(axis=(1, 2)).min() >= (96 / (1 + augment.scale) - 1) ** 2
    assert (after.x != before.x).any(axis=(1, 2, 3)).sum() > 10


def test_what_leaves_the_picture_is_cut_off_then_dropped():
    x = np.ones((1, 3, 40, 40), np.float32)
    boxes = np.array([[0, 10, 20, 20], [20, 10, 40, 20], [0, 0, 20, 40], [36, 0, 40, 4]], np.float32)
    before = Moved(
        x, (boxes,), (np.arange(4),), (np.array([False, False, True, False]),), np.ones((1, 40, 40), np.uint8)
    )
    after = changes.move(before, *maps(1, start=(-15, 4)))
    assert after.boxes[0].tolist() == [[5, 14, 25, 24], [0, 4, 5, 40], [21, 4, 25, 8]]  # a crowd stays, however little
    assert after.labels[0].tolist() == [1, 2, 3]
    assert after.crowd[0].tolist() == [False, True, False]
    seen = np.zeros((40, 40), bool)
    seen[4:, :25] = True
    assert np.array_equal(after.masks[0] == IGNORED, ~seen)
    assert np.array_equal(after.x[0] == 1, np.broadcast_to(seen, (3, 40, 40)))
    away = changes.move(before, *maps(1, start=(100, 0)))
    assert [len(values[0]) for values in away[1:4]] == [0, 0, 0]
    assert away.boxes[0].shape == (0, 4)
    assert not away.x.any()
    assert (away.masks == IGNORED).all()


def test_pasted_objects_cover_what_was_there(scenes):
    """Of scenes with one object, the mask tells which pixels are its own: boxes and labels must agree with it."""
    below = picked(scenes, [i for i, labels in enumerate(scenes.labels) if len(labels) == 1])
    above = picked(scenes, [i for i, labels in enumerate(scenes.labels) if len(labels) > 3][: len(below.x)])
    above.masks[:, :20, :20] = IGNORED  # which no object is made of
    after, over = paste(below, above), (above.masks > 0) & (above.masks != IGNORED)
    outcomes = []
    for i, cover in enumerate(over):
        assert np.array_equal(after.masks[i], np.where(cover, above.masks[i], below.masks[i]))
        assert np.array_equal(after.x[i], np.where(cover, above.x[i], below.x[i]))
        own = below.masks[i] > 0
        seen = own & ~cover
        stays = seen.sum() >= KEPT * own.sum()
        outcomes.append((stays, seen.sum() < own.sum()))
        boxes = [tightest(seen)] if stays else []
        assert after.boxes[i].tolist() == [*boxes, *above.boxes[i].tolist()]
        assert after.labels[i].tolist() == [*below.labels[i][: len(boxes)], *above.labels[i]]
        assert len(after.crowd[i]) == len(after.labels[i])
    assert {(True, False), (True, True), (False, True)} == set(outcomes)
    crowds = below._replace(crowd=tuple(np.ones(1, bool) for _ in below.crowd))
    kept = paste(crowds, above._replace(masks=np.full_like(above.masks, 1)))  # covered wholly
    assert all(np.array_equal(box, boxes[:1]) for box, boxes in zip(below.boxes, kept.boxes, strict=True))
    nothing = [i for i, labels in enumerate(scenes.labels) if not len(labels)][:1]
    assert same(below, paste(below, picked(scenes, nothing * len(below.x))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_scenes("shapes", picture_size=47), "48 to 512 pixels wide, got 47"),
        (lambda: load_scenes("shapes", picture_size=4000), "16 to 2048 pixels wide, got 4000"),
        (lambda: load_scenes("shapes", test_size=0), "test size 0"),
        (lambda: load_scenes("shapes", seed=-1), "seed must be 0 or more, got -1"),
        (lambda: load_scenes("shapes", task="detekt"), "unknown task 'detekt': did you mean 'detect'"),
        (lambda: load_scenes("shape"), "did you mean 'shapes'"),
        (lambda: draw_scenes(np.array([3, -5]), seed=0, size=96), "numbered from 0 to .*, got -5 to 3"),
        (lambda: load_scenes("shapes", test_size=5)[1].read(np.array([5])), "shapes has pictures 0 to 4, asked for 5"),
        (lambda: load_scenes("shapes", test_size=5)[1].head(6), "cannot take the first 6"),
        (lambda: SceneAugment(scale=-0.1), "scale must be between 0 and 3, got -0.1"),
        (lambda: SceneAugment(jitter=float("nan")), "jitter must be between 0 and 1, got nan"),
        (lambda: SceneAugment(paste=-1), "paste must be between 0 and 100, got -1"),
        (
            lambda: scene_batches(
                replace(load_scenes("shapes")[0], has_masks=False),
                batch_size=4,
                seed=0,
                stop_step=1,
                augment=EVERYTHING,
            ),
            "shapes has no masks here: objects cannot be cut out and pasted",
        ),
        (lambda: list(scene_eval_batches(load_scenes("shapes")[1], 0)), "batch size must be 1 or more, got 0"),
        (lambda: scene_batches(load_scenes("shapes")[0], batch_size=4, seed=-1, stop_step=1), "got -1 and 0"),
    ],
)
def test_bad_settings(call, message):
    with pytest.raises(InputError, match=message):
        call()
