"""The segmenter and the detector as wholes: against PyTorch with their losses; fused and not; any ResNet, any size; what a place learns."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyresnet as tr
import torch_scenes
from cases import draw, fill, parts
from parity import errors, worst
from tinyresnet.assign import IGNORED, NOTHING, assign, detection_loss, places_of
from tinyresnet.backbone import Backbone
from tinyresnet.data import load_scenes
from tinyresnet.data.batches import normalize
from tinyresnet.detect import Detector, DetectorConfig, Outputs, detections
from tinyresnet.device import move
from tinyresnet.errors import InputError
from tinyresnet.loss import pixel_cross_entropy
from tinyresnet.models import config_from, load_backbone, make
from tinyresnet.resnet import Config
from tinyresnet.segment import Segmenter, SegmenterConfig
from tinyresnet.train import Settings, train
from tinyresnet_kernels import use

RNG = np.random.default_rng
TINY = Config("resnet8", 10, width=4)
MODELS = {
    "segmenter, fpn": SegmenterConfig(TINY, channels=5),
    "segmenter, fcn": SegmenterConfig(TINY, head="fcn"),
    "detector": DetectorConfig(TINY, channels=5, depth=1),
}
every_model = pytest.mark.parametrize("name", MODELS)


def model_of(name: str, dtype: Any = np.float64) -> Any:
    """Filled with numbers from `draw`; the detector's own last layers keep theirs, which are near the prior."""
    config = MODELS[name]
    kind: Any = Detector if isinstance(config, DetectorConfig) else Segmenter
    model = kind(config, rng=RNG(0), dtype=dtype)
    fill(model)
    for path, param in model.named_params():
        if path.startswith(("head.score", "head.box", "head.tower", "pyramid")):
            param.data *= 0.2
    return model


def scenes(size: int, count: int = 4) -> Any:
    return load_scenes("shapes", picture_size=size, train_size=count, test_size=1)[0].read(np.arange(count))


def learn(model: Any, y: Any, batch: Any) -> tuple[float, Any]:
    """The loss and its gradient."""
    if isinstance(model, Segmenter):
        return pixel_cross_entropy(y, batch.masks)
    places = places_of(batch.x.shape[2:], model.strides)
    loss, dy = detection_loss(y, assign(places, batch.boxes, batch.labels, batch.crowd))
    return loss.loss, dy


@pytest.mark.torch
@every_model
def test_loss_and_gradients_are_pytorchs(torch: Any, name: str) -> None:
    """Of real scenes, to 1e-8 in float64: loss, dx, all parameters' gradients and running statistics."""
    model, batch = model_of(name), scenes(48)
    tensors = {path: torch.from_numpy(array) for path, array in model.state_dict().items()}
    params = {path for path, _ in model.named_params()}
    for path in params:
        tensors[path].requires_grad_()
    x = normalize(batch.x, (0.5,) * 3, (0.25,) * 3).astype(np.float64)
    y, cache = model.forward(x, train=True)
    loss, dy = learn(model, y, batch)
    dx = model.backward(dy, cache)
    leaf = torch.from_numpy(x).requires_grad_()
    F = torch.nn.functional
    if isinstance(model, Segmenter):
        theirs = torch_scenes.segmenter(model.config.head)(F, leaf, tensors, True)
        their_loss = F.cross_entropy(theirs, torch.from_numpy(batch.masks.astype(np.int64)), ignore_index=255)
    else:
        theirs = torch_scenes.detector(F, leaf, tensors, True)
        targets = assign(places_of((48, 48), model.strides), batch.boxes, batch.labels, batch.crowd)
        labels, wanted = torch.from_numpy(targets.labels), torch.from_numpy(targets.boxes.astype(np.float64))
        assert int((labels >= 0).sum()) > 20
        their_loss = torch_scenes.detection_loss(F, theirs, labels, wanted)
    their_loss.backward()
    got = {"loss": np.asarray(loss), "dx": dx} | {path: param.grad for path, param in model.named_params()}
    got |= {path: buffer for path, buffer in model.named_buffers() if "running" in path}
    wanted_all = {"loss": their_loss, "dx": leaf.grad} | {path: tensors[path].grad for path in params}
    wanted_all |= {path: tensors[path] for path in got if "running" in path}
    found = errors(got, {path: tensor.detach().numpy() for path, tensor in wanted_all.items()})
    assert worst(found)[0] <= 1e-8, worst(found)


SIZES = [
    ("resnet20", (2, 3, 24, 20)),
    ("preact_resnet8", (1, 3, 17, 30)),
    ("plain8", (2, 3, 33, 9)),
    ("resnet18", (2, 3, 40, 70)),
]


@every_model
@pytest.mark.parametrize(("backbone", "shape"), SIZES, ids=str)
def test_fused_or_not_on_any_backbone_and_size(name: str, backbone: str, shape: tuple[int, ...]) -> None:
    """The same output and gradients; logits of the picture's own size, though inside it is padded."""
    config = MODELS[name]
    kind: Any = Detector if isinstance(config, DetectorConfig) else Segmenter
    settings = {**vars(config), "backbone": Config(backbone, 3, width=4)}
    model = fill(kind(type(config)(**settings), rng=RNG(0), dtype=np.float64))
    x, results = draw(3, shape), []
    for network in (model, tr.fuse(model)):
        y, cache = network.forward(x, train=True)
        dy = tuple(draw(7 + i, part.shape) for i, part in enumerate(parts(y)))
        model.zero_grad()
        dx = network.backward(dy if len(dy) > 1 else dy[0], cache)
        results.append([*parts(y), dx, *(param.grad.copy() for _, param in model.named_params())])
    if isinstance(model, Segmenter):
        assert results[0][0].shape == (shape[0], 4, *shape[2:])
    assert dx.shape == shape
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * max(1, np.abs(a).max()))


@pytest.mark.parametrize("name", ["resnet8", "preact_resnet8", "plain8", "resnet18", "resnet50"])
def test_a_dilated_backbone_sees_the_same_and_more(name: str) -> None:
    """Every s-th pixel of its output is the strided backbone's output, to the bit."""
    usual, dilated = (
        Backbone(tr.build(name, width=4, rng=RNG(0), dtype=np.float64), output_stride=stride)
        for stride in (None, 1 if name.endswith("8") and name != "resnet18" else 4)
    )
    x = draw(1, (1, 3, 64, 32))
    for a, b in zip(usual.forward(x, train=False)[0], dilated.forward(x, train=False)[0], strict=True):
        step = b.shape[2] // a.shape[2]
        np.testing.assert_array_equal(b[:, :, ::step, ::step], a)
    assert set(dilated.strides) == {dilated.strides[0]}


def test_configurations_and_backbones_travel() -> None:
    for name, config in MODELS.items():
        assert config_from(config.as_dict()) == config
        classifier, model = tr.build("resnet8", width=4, rng=RNG(5)), make(config, RNG(0))
        count = load_backbone(model, classifier.state_dict())
        state = classifier.state_dict()
        for path, array in model.backbone.state_dict().items():
            np.testing.assert_array_equal(array, state[path])
        assert count == sum(array.size for path, array in state.items() if not path.startswith("fc")), name
        with pytest.raises(InputError, match=r"misshapen: conv1\.weight"):
            load_backbone(model, tr.build("resnet8", width=8, rng=RNG(5)).state_dict())
        with pytest.raises(InputError, match="no weights of a ResNet"):
            load_backbone(model, {"x": np.zeros(1)})


@pytest.mark.parametrize(
    ("make_it", "says"),
    [
        (lambda: SegmenterConfig(TINY, head="fp"), "fpn"),
        (lambda: SegmenterConfig(TINY, channels=0), "channels is 0"),
        (lambda: DetectorConfig(TINY, depth=-1), "depth is -1"),
        (lambda: make(SegmenterConfig(TINY, first=3), RNG(0)), "at least two are wanted"),
        (lambda: make(SegmenterConfig(TINY, output_stride=3), RNG(0)), "output_stride is 3"),
        (
            lambda: make(SegmenterConfig(Config("resnet8", 3, shortcut="D"), output_stride=1), RNG(0)),
            "cannot be dilated",
        ),
        (lambda: config_from({"task": "dance"}), "dance"),
    ],
)
def test_wrong_configurations(make_it: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_it()


@pytest.mark.parametrize("name", ["segmenter, fpn", "segmenter, fcn", "detector"])
def test_training_on_cupy_is_training_on_numpy(name: str, xp: Any) -> None:
    """The same figures from a step and an epoch: to the bit on the stand-in, nearly on a GPU."""
    data = load_scenes("shapes", task=MODELS[name].as_dict()["task"], picture_size=48, train_size=4, test_size=2)
    settings, records = Settings(epochs=1, batch_size=4, optimiser="adamw", lr=1e-3, fuse=False), []
    for device in ("cpu", "cuda"):
        model = move(model_of(name, np.float32), device)
        with use("reference") if device == "cpu" else nullcontext():
            seen = [record for record in train(model, data, settings) if record["kind"] in ("step", "epoch")]
        records.append([{key: value for key, value in record.items() if key != "seconds"} for record in seen])
    for here, there in zip(*records, strict=True):
        assert there == (here if xp is strict_cupy else pytest.approx(here, rel=1e-3, abs=1e-4))


# Which place answers for which box.


def assign_slowly(places: Any, boxes: Any, labels: Any, crowd: Any) -> tuple[Any, Any]:
    """One place and one box at a time."""
    label, box = np.full(len(places.x), NOTHING), np.zeros((len(places.x), 4))
    for i, (px, py, stride, least, most) in enumerate(zip(*places, strict=True)):
        smallest = np.inf
        for (x0, y0, x1, y1), k, many in zip(boxes, labels, crowd, strict=True):
            if many:
                if x0 < px < x1 and y0 < py < y1 and label[i] == NOTHING:
                    label[i] = IGNORED
                continue
            half = max(x1 - x0, y1 - y0) / 2
            reach = [max(min(1.5 * stride, side / 2), stride / 2) for side in (x1 - x0, y1 - y0)]
            near = abs(px - (x0 + x1) / 2) <= reach[0] and abs(py - (y0 + y1) / 2) <= reach[1]
            if near and least < half <= most and (x1 - x0) * (y1 - y0) < smallest:
                smallest, label[i], box[i] = (x1 - x0) * (y1 - y0), k, (x0, y0, x1, y1)
    return label, box


@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_what_a_loop_gives(seed: int) -> None:
    """Random boxes in quarters of a pixel, of all sizes, overlapping, with crowds; also no box at all; each object has a place."""
    rng = RNG(seed)
    boxes, labels, crowd = [], [], []
    for count in (0, 1, 5, 9):
        corner, side = rng.integers(0, 240, (count, 2)) / 4, rng.integers(4, 200, (count, 2)) / 4
        boxes.append(np.concatenate([corner, corner + side], axis=1).astype(np.float32))
        labels.append(rng.integers(0, 10, count))
        crowd.append(rng.random(count) < 0.2)
    places = places_of((50, 61), (2, 4, 8))
    got = assign(places, boxes, labels, crowd)
    for n in range(4):
        label, box = assign_slowly(places, boxes[n], labels[n], crowd[n])
        np.testing.assert_array_equal(got.labels[n], label)
        np.testing.assert_array_equal(got.boxes[n], box)


def test_every_drawn_object_has_a_place() -> None:
    batch = scenes(96, 60)
    got = assign(places_of((96, 96), (2, 4, 8)), batch.boxes, batch.labels, batch.crowd)
    for n, boxes in enumerate(batch.boxes):
        found = {tuple(box) for box in got.boxes[n][got.labels[n] >= 0]}
        assert found == {tuple(box) for box in boxes}


def test_what_is_found_is_cut_sorted_and_not_twice() -> None:
    """Two boxes of one thing, one of another class there, one that hangs over the edge, one that is too faint."""
    boxes = np.array([[[8, 8, 20, 20], [9, 8, 20, 20], [8, 8, 20, 20], [-5, 20, 10, 40], [0, 0, 5, 5]]], np.float32)
    logits = np.full((1, 5, 3), -9, np.float32)
    logits[0, range(5), (1, 1, 2, 0, 0)] = (2, 3, 1, 4, -4)
    (found,) = detections(Outputs(logits, boxes), (32, 30))
    assert found.labels.tolist() == [0, 1, 2]
    assert found.boxes.tolist() == [[0, 20, 10, 32], [9, 8, 20, 20], [8, 8, 20, 20]]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-4, -3, -1])), rtol=1e-6)


def test_a_picture_without_objects_teaches_too() -> None:
    model = model_of("detector")
    y, cache = model.forward(draw(1, (1, 3, 16, 16)), train=True)
    empty = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    loss, dy = detection_loss(y, assign(places_of((16, 16), model.strides), *empty))
    assert loss.positives == 0
    assert loss.loss > 0
    assert (dy.logits > 0).all()  # every score is pushed down
    assert not dy.boxes.any()
    assert np.isfinite(model.backward(dy, cache)).all()
