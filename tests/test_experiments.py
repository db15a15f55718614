"""The long experiments of the course: small ones are run whole; their instruments are compared with what is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tinyresnet.course import places
from tinyresnet.course.experiments import ablations, degradation, gradients, lesions, pretraining, surface, trained
from tinyresnet.course.experiments.networks import Budget, train_one
from tinyresnet.course.experiments.results import Results, mean_and_spread, read, rounded
from tinyresnet.data import train_batches
from tinyresnet.errors import InputError
from tinyresnet.layers import BatchNorm2d
from tinyresnet.observe import observe
from tinyresnet.resnet import build
from tinyresnet.train import Settings

TINY = Budget(train_size=48, test_size=16, picture_size=12, width=2, batch_size=16)
FLAGS = ["--train-size", "48", "--test-size", "16", "--picture-size", "12", "--width", "2", "--batch-size", "16"]
SHIPPED = ("degradation_cifar", "degradation_shapes", "surface", "lesions", "ablations", "pretraining")


@pytest.fixture(scope="module")
def data():
    return TINY.load()


@pytest.fixture(scope="module")
def batch(data):
    return next(train_batches(data[0], batch_size=16, seed=0, stop_step=1))


@pytest.fixture
def model(data):
    return TINY.network("residual", 8, 0, data[0])


# The file of results


def results(path, **settings):
    return Results(path, command="python -m x", seed=0, settings=settings, by=("name", "seed"))


def test_results_go_on_where_they_were(tmp_path):
    made = results(tmp_path / "r.json", rates=(1, 2))
    made.add({"name": "a", "seed": 0, "loss": rounded(np.pi)})
    again = results(tmp_path / "r.json", rates=[1, 2])
    assert {"name": "a", "seed": 0} in again
    assert {"name": "a", "seed": 1} not in again
    assert again.where(name="a") == [{"name": "a", "seed": 0, "loss": 3.142}]
    assert set(read(tmp_path / "r.json")) == {"command", "seed", "made_with", "settings", "results"}


def test_results_of_other_settings_are_not_mixed(tmp_path):
    results(tmp_path / "r.json", epochs=3).add({"name": "a", "seed": 0})
    with pytest.raises(InputError, match="was made with epochs 3, not 4"):
        results(tmp_path / "r.json", epochs=4)


@pytest.mark.parametrize("text", ["", "[]", '{"results": []}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=r"r\.json"):
        read(tmp_path / "r.json")


def test_what_is_not_finite_is_null_and_counts():
    assert rounded({"a": [1.23456, np.inf, float("nan")]}) == {"a": [1.235, None, None]}
    assert np.isnan(mean_and_spread([1.0, None])).all()
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2, 2**0.5))


# Training


def test_plain_and_residual_start_from_equal_weights(data):
    plain, residual = (TINY.network(kind, 20, 3, data[0]).state_dict() for kind in ("plain", "residual"))
    assert plain.keys() == residual.keys()
    assert all(np.array_equal(plain[name], residual[name]) for name in plain)


def test_a_run_that_overflows_has_no_figures(data, model):
    made = train_one(model, data, Settings(steps=6, lr=1e30, batch_size=16))
    assert made.last("train_loss") == float("inf")
    assert degradation.figures(made)["test_error"] is None


def small_degradation(tmp_path, *more):
    rates = ["--rates", "0.05,0.1", "--depths", "8", "--epochs", "2", "--grid-epochs", "1"]
    return degradation.main([*FLAGS, *rates, "--out", str(tmp_path / "d.json"), *more])


def test_degradation_is_run_and_goes_on(tmp_path, capsys, monkeypatch):
    assert small_degradation(tmp_path, "--seeds", "1", "--weights", str(tmp_path)) == 0
    assert small_degradation(tmp_path, "--seeds", "2", "--plot", str(tmp_path / "d.png")) == 0
    held = read(tmp_path / "d.json")
    runs = [row for row in held["results"] if row["part"] == "run"]
    assert [(row["kind"], row["seed"]) for row in runs] == [(k, s) for s in (0, 1) for k in ("plain", "residual")]
    assert all(len(row["first_grad_norms"]) == 7 and len(row["curve"]) == 6 for row in runs)
    assert "--seeds 2 --depths 8 --kinds plain,residual" in held["command"]
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    monkeypatch.setattr(degradation, "train_one", None)  # nothing is left to train
    assert small_degradation(tmp_path, "--seeds", "2") == 0
    assert "8  residual" in capsys.readouterr().out

    # what looks into trained networks starts from there
    like = ["--like", str(tmp_path / "d.json"), "--data", "shapes", "--weights", str(tmp_path)]
    monkeypatch.setattr(trained, "train_one", None)
    for experiment, networks in ((surface, [("plain", 8)]), (lesions, [("residual", 8)])):
        monkeypatch.setattr(experiment, "NETWORKS", networks)
        flags = ["--points", "3", "--pictures", "16"] if experiment is surface else ["--draws", "1"]
        assert experiment.main([*like, *flags, "--out", str(tmp_path / "x.json")]) == 0
        assert read(tmp_path / "x.json")["results"]
        (tmp_path / "x.json").unlink()


def test_the_rate_of_the_lowest_loss_is_taken():
    grid = [
        {"part": "grid", "kind": "plain", "depth": 8, "rate": r, "train_loss": v}
        for r, v in ((1, None), (2, 2.0), (3, 1.5))
    ]
    assert degradation.best_rate(grid, "plain", 8) == 3
    with pytest.raises(InputError, match="no learning rate"):
        degradation.best_rate(grid[:1], "plain", 8)


@pytest.mark.parametrize("flags", [["--rates", "0"], ["--rates", "a"], ["--kinds", "plane"], ["--data", "nothing"]])
def test_wrong_arguments_are_a_sentence(tmp_path, capsys, flags):
    with pytest.raises(SystemExit) as caught:
        degradation.main(["--out", str(tmp_path / "d.json"), *flags])
    assert caught.value.code == 2
    assert "wanted" in capsys.readouterr().err or flags[0] == "--data"


def test_ablations_are_run_and_gains_are_by_seed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ablations, "SETTINGS", tuple(s for s in ablations.SETTINGS if s.group in ("base", "init")))
    assert ablations.main([*FLAGS, "--epochs", "1", "--seeds", "1", "--out", str(tmp_path / "a.json")]) == 0
    assert "He, no batch norm" in capsys.readouterr().out
    rows = [{"group": "base", "name": "base", "seed": s, "test_error": e} for s, e in enumerate((0.5, 0.7))]
    rows += [{"group": "init", "name": "He / 10", "seed": s, "test_error": e} for s, e in enumerate((0.4, 0.6))]
    rows = [row | dict.fromkeys(("train_loss", "train_error", "test_loss"), 1.0) for row in rows]
    base, changed = ablations.summary(rows, "init")
    assert base["gain"] == pytest.approx((0, 0))
    assert changed["gain"] == pytest.approx((0.1, 0))
    assert changed["test_error"][1] > 0.1


def small_pretraining(tmp_path, *more):
    sizes = [
        "--pictures",
        "64",
        "--classifier-steps",
        "1",
        "--test-scenes",
        "8",
        "--width",
        "2",
        "--channels",
        "2",
        "--steps",
        "1",
    ]
    return pretraining.main([*sizes, "--scenes", "8,9", "--out", str(tmp_path / "p.json"), *more])


def test_pretraining_is_run_and_goes_on(tmp_path, capsys, monkeypatch):
    begun, given = [], pretraining.load_backbone

    def load(model, arrays):
        given(model, arrays)
        begun.append(all(np.array_equal(arrays[name], own) for name, own in model.backbone.state_dict().items()))

    monkeypatch.setattr(pretraining, "load_backbone", load)
    assert small_pretraining(tmp_path, "--seeds", "1") == 0
    assert begun == [True, True]  # the pretrained ones alone start from the classifier
    assert (
        small_pretraining(tmp_path, "--seeds", "1", "--tasks", "detect", "--starts", "scratch,longer", "--scenes", "8")
        == 0
    )
    held = read(tmp_path / "p.json")
    runs = [(row["task"], row["scenes"], row["start"]) for row in held["results"]]
    segment = [("segment", scenes, start) for start in ("scratch", "pretrained") for scenes in (8, 9)]
    assert runs == [("classify", 0, "scratch"), *segment, ("detect", 8, "scratch"), ("detect", 8, "longer")]
    capsys.readouterr()
    monkeypatch.setattr(pretraining, "learn", None)  # nothing is left to train
    assert small_pretraining(tmp_path, "--seeds", "1") == 0
    assert "pretrained" in capsys.readouterr().out


def test_gains_of_pretraining_are_by_seed():
    scores = {"scratch": (0.2, 0.4), "pretrained": (0.3, 0.5)}
    rows = [
        {"task": "segment", "scenes": 50, "start": start, "seed": seed, "score": score}
        for start, both in scores.items()
        for seed, score in enumerate(both)
    ]
    (line,) = pretraining.summary(rows, "segment")
    assert line["pretrained"]["gain"] == pytest.approx((0.1, 0))
    assert line["pretrained"]["score"] == pytest.approx((0.4, 0.02**0.5))
    assert "longer" not in line
    assert pretraining.summary(rows, "detect") == []


@pytest.mark.parametrize(
    "flags", [["--tasks", "classify"], ["--starts", "scratch,later"], ["--scenes", "0"], ["--steps", "0"]]
)
def test_wrong_arguments_of_pretraining_are_a_sentence(tmp_path, capsys, flags):
    with pytest.raises(SystemExit) as caught:
        pretraining.main(["--out", str(tmp_path / "p.json"), *flags])
    assert caught.value.code == 2
    assert flags[1].split(",")[-1] in capsys.readouterr().err


def test_no_two_ablations_share_a_name():
    names = [(setting.group, setting.name) for setting in ablations.SETTINGS]
    assert len(set(names)) == len(names)


# Gradients


def smooth(seed=0):
    """A small network in float64, without kinks near where it is looked at."""
    return build("resnet8", width=3, in_channels=3, rng=np.random.default_rng(seed), dtype=np.float64)


def test_input_gradient_is_the_slope(batch):
    model, x, rng = smooth(), batch.x[:3].astype(np.float64), np.random.default_rng(1)
    gradients.settle_statistics(model, x)
    direction, way = rng.standard_normal(10), rng.standard_normal(x.shape)
    before = [param.grad.copy() for _, param in model.named_params()]
    slopes = (gradients.input_gradient(model, x, direction) * way).sum(axis=(1, 2, 3))
    ahead, behind = (model.forward(x + step * way, train=False)[0] @ direction for step in (1e-7, -1e-7))
    np.testing.assert_allclose(slopes, (ahead - behind) / 2e-7, rtol=1e-3)
    assert all(np.array_equal(b, p.grad) for b, (_, p) in zip(before, model.named_params(), strict=True))


def test_slopes_along_a_circle_are_the_outputs_slopes(batch):
    model, direction = smooth(), np.random.default_rng(1).standard_normal(10)
    a, b = batch.x[:2].astype(np.float64)
    gradients.settle_statistics(model, batch.x.astype(np.float64))
    slopes = gradients.slopes_along(model, a, b, direction, points=2001)
    heights = model.forward(gradients.circle(a, b, 2001)[0], train=False)[0] @ direction
    measured = np.diff(heights) / (np.pi / 2 / 2000)
    assert np.corrcoef((slopes[1:] + slopes[:-1]) / 2, measured)[0, 1] > 0.99


def test_statistics_become_the_batchs_own(batch, model):
    gradients.settle_statistics(model, batch.x)
    with_batch = model.forward(batch.x, train=True)[0]
    assert all(layer.momentum == 0.1 for _, layer in model.named_layers() if isinstance(layer, BatchNorm2d))
    gradients.settle_statistics(model, batch.x)
    assert np.abs(model.forward(batch.x, train=False)[0] - with_batch).max() < 0.1  # the variance is the unbiased one


def test_cosines_and_autocorrelation():
    a = np.array([[1.0, 0], [1, 1], [0, 0]])
    np.testing.assert_allclose(gradients.cosines(a, np.array([[0.0, 2], [3, 3], [1, 1]])), [0, 1, 0], atol=1e-12)
    noise = np.random.default_rng(0).standard_normal(4000)
    assert np.abs(gradients.autocorrelation(noise, 5)[1:]).max() < 0.06
    assert gradients.autocorrelation(np.cumsum(noise), 5)[1:].min() > 0.95


@pytest.mark.parametrize("kind", ["plain", "residual", "preact"])
def test_block_gradients_are_what_reaches_the_blocks(data, batch, kind):
    model, reached = TINY.network(kind, 8, 0, data[0]), {}

    def look(path, layer, dy, dx):
        reached[path] = float(np.linalg.norm(dy))

    norms = gradients.block_gradients(model, batch.x, batch.labels)
    with observe(model, backward=look):
        assert gradients.block_gradients(model, batch.x, batch.labels) == norms
    assert list(norms) == ["layer1.0", "layer2.0", "layer3.0"]
    stem = "conv1" if kind == "preact" else "relu"
    assert norms["layer1.0"] == pytest.approx(reached[stem], rel=1e-5)


# The surface


def test_filters_of_a_direction_are_as_long_as_the_networks(model):
    direction = surface.filter_normalised(model, np.random.default_rng(0))
    for name, param in model.named_params():
        if param.data.ndim == 1:
            assert not direction[name].any()
        else:
            lengths = [np.linalg.norm(a.reshape(len(a), -1), axis=1) for a in (direction[name], param.data)]
            np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_a_surface_has_the_loss_in_its_middle_and_leaves_the_model(batch, model):
    before = model.state_dict()
    loss = surface.surface(model, batch, np.random.default_rng(0), points=3)
    line = surface.line(model, batch, np.random.default_rng(0), points=3)
    assert loss.shape == (3, 3)
    assert line[1] == loss[1, 1] == pytest.approx(surface.loss_at(model, batch), rel=1e-5)
    np.testing.assert_allclose(line, loss[:, 1], rtol=1e-5)
    after = TINY.network("residual", 8, 0, TINY.load()[0])
    after.load_state_dict(before)
    assert np.array_equal(surface.surface(after, batch, np.random.default_rng(0), points=3), loss)


def test_bumps_are_counted():
    x = np.linspace(-1, 1, 9)
    bowl = x[:, None] ** 2 + x**2
    assert surface.share_of_bumps(bowl) == 0
    assert surface.share_of_bumps(-bowl) == 1


# Lesions


def test_which_blocks_can_go(data):
    assert lesions.blocks_that_can_go(TINY.network("plain", 8, 0, data[0])) == ["layer1.0"]
    assert lesions.blocks_that_can_go(TINY.network("residual", 8, 0, data[0])) == ["layer1.0", "layer2.0", "layer3.0"]


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_network_without_a_block(data, batch, kind):
    model = TINY.network(kind, 20, 0, data[0])
    whole, _ = model.forward(batch.x, train=False)
    with lesions.without(model, ["layer2.1"]):
        lesioned, _ = model.forward(batch.x, train=False)
    assert not np.array_equal(lesioned, whole)
    assert np.array_equal(model.forward(batch.x, train=False)[0], whole)
    if kind == "residual":  # a branch that gives 0 is as good as none
        model["layer2.1.bn2"].weight.data[...] = 0
        np.testing.assert_allclose(model.forward(batch.x, train=False)[0], lesioned, rtol=1e-5)


@pytest.mark.parametrize("path", ["layer2.0", "layer2.9"])
def test_a_block_that_cannot_go_is_named(data, path):
    model = TINY.network("plain", 20, 0, data[0])
    with pytest.raises(InputError, match=f"{path} cannot be taken out"), lesions.without(model, [path]):
        pass


# What is shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_results_say_what_made_them(name):
    held = places.data(name)
    assert {"command", "seed", "made_with", "settings", "results"} <= held.keys()
    assert held["command"].startswith("python -m tinyresnet.course.experiments.")
    assert "/" not in held["command"]
    json.dumps(held, allow_nan=False)


@pytest.mark.parametrize("name", ["degradation_cifar", "degradation_shapes"])
def test_shipped_degradation_is_complete(name):
    held = places.data(name)
    table = {(row["kind"], row["depth"]): row for row in degradation.summary(held["results"])}
    networks = {(kind, depth) for kind in ("plain", "residual") for depth in (8, 20, 32, 56)}
    assert networks <= table.keys()
    assert len({table[network]["seeds"] for network in networks}) == 1
    for kind, depth in networks:
        assert table[kind, depth]["rate"] == degradation.best_rate(held["results"], kind, depth)
