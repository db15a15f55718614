"""The library on CuPy arrays: what NumPy gives, CuPy gives, and nothing goes to and fro unseen.

Everything runs on the stand-in of `strict_cupy.py`, bit by bit as NumPy; where there is a CUDA GPU the same tests run on CuPy itself.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import strict_cupy
import tinyresnet as tr
from cases import CASES, LAYERS, Case, draw, parts, upstream
from tinyresnet.cli import main
from tinyresnet.data import Dataset, load
from tinyresnet.data.augment import Augment
from tinyresnet.data.batches import eval_batches, normalize
from tinyresnet.device import move
from tinyresnet.errors import InputError
from tinyresnet.evaluate import evaluate
from tinyresnet.nonfinite import NonFiniteError
from tinyresnet.run_folder import Record, RunFolder
from tinyresnet.train import Settings, train
from tinyresnet.twins import make_twins, train_twins
from tinyresnet.weights import read_arrays
from tinyresnet_kernels import array_module, dispatch, is_channels_last, on_host, use

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
both_modes = pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])


def deep(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with every array in it changed, in dicts, lists and (named) tuples."""
    if isinstance(value, dict):
        return {name: deep(part, change) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(deep(part, change) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(deep(part, change) for part in value)
    return change(value) if hasattr(value, "dtype") and hasattr(value, "strides") else value


def arrays_in(value: Any) -> list[Any]:
    found: list[Any] = []
    deep(value, found.append)
    return found


def assert_same(xp: Any, got: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    """An array of xp's with the NumPy array's numbers: the bits on the stand-in, else up to the tolerance of the largest."""
    assert isinstance(got, xp.ndarray), type(got)
    assert got.dtype == wanted.dtype
    got = on_host(got)
    if xp is strict_cupy:
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max(initial=0)))


def run(layer: tr.Layer, x: Any, dy: Any, *, train: bool) -> tuple[Any, Any, Any]:
    """y, the cache and dx."""
    y, cache = layer.forward(x, train=train)
    return y, cache, layer.backward(dy, cache)


# Every layer and loss.


@every_case
@both_modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_layer_gives_what_numpy_gives(case: Case, train: bool, dtype: type, xp: Any) -> None:
    with use("reference"):
        here, x = case.layer(dtype), case.x(dtype=dtype)
        y, _ = case.layer(dtype).forward(x, train=train)
        dy = upstream(y)
        wanted = run(here, x, dy, train=train)
    there, x_there, dy_there = move(case.layer(dtype), "cuda"), deep(x, xp.asarray), deep(dy, xp.asarray)
    got = run(there, x_there, dy_there, train=train)
    tolerance = 1e-12 if dtype == np.float64 else 2e-4
    for value, numpy in ((got[0], wanted[0]), (got[2], wanted[2])):
        for a, b in zip(parts(value), parts(numpy), strict=True):
            assert_same(xp, a, np.asarray(b), tolerance)
    for (name, a), (_, b) in zip(there.named_params(), here.named_params(), strict=True):
        assert_same(xp, a.grad, b.grad, tolerance)
        assert isinstance(a.data, xp.ndarray), name
    for (_, a), (_, b) in zip(there.named_buffers(), here.named_buffers(), strict=True):
        assert_same(xp, a, b, tolerance)


@every_case
@both_modes
def test_nothing_that_comes_in_is_written_to(case: Case, train: bool, xp: Any) -> None:
    layer, x = move(case.layer(), "cuda"), deep(case.x(), xp.asarray)
    before = [on_host(array) for array in (*parts(x), *(param.data for _, param in layer.named_params()))]
    y, cache = layer.forward(x, train=train)
    dy = deep(upstream_of(xp, y), xp.asarray)
    held = [array for array in arrays_in((x, dy, cache)) if isinstance(array, xp.ndarray)]
    copies = [on_host(array) for array in held]
    layer.backward(dy, cache)
    for a, b in zip(held, copies, strict=True):
        np.testing.assert_array_equal(on_host(a), b)
    for a, b in zip((*parts(x), *(param.data for _, param in layer.named_params())), before, strict=True):
        np.testing.assert_array_equal(on_host(a), b)


def upstream_of(xp: Any, y: Any) -> Any:
    return upstream(tuple(on_host(part) for part in y) if isinstance(y, tuple) else on_host(y))


@pytest.mark.parametrize("case", [c for c in LAYERS if len(c.x_shapes[0]) == 4], ids=lambda case: case.name)
def test_memory_layout_follows_x(case: Case, xp: Any) -> None:
    x = case.x()

    def channels_last(a: Any) -> Any:
        return a if a.ndim != 4 else xp.asarray(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)

    last = deep(x, channels_last)
    layer = move(case.layer(), "cuda")
    y, cache = layer.forward(last, train=True)
    dy = deep(deep(upstream_of(xp, y), channels_last), xp.asarray)
    for value, source in ((y, last), (layer.backward(dy, cache), dy)):
        for part in parts(value):
            if part.ndim == 4 and not any(part is given for given in parts(source)):
                seen = part.transpose(0, 2, 3, 1) if is_channels_last(parts(last)[0]) else part
                assert seen.flags.c_contiguous


@both_modes
def test_layers_copy_and_read_nothing(train: bool, stand_in: Any) -> None:
    """But for dropout, whose draws are the host's."""
    for case in LAYERS:
        layer, x = move(case.layer(), "cuda"), deep(case.x(), stand_in.asarray)
        y, _ = layer.forward(x, train=train)
        dy = deep(upstream_of(stand_in, y), stand_in.asarray)
        dropouts = sum("Dropout" in type(part).__name__ for part in (layer, *(l for _, l in layer.named_layers())))
        with stand_in.counting() as counts:
            run(layer, x, dy, train=train)
        assert counts == strict_cupy.Counts(to_device=dropouts if train else 0), case.name


# Optimisers, clipping, the loss's labels.


OPTIMISERS: dict[str, Callable[[Any], tr.SGD | tr.AdamW]] = {
    "sgd": lambda params: tr.SGD(params, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda params: tr.SGD(params, momentum=0.9, nesterov=True, decay_all=True, weight_decay=0.1),
    "adamw": lambda params: tr.AdamW(params, weight_decay=0.01),
}


def params_with_grads(dtype: Any = np.float64) -> list[tuple[str, tr.Param]]:
    named = [(f"p{i}", tr.Param(draw(i, shape).astype(dtype))) for i, shape in enumerate([(3, 4), (5,), (2, 1, 3, 3)])]
    for i, (_, param) in enumerate(named):
        param.grad[...] = draw(20 + i, param.data.shape)
    return named


def moved_params(xp: Any, named: list[tuple[str, tr.Param]]) -> list[tuple[str, tr.Param]]:
    there = [(name, tr.Param(xp.asarray(param.data))) for name, param in named]
    for (_, a), (_, b) in zip(there, named, strict=True):
        a.grad[...] = xp.asarray(b.grad)
    return there


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_and_clipping(name: str, xp: Any) -> None:
    here = params_with_grads()
    there = moved_params(xp, here)
    both = [(params, OPTIMISERS[name](params)) for params in (here, there)]
    norms = []
    with use("reference"):
        for params, optimiser in both:
            for lr in (0.1, 0.05, 0.01):
                norms.append(tr.clip_grad_norm(params, 1.5))
                optimiser.step(lr)
    assert norms[:3] == pytest.approx(norms[3:], rel=1e-14)
    for (_, a), (_, b) in zip(there, here, strict=True):
        assert_same(xp, a.data, b.data)
    state = both[0][1].state_dict()
    for key, array in both[1][1].state_dict().items():
        if key != "steps":
            assert_same(xp, array, state[key])


def test_optimiser_state_goes_both_ways(xp: Any) -> None:
    here = params_with_grads()
    there = moved_params(xp, here)
    one, other = OPTIMISERS["adamw"](here), OPTIMISERS["adamw"](there)
    one.step(0.1)
    other.load_state_dict(one.state_dict())
    for key, array in one.state_dict().items():
        if key != "steps":
            assert_same(xp, other.state_dict()[key], array)
    back = OPTIMISERS["adamw"](params_with_grads())
    back.load_state_dict(other.state_dict())
    for key, array in one.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[key], array)


def test_a_step_copies_nothing_and_a_norm_is_one_copy(stand_in: Any) -> None:
    params = moved_params(stand_in, params_with_grads())
    for make in OPTIMISERS.values():
        optimiser = make(params)
        with stand_in.counting() as counts:
            optimiser.zero_grad()
            optimiser.step(0.1)
        assert counts == strict_cupy.Counts()
    with stand_in.counting() as counts:
        tr.clip_grad_norm(params, 1e-3)
    assert counts == strict_cupy.Counts(to_host=1)


@pytest.mark.parametrize("labels", [np.array([0, 2, 1]), np.array([0, -100, 1]), np.full((3, 4), 0.25)])
def test_labels_on_either_side_give_the_same_loss(labels: Any, xp: Any) -> None:
    logits = draw(1, (3, 4))
    with use("reference"):
        wanted, gradient = tr.softmax_cross_entropy(logits, labels, label_smoothing=0.1)
    for given in (labels, xp.asarray(labels)):
        loss, dlogits = tr.softmax_cross_entropy(xp.asarray(logits), given, label_smoothing=0.1)
        assert loss == pytest.approx(wanted, rel=1e-14)
        assert_same(xp, dlogits, gradient)


@pytest.mark.parametrize("labels", [np.array([0, 4, 1]), np.array([-1, 0, 0]), np.full(3, -100), np.full((3, 4), 0.5)])
def test_wrong_labels_are_named_on_either_side(labels: Any, xp: Any) -> None:
    messages = []
    for logits, given in (
        (draw(1, (3, 4)),) * 2,
        (xp.asarray(draw(1, (3, 4))), labels),
        (xp.asarray(draw(1, (3, 4))), xp.asarray(labels)),
    ):
        with pytest.raises(InputError) as caught:
            tr.softmax_cross_entropy(logits, labels if given is logits else given)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1


# Pictures: augmentation and normalisation by array type, with the host's draws.


@pytest.mark.parametrize(
    "augment",
    [Augment(), Augment(crop=2), Augment(flip=True), Augment(cutout=4), Augment(mixup=0.7), Augment(jitter=0.4)],
    ids=lambda a: next((f.name for f in dataclasses.fields(a) if getattr(a, f.name)), "nothing"),
)
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation(augment: Augment, channels: int, xp: Any) -> None:
    pixels, labels = (draw(4, (5, channels, 8, 9)) * 60 + 125).astype(np.uint8), np.array([0, 2, 1, 0, 1])

    def changed(pixels: Any, labels: Any) -> tuple[Any, Any]:
        rng = np.random.default_rng(5)
        unit = augment.colour(pixels.astype(np.float32) / np.float32(255), rng)
        return augment.change(normalize(unit, (0.4,), (0.2,)), labels, 3, rng)

    wanted = changed(pixels, labels)
    for got, numpy in zip(changed(xp.asarray(pixels), xp.asarray(labels)), wanted, strict=True):
        assert_same(xp, got, numpy, 1e-6)
    assert_same(xp, normalize(xp.asarray(pixels), (0.4,), (0.2,)), normalize(pixels, (0.4,), (0.2,)), 1e-6)


# Training.


@pytest.fixture(scope="module")
def shapes() -> tuple[Dataset, Dataset]:
    train_set, test_set = load("shapes", train_size=40, test_size=12, picture_size=16)
    return train_set, test_set


def network(data: tuple[Dataset, Dataset], device: str, dropout: float = 0.25, **settings: Any) -> tr.ResNet:
    model = tr.build(
        "resnet8", width=2, num_classes=len(data[0].classes), dropout=dropout, rng=np.random.default_rng(1), **settings
    )
    return move(model, device)


HOW = {
    "sgd": Settings(steps=7, batch_size=8, clip=1.0, augment=Augment(crop=1, flip=True)),
    "adamw, mixup": Settings(steps=7, batch_size=8, optimiser="adamw", lr=0.01, augment=Augment(mixup=0.4)),
    "layer by layer": Settings(steps=7, batch_size=8, fuse=False, label_smoothing=0.1, nesterov=True),
}


def records_of(model: tr.ResNet, data: Any, settings: Settings, **more: Any) -> list[Record]:
    records = list(train(model, data, settings, **more))
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


@pytest.mark.parametrize("how", HOW)
def test_training_is_numpys(how: str, shapes: Any, xp: Any) -> None:
    with use("reference"):
        here = network(shapes, "cpu")
        wanted = records_of(here, shapes, HOW[how])
    there = network(shapes, "cuda")
    got = records_of(there, shapes, HOW[how])
    for a, b in zip(got, wanted, strict=True):
        assert a == (b if xp is strict_cupy else pytest.approx(b, rel=1e-3))
    if xp is strict_cupy:
        for name, array in there.state_dict().items():
            assert_same(xp, array, here.state_dict()[name])


PER_STEP = strict_cupy.Counts(to_device=2, to_host=1)  # pictures and targets; all figures of a log line together


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("how", HOW)
def test_a_training_step_is_two_copies_there_and_one_back(how: str, dropout: float, shapes: Any, stand_in: Any) -> None:
    settings = dataclasses.replace(HOW[how], steps=4)  # within an epoch
    records = train(network(shapes, "cuda", dropout), shapes, settings)
    assert next(records)["kind"] == "start"
    for _ in range(4):
        with stand_in.counting() as counts:
            assert next(records)["kind"] == "step"
        draws = 1 if dropout else 0
        assert counts == dataclasses.replace(PER_STEP, to_device=PER_STEP.to_device + draws)
    with stand_in.counting() as counts:
        assert next(records)["kind"] == "epoch"  # all 12 test pictures are one batch
    assert counts == strict_cupy.Counts(to_device=1, to_host=1)


def test_evaluation_is_one_copy_there_and_one_back_a_batch(shapes: Any, stand_in: Any) -> None:
    model = network(shapes, "cuda")
    with stand_in.counting() as counts:
        found = evaluate(model, eval_batches(shapes[1], batch_size=4), shapes[1].classes)
    assert counts == strict_cupy.Counts(to_device=3, to_host=3)
    assert found.as_dict() == _on_the_host(shapes).as_dict()


def _on_the_host(data: Any) -> Any:
    with use("reference"):
        return evaluate(network(data, "cpu"), eval_batches(data[1], batch_size=4), data[1].classes)


def test_evaluation_is_numpys(shapes: Any, xp: Any) -> None:
    found = evaluate(network(shapes, "cuda"), eval_batches(shapes[1], batch_size=4), shapes[1].classes)
    wanted = _on_the_host(shapes)
    assert found.loss == pytest.approx(wanted.loss, rel=1e-5)
    np.testing.assert_array_equal(found.confusion, wanted.confusion)


def test_a_summary_is_printed_on_the_device(shapes: Any, xp: Any) -> None:
    with use("reference"):
        wanted = str(network(shapes, "cpu"))
    assert str(network(shapes, "cuda")) == wanted


def test_twins_are_trained_on_the_device(shapes: Any, xp: Any) -> None:
    figures = []
    for device in ("cpu", "cuda"):
        twins = make_twins(8, width=2, num_classes=len(shapes[0].classes), seed=0)
        for twin in twins:
            move(twin.model, device)
        with use("reference"):
            list(train_twins(twins, shapes, Settings(steps=2, batch_size=8)))
        figures.append([*twins[0].last_grad_norms.values(), *twins[1].last_grad_norms.values(), *twins[1].losses])
    assert figures[1] == (figures[0] if xp is strict_cupy else pytest.approx(figures[0], rel=1e-3))


def test_a_nan_is_found_on_the_device(shapes: Any, xp: Any) -> None:
    model = network(shapes, "cuda")
    model["layer2.0.conv1"].params()["weight"].data[0, 0, 0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"step 1, in layer2\.0\.conv1\.weight"):
        list(train(model, shapes, HOW["sgd"]))


def test_the_network_forgets_nothing_when_moved(shapes: Any, xp: Any) -> None:
    model = network(shapes, "cpu")
    for i, (_, param) in enumerate(model.named_params()):
        param.grad[...] = draw(i, param.grad.shape)
    before = model.state_dict(), [param.grad.copy() for _, param in model.named_params()]
    assert move(model, "cuda") is model
    assert all(isinstance(array, xp.ndarray) for array in model.state_dict().values())
    move(move(model, "cuda"), "cpu")  # moving it to where it is changes nothing
    after = model.state_dict(), [param.grad for _, param in model.named_params()]
    for name, array in before[0].items():
        np.testing.assert_array_equal(after[0][name], array)
        assert after[0][name].dtype == array.dtype
    for a, b in zip(after[1], before[1], strict=True):
        np.testing.assert_array_equal(a, b)


# Files.


def test_weights_and_checkpoints_go_both_ways(shapes: Any, tmp_path: Path, xp: Any) -> None:
    there = network(shapes, "cuda")
    tr.save(tmp_path / "there.safetensors", there)
    here = network(shapes, "cpu", dtype=np.float32)
    for _, param in here.named_params():
        param.data[...] = 0
    tr.load(tmp_path / "there.safetensors", here)
    for name, array in here.state_dict().items():
        assert_same(xp, there.state_dict()[name], array)
    tr.save(tmp_path / "here.safetensors", here)
    assert (tmp_path / "here.safetensors").read_bytes() == (tmp_path / "there.safetensors").read_bytes()
    other = network(shapes, "cuda")
    for _, param in other.named_params():
        param.data[...] = 0
    tr.load(tmp_path / "here.safetensors", other)
    for name, array in here.state_dict().items():
        assert_same(xp, other.state_dict()[name], array)


@pytest.mark.parametrize("first", ["cpu", "cuda"])
@pytest.mark.parametrize("then", ["cpu", "cuda"])
def test_a_run_goes_on_on_the_other_device(first: str, then: str, shapes: Any, tmp_path: Path, stand_in: Any) -> None:
    """On the stand-in even to the same bits."""
    settings = HOW["adamw, mixup"]
    with use("reference"):
        whole = records_of(network(shapes, "cpu"), shapes, settings, run=RunFolder(_made(tmp_path / "whole")))
        steps = iter(range(100))
        folder = RunFolder(_made(tmp_path / "run"))
        begun = records_of(network(shapes, first), shapes, settings, run=folder, stop=lambda: next(steps) == 2)
        assert begun[-1]["kind"] == "stopped"
        ended = records_of(network(shapes, then), shapes, settings, run=folder, resume=True)
    assert ended[1:] == whole[-len(ended) + 1 :]
    one, other = (read_arrays(tmp_path / name / "last.safetensors")[0] for name in ("whole", "run"))
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array)


def _made(path: Path) -> Path:
    path.mkdir()
    return path


# The command line.


SMALL = ["--train-size", "16", "--test-size", "8", "--picture-size", "16", "--batch-size", "8"]


def test_the_commands_take_a_device(tmp_path: Path, xp: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    small = ["--model", "resnet8", "--width", "2", "--steps", "2", *SMALL]
    assert main(["train", "--device", "cuda", "--out", out, "--json", *small]) == 0
    picture = tmp_path / "p.png"
    Image.fromarray((draw(1, (9, 9, 3)) * 60 + 125).astype(np.uint8)).save(picture)
    said = {}
    for device in ("cpu", "cuda"):
        capsys.readouterr()
        for command in (["eval", "--limit", "8"], ["predict", str(picture)]):
            with strict_cupy.counting() as counts:
                assert main([*command, "--device", device, "--weights", out, "--json"]) == 0
            assert bool(counts.to_host) == (xp is strict_cupy and device == "cuda")
        said[device] = [line for line in capsys.readouterr().out.splitlines() if "pictures_per_second" not in line]
    if xp is strict_cupy:
        assert said["cuda"] == said["cpu"]


NAMESPACE = "from types import SimpleNamespace as N\nclass ndarray: pass\n"
ABSENT = {  # what importing cupy does, and what is then said
    "none": (
        "raise ModuleNotFoundError('no cupy', name='cupy')",
        "cupy, which is not installed: pip install 'tinyresnet[cuda12]'",
    ),
    "broken": ("raise ImportError('libcudart.so.12: cannot open')", "does not import (libcudart.so.12: cannot open)"),
    "no driver": (
        NAMESPACE + "def fail(): raise RuntimeError('cudaErrorNoDevice: no device')\n"
        "cuda = N(runtime=N(getDeviceCount=fail, runtimeGetVersion=fail))",
        "no usable NVIDIA GPU and driver here (cudaErrorNoDevice: no device)",
    ),
    "no GPU": (
        NAMESPACE + "cuda = N(runtime=N(getDeviceCount=lambda: 0, runtimeGetVersion=lambda: 12000))",
        "a driver, but no GPU",
    ),
}


@pytest.fixture
def not_imported() -> Iterator[None]:
    """No module cupy is imported yet, and whichever the test imports is gone after it."""
    before = sys.modules.pop("cupy", None)
    yield
    sys.modules.pop("cupy", None)
    if before is not None:
        sys.modules["cupy"] = before


@pytest.mark.parametrize("kind", ABSENT)
@pytest.mark.parametrize("command", [["train", "--data", "nowhere"], ["demo"]], ids=lambda command: command[0])
def test_no_gpu_is_one_sentence(
    kind: str,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    not_imported: None,
) -> None:
    code, message = ABSENT[kind]
    (tmp_path / "cupy.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main([*command, "--device", "cuda", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert all(line in said for line in ("GPU driver", "CUDA toolkit", "cupy"))


WITH_CUPY_IMPORTED = """
import sys
import cupy
import numpy as np, tinyresnet as tr
from tinyresnet_kernels import array_module, available
x = np.ones((2, 3, 8, 8), np.float32)
assert array_module(x) is np and array_module(np.float32(1)) is np
model = tr.resnet8(num_classes=4, rng=np.random.default_rng(0))
y, cache = model.forward(x, train=True)
loss, dlogits = tr.softmax_cross_entropy(y, np.array([0, 1]))
assert isinstance(model.backward(dlogits, cache), np.ndarray)
tr.SGD(model.named_params()).step(0.1)
assert "reference" in available()
print("fine")
"""


def python(code: str, *folders: Path) -> str:
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(map(str, (*folders, root, root / "kernels")))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numpy_arrays_are_served_beside_a_cupy_without_a_driver(tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text(ABSENT["no driver"][0], encoding="utf-8")
    assert python(WITH_CUPY_IMPORTED, tmp_path) == "fine\n"


@pytest.mark.gpu  # it needs no GPU, but the extra cuda12 or cuda13
def test_numpy_arrays_are_served_beside_the_cupy_that_is_installed() -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    assert python(WITH_CUPY_IMPORTED) == "fine\n"


# By array type.


def test_a_function_for_the_gpu_is_taken_for_its_arrays_alone(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispatch._replacements, ("cuda", "total"), (lambda a, b: (a + b) * 0 + 7, None))
    add, a = tr.layers.Add(), np.ones(2)
    assert add.forward((a, a), train=True)[0].tolist() == [2, 2]
    x = stand_in.asarray(a)
    assert add.forward((x, x), train=True)[0].tolist() == [7, 7]
    with use("reference"):
        assert add.forward((x, x), train=True)[0].tolist() == [2, 2]


def test_array_module_goes_by_type(xp: Any) -> None:
    assert array_module(xp.asarray([1.0])) is xp
    assert array_module(np.ones(1)) is np
    assert array_module(np.float64(1)) is np
