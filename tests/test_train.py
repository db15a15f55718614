"""Training: records, exact resume after a kill at any moment, and what happens when something is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from tinyresnet import cli
from tinyresnet.data import Augment, load
from tinyresnet.nonfinite import NonFiniteError
from tinyresnet.run_folder import RunFolder
from tinyresnet.train import Settings, train
from tinyresnet.weights import read_arrays

ROOT = Path(__file__).parent.parent
AUGMENT = Augment(crop=2, flip=True, cutout=3, mixup=0.2, jitter=0.2)
SETTINGS = Settings(
    epochs=2, batch_size=16, augment=AUGMENT, weight_decay=5e-4, clip=5.0, label_smoothing=0.1, save_seconds=0
)
DATA = {"train_size": 48, "test_size": 16, "picture_size": 16}
ROWS = {  # what a resume must keep: momentum, Adam's moments and step count, dropout's generator, an endless source
    "sgd": (SETTINGS, {"dropout": 0.2}, {}),
    "nesterov": (dataclasses.replace(SETTINGS, nesterov=True, schedule="multistep", warmup=2), {"shortcut": "B"}, {}),
    "adamw": (
        dataclasses.replace(SETTINGS, optimiser="adamw", lr=1e-3, schedule="cosine"),
        {"zero_init_residual": True},
        {},
    ),
    "unfused": (dataclasses.replace(SETTINGS, fuse=False), {"dropout": 0.2}, {}),
    "endless": (dataclasses.replace(SETTINGS, epochs=10, steps=5), {"dropout": 0.2}, {"endless": True}),
}


def make(config: dict[str, Any]) -> tr.ResNet:
    return tr.resnet20(width=4, rng=np.random.default_rng(3), **config)


def contents(run: RunFolder) -> tuple[dict[str, bytes], dict[str, bytes], list[dict[str, Any]]]:
    """Every bit of the last and the best weights, and the log without its times."""
    last, best = ({n: a.tobytes() for n, a in read_arrays(path)[0].items()} for path in (run.last, run.best))
    return last, best, [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]


@pytest.mark.parametrize("name", ROWS)
def test_a_run_stopped_after_any_step_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    settings, config, source = ROWS[name]
    data = load("shapes", **DATA, **source)
    whole = RunFolder(tmp_path / "whole")
    kinds = [record["kind"] for record in train(make(config), data, settings, run=whole)]
    steps = kinds.count("step")
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    for stop_at in range(1, steps):
        run = RunFolder(tmp_path / f"stopped-{stop_at}")
        left = iter([False] * (stop_at - 1) + [True])
        records = list(train(make(config), data, settings, run=run, stop=lambda left=left: next(left)))  # type: ignore[misc]
        assert records[-1] == {"kind": "stopped", "step": stop_at}
        rest = list(train(make(config), data, settings, run=run, resume=True))
        assert [r["step"] for r in rest if r["kind"] == "step"] == list(range(stop_at + 1, steps + 1))
        assert contents(run) == contents(whole)


def test_the_model_learns_and_the_records_tell(tmp_path: Path) -> None:
    data = load("shapes", train_size=64, test_size=32, picture_size=16)
    settings = Settings(epochs=12, batch_size=32, lr=0.05)
    model = make({})
    run = RunFolder(tmp_path)
    records = list(train(model, data, settings, run=run))
    steps, epochs = ([r for r in records if r["kind"] == kind] for kind in ("step", "epoch"))
    assert [r["step"] for r in steps] == list(range(1, 25))
    assert [r["epoch"] for r in epochs] == list(range(12))
    assert epochs[0]["train_loss"] == pytest.approx(np.mean([r["loss"] for r in steps[:2]]))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] - 0.5
    assert run.records() == [r for r in records if r["kind"] in ("step", "epoch")]
    best, header = tr.load_model(run.best)
    assert (header.classes, header.mean, header.picture_size) == (data[0].classes, data[0].mean, 16)
    assert best.config == model.config
    assert records[-1]["best_top1"] == max(r["val_top1"] for r in epochs)


def test_a_last_epoch_that_is_cut_short_is_measured() -> None:
    records = list(train(make({}), load("shapes", **DATA), dataclasses.replace(SETTINGS, steps=4)))
    assert [r["kind"] for r in records] == ["start", *["step"] * 3, "epoch", "step", "epoch", "end"]


def command(out: Path, *more: str) -> list[str]:
    """A training run in a process of its own, of about five seconds."""
    size = ["--width", "4", "--picture-size", "16", "--train-size", "128", "--test-size", "32", "--batch-size", "16"]
    how = ["--epochs", "20", "--dropout", "0.1", "--crop", "2", "--flip", "--mixup", "0.2", "--save-seconds", "0"]
    return [sys.executable, "-m", "tinyresnet", "train", *size, *how, "--out", str(out), *more]


@pytest.fixture
def environment() -> dict[str, str]:
    """For child processes: the packages of this checkout."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_kill_nine_at_random_moments_then_resume(tmp_path: Path, environment: dict[str, str]) -> None:
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    subprocess.run(command(whole.path), env=environment, check=True, capture_output=True)
    rng, kills = np.random.default_rng(0), 0
    while kills < 20:
        line = [*command(killed.path)[:4], "--resume", str(killed.path), "--save-seconds", "0"]
        process = subprocess.Popen(
            line if killed.started else command(killed.path),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.3, 1.2))
        if finished := process.poll() is not None:
            assert process.returncode == 0
        process.kill()
        kills += not finished
        assert not process.communicate()[1]
        if finished:
            break
    assert kills >= 10
    subprocess.run(
        [*command(killed.path)[:4], "--resume", str(killed.path)], env=environment, check=True, capture_output=True
    )
    assert contents(killed) == contents(whole)


@pytest.mark.skipif(os.name == "nt", reason="a process group cannot be sent Ctrl-C alone on Windows")
def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(tmp_path: Path, environment: dict[str, str]) -> None:
    run = RunFolder(tmp_path / "run")
    process = subprocess.Popen(
        [*command(run.path), "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["step"] >= 3:
            break
    process.send_signal(signal.SIGINT)
    out, complaint = process.communicate(timeout=60)
    last = json.loads(out.splitlines()[-1])
    assert last["kind"] == "stopped"
    assert (process.returncode, complaint) == (0, "")
    assert read_arrays(run.last)[1].extra["progress"]["step"] == last["step"] == run.records()[-1]["step"]
    assert run.curves.exists()


BREAKS = {  # what becomes infinite -> where the error must say it appeared
    "weights": (
        lambda m: m["layer2.1.conv1"].params()["weight"].data.__setitem__((0, 0), np.inf),
        "layer2.1.conv1.weight",
    ),
    "forward": (lambda m: setattr(m["layer2.1.bn2"], "eps", -1e9), "in the forward pass of layer2.1.bn2 (BatchNorm2d)"),
    "backward": (
        lambda m: setattr(m["layer3.0.conv2"], "backward", lambda dy, cache: dy * np.float32(np.nan)),
        "in the backward pass of layer3.0.conv2 (Conv2d)",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_nan_stops_the_run_and_names_layer_and_step(name: str, tmp_path: Path) -> None:
    spoil, where = BREAKS[name]
    model, run = make({"dropout": 0.3}), RunFolder(tmp_path)
    settings = dataclasses.replace(SETTINGS, fuse=name != "backward")  # a spoilt layer is passed over by a unit
    records = train(model, load("shapes", **DATA), settings, run=run)
    while next(records)["step"] < 2:
        pass
    spoil(model)
    with pytest.raises(NonFiniteError, match="step 3, ") as caught:
        list(records)
    assert where in str(caught.value)
    assert read_arrays(run.last)[1].extra["progress"]["step"] == 2
    assert all(np.isfinite(a).all() for a in read_arrays(run.best)[0].values()) if run.best.exists() else True


def test_wrong_settings_and_folders_are_refused(tmp_path: Path) -> None:
    data = load("shapes", **DATA)
    run = RunFolder(tmp_path / "run")
    list(train(make({}), data, dataclasses.replace(SETTINGS, steps=1), run=run))
    (tmp_path / "file").write_text("")
    wrong: list[tuple[Any, str]] = [
        (lambda: Settings(epochs=0), "epochs is 0"),
        (lambda: Settings(lr=-1), "lr is -1"),
        (lambda: Settings(lr=float("nan")), "lr is nan"),
        (lambda: Settings(steps=0), "steps is 0"),
        (lambda: next(train(make({}), data, Settings(optimiser="sgdd"))), "did you mean 'sgd'"),
        (lambda: next(train(make({}), data, Settings(schedule="cos"))), "did you mean 'cosine'"),
        (lambda: next(train(make({}), data, Settings(batch_size=64))), "48 training pictures"),
        (lambda: next(train(make({}), data, Settings(batch_size=16, epochs=1, warmup=99))), "warm-up of 99"),
        (lambda: next(train(make({"num_classes": 9}), data, SETTINGS)), "has 10 classes"),
        (lambda: next(train(make({"in_channels": 1}), data, SETTINGS)), "has 3 channels"),
        (lambda: next(train(make({}), data, SETTINGS, run=run)), "already holds a run"),
        (lambda: next(train(make({}), data, SETTINGS, run=run, resume=True)), "was started with steps 1, not None"),
        (
            lambda: next(train(make({}), data, SETTINGS, run=RunFolder(tmp_path / "no"), resume=True)),
            "no run to resume",
        ),
        (lambda: next(train(make({}), data, SETTINGS, run=RunFolder(tmp_path / "file"))), "cannot write"),
    ]
    for attempt, message in wrong:
        with pytest.raises(tr.InputError, match=message):
            attempt()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "resnet_20"], "did you mean 'resnet20'"),
        (["--data", "shapess"], "did you mean 'shapes'"),
        (["--resume", "nowhere"], "there is no run to resume"),
        (["--resume", "nowhere", "--lr", "0.2"], "--lr cannot be changed"),
        (["--width", "0"], "width is 0"),
        (["--shortcut", "E"], "shortcut is 'E'"),
        (["--mixup", "-1"], "mixup"),
        (["--batch-size", "many"], "invalid int value"),
        (["--model", "preact_resnet20", "--zero-init-residual"], "zero_init_residual"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
