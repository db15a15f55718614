"""What the stepper opens: every source gives a session whose numbers are explained, and its server and widget give the same numbers."""

from __future__ import annotations

import functools
import http.client
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from browser import open_browser  # noqa: F401 (a fixture)
from tinyresnet import InputError
from tinyresnet.data.shapes import CLASSES as SHAPES
from tinyresnet.detect import Detector, DetectorConfig
from tinyresnet.explain import Cell, Explainer
from tinyresnet.segment import Segmenter, SegmenterConfig
from tinyresnet.step import sources, train_digits
from tinyresnet.step.notebook import widget
from tinyresnet.step.payload import Numbered, payload
from tinyresnet.step.server import LOOPBACK, Server, serve
from tinyresnet.step.session import Session
from tinyresnet.step.sources import open_session
from tinyresnet.step.words import sentence
from tinyresnet.trace import Trace
from tinyresnet.trace_form import packed

MINE = """
import numpy as np
from tinyresnet.layers import Chain, Conv2d, Layer, Param
from tinyresnet.layers import ReLU as Right

class ReLU(Layer):
    def forward(self, x, *, train):
        return np.maximum(x, 0), (x > 0, "a word")

    def backward(self, dy, cache):
        return dy * cache[0]

class Scale(Layer):
    def __init__(self, size):
        self.weight = Param(np.full(size, 1.5))

    def forward(self, x, *, train):
        return x * self.weight.data, {"x": x, "half": x.astype(np.float16)}

    def backward(self, dy, cache):
        self.weight.grad += (dy * cache["x"]).sum(axis=0)
        return dy * self.weight.data

class Dense:
    def __init__(self):
        self.W, self.dW = np.ones((5, 2)), None

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T

class Transposed(Dense):
    def backward(self, dy):
        self.dW = dy.T @ self.x
        return dy @ self.W.T

def double_forward(x):
    return 2 * x, None

def double_backward(dy, cache):
    return 2 * dy

class Twice:
    def forward(self, x):
        return x, x

    def backward(self, dy):
        return dy

class Silent(Twice):
    def forward(self, x):
        return x

    def backward(self, dy):
        return None

class Raises(Silent):
    def backward(self, dy):
        raise KeyError("oh")

block = Chain({"conv": Conv2d(3, 2, 3, rng=np.random.default_rng(0)), "relu": Right()})
"""


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one's own: layers, weights of several makes, pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    model = tr.resnet20(width=2, rng=np.random.default_rng(1))
    tr.save(folder / "bare.safetensors", model)
    grey = tr.resnet20(width=2, in_channels=1, num_classes=3, rng=np.random.default_rng(1))
    about = {"mean": (0.5,), "std": (0.25,), "picture_size": 8}
    tr.save(folder / "grey.safetensors", grey, header=tr.Header(grey.config, ("a", "b", "c"), **about))
    (folder / "run").mkdir()
    tr.save(folder / "run" / "best.safetensors", model, header=tr.Header(model.config, picture_size=16))
    tr.save(folder / "damaged.safetensors", model, header=tr.Header(model.config, mean=(0.5,), std=(0.0,)))
    tr.save(folder / "huge.safetensors", model, header=tr.Header(model.config, picture_size=100_000))
    backbone = tr.Config("resnet8", num_classes=10, width=2)
    scenes = Segmenter(SegmenterConfig(backbone, channels=2), rng=np.random.default_rng(1))
    tr.save(folder / "scenes.safetensors", scenes, header=tr.Header(scenes.config, SHAPES, (0.5,), (0.25,), 20))
    fcn = Segmenter(SegmenterConfig(backbone, head="fcn"), rng=np.random.default_rng(1))
    tr.save(folder / "fcn.safetensors", fcn, header=tr.Header(fcn.config, picture_size=20))
    boxes = Detector(DetectorConfig(backbone, channels=2), rng=np.random.default_rng(1))
    tr.save(folder / "boxes.safetensors", boxes)
    dual = tr.resnet20(width=2, in_channels=2, rng=np.random.default_rng(1))
    tr.save(folder / "dual.safetensors", dual)
    dict(model.named_params())["fc.weight"].data[...] = np.inf
    tr.save(folder / "infinite.safetensors", model, header=tr.Header(model.config, SHAPES))
    colours = np.random.default_rng(2).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(colours).save(folder / "one.png")
    Image.fromarray(colours[::-1].copy()).save(folder / "two.png")
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    return folder


# how a session is opened (files are named as in the folder above), the pictures' shape, and words of its title
SOURCES: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    "by default": ({}, (2, 1, 8, 8), "hand numbers"),
    "another seed": ({"seed": 7}, (2, 1, 8, 8), "hand numbers"),
    "evaluation": ({"train": False}, (2, 1, 8, 8), "hand numbers"),
    "real": ({"real": True}, (2, 1, 8, 8), "two test pictures"),
    "real, evaluation": ({"real": True, "train": False}, (2, 1, 8, 8), "two test pictures"),
    "real, own pictures": ({"real": True, "images": ["one.png", "two.png"]}, (2, 1, 8, 8), "one.png and two.png"),
    "named": ({"model": "plain20"}, (2, 3, 32, 32), "plain20 with random weights; two drawn shapes"),
    "named, picture": ({"model": "resnet20", "images": ["one.png"]}, (2, 3, 32, 32), "one.png and its mirror image"),
    "weights": ({"weights": "bare.safetensors"}, (2, 3, 32, 32), "resnet20 with the weights of bare.safetensors"),
    "grey weights": ({"weights": "grey.safetensors", "train": False}, (2, 1, 8, 8), "two drawn shapes"),
    "run": ({"weights": "run"}, (2, 3, 16, 16), "weights of run"),
    "segmenter": ({"task": "segment"}, (2, 1, 8, 8), "a segmenter in hand numbers, head fpn"),
    "segmenter, evaluation": ({"task": "segment", "head": "fcn", "train": False}, (2, 1, 8, 8), "head fcn"),
    "scenes": ({"weights": "scenes.safetensors"}, (2, 3, 16, 16), "scenes.safetensors; two drawn scenes"),
    "scene": ({"weights": "fcn.safetensors", "task": "segment", "images": ["one.png"]}, (2, 3, 20, 20), "its mirror"),
    "own relu": ({"layer": "mine.py:ReLU"}, (2, 3, 8, 7), "mine.py:ReLU, for x of shape 2 × 3 × 8 × 7"),
    "own scale": ({"layer": "mine.py:Scale(4)", "shape": (3, 4)}, (3, 4), "mine.py:Scale(4)"),
    "own class": ({"layer": "mine.py:Dense"}, (3, 5), "mine.py:Dense"),
    "own pair": ({"layer": "mine.py:double_forward"}, (2, 3, 8, 7), "mine.py:double_forward"),
    "own block": ({"layer": "mine.py:block", "shape": (2, 3, 4, 4)}, (2, 3, 4, 4), "mine.py:block"),
}


def opened(folder: Path, settings: dict[str, Any]) -> Session:
    """A session of these settings, the files taken from the folder."""
    own = dict(settings)
    for name in ("weights", "layer"):
        if name in own:
            own[name] = str(folder / own[name])
    if "images" in own:
        own["images"] = [folder / name for name in own["images"]]
    return open_session(**own)


@pytest.mark.parametrize("case", SOURCES)
def test_each_source_opens_and_its_numbers_are_explained(case: str, folder: Path, rng: np.random.Generator) -> None:
    settings, shape, title = SOURCES[case]
    session = opened(folder, settings)
    assert session.x.shape == shape
    assert title in session.title
    assert str(folder) not in session.title
    assert np.isfinite(session.loss)
    assert all(step.train == settings.get("train", True) for step in session.trace if step.path != "loss")
    explainer, given = Explainer(session.trace), 0
    for _ in range(300):
        step = session.trace[int(rng.integers(len(session.trace)))]
        arrays = explainer.tensors(step.index).arrays
        name = list(arrays)[int(rng.integers(len(arrays)))]
        cell = Cell(step.index, name, tuple(int(rng.integers(size)) for size in arrays[name].shape))
        found = explainer.explain(cell)
        tolerance = 1e-6 if session.x.dtype == np.float32 else 1e-12
        assert found.value == arrays[name][cell.at]
        assert abs(found.computed - found.value) <= tolerance * max(found.magnitude, abs(found.value)), cell
        given += found.given
    assert given < 300 or settings.get("layer", "").startswith("mine.py")
    assert all(sentence(session.trace, step, language) for step in session.trace for language in ("en", "zh"))


@pytest.mark.parametrize("train", [True, False])
def test_the_shipped_weights_know_their_pictures(train: bool) -> None:
    session = open_session(real=True, train=train)
    assert session.labels is not None
    assert len(set(session.labels)) == 2
    assert session.trace["loss", "forward"].tensors["p"].argmax(axis=1).tolist() == session.labels.tolist()
    assert 0.1 < session.loss < 1  # there is something to learn, so that gradients are worth looking at
    assert session.x.dtype == np.float32


def test_the_shipped_weights_are_as_good_as_they_say() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn, which has the digits, is not installed")
    path = Path(train_digits.__file__).with_name("digits.safetensors")
    _, header = tr.weights.read_arrays(path)
    _, test = tr.data.load("digits")
    measured = train_digits.measured(open_session(real=True).model, test)
    assert measured.top1 >= header.extra["test_top1"] - 1e-4  # it is rounded
    assert header.extra["test_top1"] > 0.93
    assert (header.classes, header.mean, header.std) == (test.classes, test.mean, test.std)
    assert path.stat().st_size < 60_000


def test_training_makes_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn, which has the digits, is not installed")
    monkeypatch.setattr(train_digits, "EPOCHS", 6)
    train_digits.main(["--out", str(tmp_path / "digits.safetensors")])
    arrays, header = tr.weights.read_arrays(tmp_path / "digits.safetensors")
    shipped, as_shipped = tr.weights.read_arrays(Path(train_digits.__file__).with_name("digits.safetensors"))
    assert {n: (a.shape, a.dtype) for n, a in arrays.items()} == {n: (a.shape, a.dtype) for n, a in shipped.items()}
    for train in (True, False):
        session = sources._real_network(tmp_path / "digits.safetensors").session((), train=train, seed=0)
        assert session.trace["loss", "forward"].tensors["p"].argmax(axis=1).tolist() == arrays["labels"].tolist()
    top1 = train_digits.measured(session.model, tr.data.load("digits")[1]).top1
    assert header.extra["test_top1"] == pytest.approx(top1, abs=1e-4)
    assert {**header.extra, "test_top1": 0} == {**as_shipped.extra, "test_top1": 0}
    assert f"{100 * header.extra['test_top1']:.1f} % of 360 test pictures right" in capsys.readouterr().out


def test_labels_are_those_of_the_pictures_or_those_that_the_network_says(folder: Path) -> None:
    for seed in range(20):
        pixels, labels = sources._two_shapes(8, seed)
        assert (pixels.shape, pixels.dtype, len(set(labels))) == ((2, 3, 8, 8), np.uint8, 2)
    known = open_session(model="resnet20", seed=seed)
    assert known.classes == SHAPES
    np.testing.assert_array_equal(known.labels, labels)
    for settings in ({"weights": "grey.safetensors"}, {"real": True, "images": ["one.png"]}):
        session = opened(folder, settings)
        logits = session.model.forward(session.x, train=False)[0]
        np.testing.assert_array_equal(session.labels, logits.argmax(axis=1))
    assert opened(folder, {"layer": "mine.py:ReLU"}).labels is None


def test_one_picture_has_its_mirror_image_beside_it_and_is_normalised(folder: Path) -> None:
    from tinyresnet.data import normalize, read_picture

    session = opened(folder, {"weights": "grey.safetensors", "images": ["one.png"]})
    x = normalize(read_picture(folder / "one.png", 8, 1)[None], (0.5,), (0.25,))
    np.testing.assert_array_equal(session.x, np.concatenate([x, x[..., ::-1]]))


def test_a_layer_of_ones_own_shows_what_it_remembers_under_its_own_kind(folder: Path) -> None:
    relu = opened(folder, {"layer": "mine.py:ReLU"}).trace
    assert [(step.path, step.kind) for step in relu] == [("relu", "own ReLU")] * 2  # it is none of the library's
    assert relu[0].tensors["cache0"].dtype == bool
    np.testing.assert_array_equal(relu[1].tensors["dx"], relu[1].tensors["dy"] * relu[0].tensors["cache0"])
    scale = opened(folder, {"layer": "mine.py:Scale(4)", "shape": (3, 4)})
    assert scale.trace[0].tensors["half"].dtype == np.float64  # a dtype that every face knows
    assert scale.nudged("scale.weight", (1,), 0.5).loss == pytest.approx(
        scale.loss + 0.5 * scale.trace[1].tensors["dweight"][1], rel=1e-12
    )
    assert [step.kind for step in opened(folder, {"layer": "mine.py:block"}).trace][:2] == ["Conv2d", "ReLU"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"real": True, "model": "resnet20"}, "--real and --model or --weights are both given"),
    ({"layer": "mine.py:ReLU", "weights": "bare.safetensors"}, "are both given"),
    ({"shape": (2, 3)}, "--shape is given without --layer"),
    ({"images": ["one.png"]}, "--image is given without a network"),
    ({"layer": "mine.py:ReLU", "images": ["one.png"]}, "--image is given without a network"),
    ({"model": "resnet20", "images": ["one.png"] * 3}, "3 pictures are given: one or two are wanted"),
    ({"seed": -1}, "the seed is -1"),
    ({"model": "resnet21"}, "unknown model 'resnet21': did you mean"),
    ({"model": "resnet20", "images": ["none.png"]}, "no picture"),
    ({"model": "resnet20", "images": ["text.png"]}, "cannot read the picture"),
    ({"weights": "none.safetensors"}, "no such file"),
    ({"weights": "text.png"}, "not a readable safetensors file"),
    ({"weights": "damaged.safetensors"}, "normalisation is damaged"),
    ({"weights": "infinite.safetensors"}, "the weights are damaged"),
    ({"weights": "infinite.safetensors", "images": ["one.png"]}, "its weights are damaged"),
    ({"weights": "huge.safetensors"}, "pictures of 100000 pixels: 1 to 512 can be walked through"),
    ({"weights": "dual.safetensors"}, "made for 2 channels: pictures have 1 (grey) or 3 (colour)"),
    ({"task": "detect"}, "detectors cannot"),
    ({"weights": "boxes.safetensors"}, "detectors cannot"),
    ({"weights": "scenes.safetensors", "task": "classify"}, "these are weights to segment, not to classify"),
    ({"weights": "bare.safetensors", "model": "resnet20", "task": "segment"}, "weights to classify, not to segment"),
    ({"weights": "scenes.safetensors", "head": "fcn"}, "--head is given without a segmenter to make"),
    ({"task": "segment", "head": "fpm"}, "unknown head 'fpm'"),
    ({"layer": "mine.py:ReLU", "task": "segment"}, "a layer has no task"),
    ({"layer": "relu"}, "like mine.py:MyLayer"),
    ({"layer": "none.py:ReLU"}, "is not there"),
    ({"layer": "mine.py:Nope"}, "there is no Nope in it"),
    ({"layer": "mine.py:Scale(4)", "shape": (2, 3)}, "give --shape"),
    ({"layer": "mine.py:Twice"}, "gives 2 outputs (ndarray, ndarray): one array is wanted"),
    ({"layer": "mine.py:Silent"}, "for x a gradient of shape (2, 3, 8, 7) is wanted, backward gives none"),
    ({"layer": "mine.py:Transposed"}, "for W a gradient of shape (5, 2) is wanted, backward gives one of shape (2, 5)"),
    ({"layer": "mine.py:Raises"}, "stops with KeyError"),
]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(("settings", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_input_is_one_clear_sentence(settings: dict[str, Any], words: str, folder: Path) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        opened(folder, settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ["by default", "real", "named", "own scale", "own block"])
def test_the_lazy_payload_has_the_same_tensors_without_their_numbers(case: str, folder: Path) -> None:
    session = opened(folder, SOURCES[case][0])
    full, lazy = payload(session), json.loads(json.dumps(payload(session, lazy=True), allow_nan=False))
    numbered = Numbered(session.trace)
    whole = full["trace"]["tensors"]
    assert lazy["trace"]["tensors"] == [{"shape": one["shape"], "dtype": one["dtype"]} for one in whole]
    assert lazy["trace"]["steps"] == json.loads(json.dumps(full["trace"]["steps"]))
    assert [packed(numbered[i]) for i in range(len(numbered))] == whole
    for step in session.trace:
        for name in (*step.given, *step.made) if step.direction == "backward" else ():
            norm = lazy["norms"][str(lazy["trace"]["steps"][step.index]["tensors"][name])]
            assert norm == pytest.approx(np.sqrt((step.tensors[name].astype(float) ** 2).sum()))


class Visitor:
    """Asks a running server."""

    def __init__(self, server: Server) -> None:
        self.server, self.port = server, server.server_port

    def ask(self, method: str, path: str, body: Any = None, *, host: str | None = None, **headers: str) -> Any:
        """(status, headers, bytes); `host` in the place of the right one."""
        link = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        link.putrequest(method, path, skip_host=True)
        data = json.dumps(body).encode() if body is not None else b""
        sent = {"Host": host or f"{LOOPBACK}:{self.port}", "Content-Length": str(len(data)), **headers}
        for name, value in sent.items():
            link.putheader(name, value)
        link.endheaders(data)
        answer = link.getresponse()
        found = answer.status, answer.headers, answer.read()
        link.close()
        return found

    @functools.cached_property
    def cookie(self) -> str:
        """What the first page sets."""
        _, headers, _ = self.ask("GET", f"/?token={self.server.token}")
        return str(headers["Set-Cookie"].partition(";")[0])


@contextmanager
def running(session: Session) -> Iterator[Visitor]:
    with Server(session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Visitor(server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="visitor", scope="module")
def make_visitor() -> Iterator[Visitor]:
    with running(open_session(model="resnet20")) as visitor:
        yield visitor


def test_the_first_page_opens_with_the_token_and_sets_a_cookie(visitor: Visitor) -> None:
    status, headers, body = visitor.ask("GET", visitor.server.address.removeprefix(f"http://{LOOPBACK}:{visitor.port}"))
    assert status == 200
    assert len(body) < 1_000_000
    assert b"<!doctype html>" in body
    assert {"HttpOnly", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert {"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(
        headers["Content-Security-Policy"].split("; ")
    )
    assert visitor.ask("GET", "/", Cookie=visitor.cookie)[0] == 200


def test_tensors_come_as_their_bytes(visitor: Visitor, rng: np.random.Generator) -> None:
    trace = visitor.server.session.trace
    form = payload(visitor.server.session, lazy=True)["trace"]
    explainer = Explainer(trace)
    for _ in range(40):
        step = int(rng.integers(len(trace)))
        numbers = form["steps"][step]["tensors"] | form["steps"][step]["derived"]
        name = list(numbers)[int(rng.integers(len(numbers)))]
        status, headers, body = visitor.ask("GET", f"/tensor/{numbers[name]}", Cookie=visitor.cookie)
        array, outline = explainer.tensors(step)[name], form["tensors"][numbers[name]]
        assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
        came = np.frombuffer(body, np.dtype(outline["dtype"]).newbyteorder("<")).reshape(outline["shape"])
        np.testing.assert_array_equal(came, array)


def test_a_nudge_is_the_sessions(visitor: Visitor) -> None:
    session = visitor.server.session
    for body, loss in (
        ({"param": "fc.weight", "at": [0, 1]}, session.nudged("fc.weight", (0, 1)).loss),
        (
            {"param": "conv1.weight", "at": [0, 0, 1, 2], "by": -0.5},
            session.nudged("conv1.weight", (0, 0, 1, 2), -0.5).loss,
        ),
    ):
        status, _, answer = visitor.ask("POST", "/nudge", body, Cookie=visitor.cookie)
        assert (status, json.loads(answer)) == (200, {"loss": loss})


@pytest.mark.parametrize(
    "body",
    [None, [], {}, 3, {"param": "fc.weight"}, {"param": 3, "at": [0]}, {"param": "fc.weight", "at": [0, 0.5]}]
    + [{"param": "fc.weight", "at": at} for at in ([0], [99, 0], [-1, 0], "00", 7)]
    + [{"param": "no.weight", "at": [0]}, {"param": "fc.weight", "at": [0, 0], "by": float("nan")}]
    + [{"param": "fc.weight", "at": [0, 0], "more": "x" * 20_000}],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_no_nudge_is_refused(body: Any, visitor: Visitor) -> None:
    assert visitor.ask("POST", "/nudge", body, Cookie=visitor.cookie)[0] == 400


# what is asked, with the right cookie unless told otherwise ({token}, {port} are filled in), and the answer
ASKED: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/", {}, 200),
    ("GET", "/", {"host": "localhost:{port}"}, 200),
    ("GET", "/?token={token}", {"Cookie": ""}, 200),
    ("GET", "/tensor/3?token={token}", {"Cookie": ""}, 200),
    ("GET", "/tensor/3", {"Origin": "http://127.0.0.1:{port}"}, 200),
    ("GET", "/", {"Cookie": ""}, 403),
    ("GET", "/?token=", {"Cookie": ""}, 403),
    ("GET", "/?token={token}x", {"Cookie": ""}, 403),
    ("GET", "/?token=%C3%BC", {"Cookie": ""}, 403),
    ("GET", "/tensor/3", {"Cookie": ""}, 403),
    ("GET", "/tensor/3", {"Cookie": "tinyresnet-{port}=wrong"}, 403),
    ("GET", "/tensor/3", {"Cookie": "other={token}"}, 403),
    ("GET", "/none", {"Cookie": ""}, 403),
    ("POST", "/nudge", {"Cookie": ""}, 403),
    ("GET", "/", {"host": "127.0.0.1"}, 403),
    ("GET", "/", {"host": "example.org:{port}"}, 403),
    ("GET", "/?token={token}", {"host": "127.0.0.1:1"}, 403),
    ("POST", "/nudge", {"host": "example.org"}, 403),
    ("GET", "/tensor/3", {"Origin": "http://example.org"}, 403),
    ("POST", "/nudge", {"Origin": "null"}, 403),
    ("GET", "/none", {}, 404),
    ("GET", "/tensor/", {}, 404),
    ("GET", "/tensor/-1", {}, 404),
    ("GET", "/tensor/99999", {}, 404),
    ("GET", "/tensor/" + "9" * 5000, {}, 404),
    ("GET", "/tensor/1/2", {}, 404),
    ("GET", "/tensor/../tensor/1", {}, 404),
    ("GET", "/tensor/%31", {}, 404),
    ("GET", "/../../etc/passwd", {}, 404),
    ("GET", "/favicon.ico", {}, 404),
    ("GET", "/nudge", {}, 405),
    ("POST", "/", {}, 405),
    ("POST", "/tensor/3", {}, 405),
    ("PUT", "/", {}, 501),
    ("HEAD", "/", {}, 501),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"), ASKED, ids=[f"{a} {b:.20} {c}" for a, b, c, _ in ASKED]
)
def test_who_is_answered(method: str, path: str, headers: dict[str, str], status: int, visitor: Visitor) -> None:
    filled = {"token": visitor.server.token, "port": str(visitor.port)}

    def fill(text: str) -> str:
        return functools.reduce(lambda so_far, name: so_far.replace(f"{{{name}}}", filled[name]), filled, text)

    sent = {name: fill(value) for name, value in {"Cookie": visitor.cookie, **headers}.items()}
    came, answer, body = visitor.ask(method, fill(path), **sent)
    assert came == status
    if status in (403, 404, 405):
        assert len(body) < 40
        assert "Set-Cookie" not in answer
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_browser_shows_the_numbers_that_it_asks_for(visitor: Visitor, browser: Any) -> None:
    session = visitor.server.session
    with browser.new_context() as context:
        page, wrong, asked = context.new_page(), [], []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("response", lambda answer: asked.append((answer.status, answer.url)))
        page.goto(visitor.server.address)
        page.wait_for_selector("[role=gridcell]")
        page.wait_for_selector(".loading", state="detached")
        assert len([url for _, url in asked if "/tensor/" in url]) < 10  # what is not looked at is not sent
        page.evaluate("count => document.getElementById('stepper').stepper.go(count)", len(session.trace))
        page.click(".nudges button:not(:disabled)")
        page.wait_for_selector(".verdict")
        assert any(url.endswith("/nudge") for _, url in asked)
        assert {status for status, _ in asked} == {200}
        assert wrong == []


def test_it_listens_on_this_machine_alone(visitor: Visitor) -> None:
    assert visitor.server.socket.getsockname()[0] == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(1)
        assert other.connect_ex(("127.0.0.2", visitor.port)) != 0  # another address of this machine, or of nobody


def test_tokens_are_new_each_time(visitor: Visitor) -> None:
    with running(visitor.server.session) as other:
        assert len(other.server.token) > 30
        assert other.server.token != visitor.server.token
        assert other.ask("GET", f"/?token={visitor.server.token}")[0] == 403


def test_ports_that_cannot_be_had_are_refused(visitor: Visitor) -> None:
    for port, words in ((visitor.port, "cannot listen on port"), (70_000, "0 to 65535 is wanted")):
        with pytest.raises(InputError, match=words):
            Server(visitor.server.session, port=port)
    with pytest.raises(InputError, match="unknown language"):
        Server(visitor.server.session, language="xx")


def test_ctrl_c_ends_it_with_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def interrupted(self: Server) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    told: list[str] = []
    serve(open_session(), opened=told.append)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{30,}", told[0])
    out, err = capsys.readouterr()
    assert (out, err.strip().count("\n")) == ("", 0)
    assert "closed" in err


class TestWidget:
    """The notebook's face."""

    @pytest.fixture(autouse=True)
    def needs_anywidget(self) -> None:
        pytest.importorskip("anywidget", reason="anywidget is not installed")

    def test_the_chosen_cell_is_explained(self) -> None:
        session = open_session()
        w = widget(session, language="zh")
        assert (w.step, w.cell, w.explanation, w.language) == (0, {}, None, "zh")
        assert w.payload == payload(session)
        assert "render" in w._esm
        assert w._css
        assert {"payload", "step", "cell", "language", "_esm", "_css"} <= set(w.keys)
        w.step, w.cell = 26, {"step": 26, "name": "dx", "at": [0, 1, 0, 0]}
        assert w.explanation == Explainer(session.trace).explain(Cell(26, "dx", (0, 1, 0, 0)))
        w.cell = None
        assert w.explanation is None

    def test_it_takes_a_trace_of_ones_own(self, rng: np.random.Generator) -> None:
        model = tr.layers.Linear(3, 2, rng=rng, dtype=np.float64)
        x, labels = rng.standard_normal((2, 3)), np.array([1, 0])
        with tr.trace(model) as steps:
            y, cache = model.forward(x, train=True)
            assert widget(steps).payload["loss"] is None
            loss, dy = steps.loss(y, labels)
            model.backward(dy, cache)
        data = widget(steps).payload
        assert (data["loss"], data["labels"]) == (loss, [1, 0])

    @pytest.mark.parametrize(
        ("act", "words"),
        [
            (lambda: widget(open_session(model="resnet20")), "--serve"),
            (lambda: widget(Trace([])), "the trace has no steps"),
            (lambda: setattr(widget(), "step", 48), "0 to 47 is wanted"),
            (lambda: setattr(widget(), "cell", {"step": 3}), "is no cell"),
            (lambda: setattr(widget(), "cell", {"step": 0, "name": "y", "at": [9]}), "there is no cell"),
        ],
        ids=["large", "empty", "step", "no cell", "outside"],
    )
    def test_what_it_cannot_show_is_refused(self, act: Callable[[], object], words: str) -> None:
        with pytest.raises(InputError, match=words):
            act()


def test_without_anywidget_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyresnet.step import notebook

    notebook._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(InputError, match="pip install anywidget"):
        widget()
    notebook._widget_class.cache_clear()
