"""Detection and segmentation from the command line: train, resume, evaluate, predict; from drawn scenes and from files; and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tinyresnet as tr
from tinyresnet.cli import main
from tinyresnet.data import SceneAugment, load_scenes
from tinyresnet.detect import DetectorConfig
from tinyresnet.models import make
from tinyresnet.resnet import Config
from tinyresnet.run_folder import RunFolder
from tinyresnet.segment import SegmenterConfig
from tinyresnet.train import Settings, train
from tinyresnet.weights import read_arrays, read_model

TASKS = ("detect", "segment")
every_task = pytest.mark.parametrize("task", TASKS)
SMALL = ["--width", "4", "--channels", "8", "--picture-size", "48", "--train-size", "16", "--test-size", "6"]
SMALL += ["--batch-size", "8", "--epochs", "1"]


def said(capsys: Any, *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def runs(tmp_path_factory: Any) -> Path:
    """A folder with a run of each task, a classifier's weights, and a drawing."""
    folder: Path = tmp_path_factory.mktemp("runs")
    classifier = tr.build("resnet8", width=4, rng=np.random.default_rng(8))
    tr.save(folder / "classifier.safetensors", classifier)
    for task in TASKS:
        backbone = ["--backbone", str(folder / "classifier.safetensors")]
        assert main(["train", "--task", task, *SMALL, *backbone, "--out", str(folder / task)]) == 0
    picture = Image.new("RGB", (90, 61), "ivory")
    ImageDraw.Draw(picture).ellipse((10, 12, 40, 42), fill="crimson")
    picture.save(folder / "drawing.png")
    return folder


@every_task
def test_a_run_and_what_it_leaves(runs: Path, task: str) -> None:
    run = RunFolder(runs / task)
    step, epoch = (next(r for r in run.records() if r["kind"] == kind) for kind in ("step", "epoch"))
    assert set(step) >= {"loss", "class_loss", "box_loss"} if task == "detect" else {"loss", "pixel_accuracy"}
    assert set(epoch) >= {"val_ap", "val_ap50"} if task == "detect" else {"val_mean_iou", "val_loss"}
    model, header = read_model(runs / task)
    assert model.config.as_dict()["task"] == task
    assert header.picture_size == 48
    assert header.extra["about"]["backbone"] == str((runs / "classifier.safetensors").resolve())
    with Image.open(run.curves) as curves:
        assert curves.size[0] > 100


@every_task
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, task: str) -> None:
    """With every augmentation; a batch depends on (seed, step) alone."""
    augment = SceneAugment(flip=True, scale=0.3, crop=4, jitter=0.2)
    settings = Settings(epochs=2, batch_size=6, optimiser="adamw", lr=1e-3, scene_augment=augment, save_seconds=0)
    data = load_scenes("shapes", task=task, train_size=12, test_size=4, picture_size=48)
    config = (DetectorConfig if task == "detect" else SegmenterConfig)(Config("resnet8", 10, width=4), channels=4)

    def new() -> Any:
        return make(config, np.random.default_rng(1))

    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    list(train(new(), data, settings, run=whole))
    list(train(new(), data, settings, run=stopped, stop=lambda: True))
    list(train(new(), data, settings, run=stopped, resume=True))
    for name, array in read_arrays(whole.last)[0].items():
        np.testing.assert_array_equal(array, read_arrays(stopped.last)[0][name], err_msg=name)


@every_task
def test_evaluation(runs: Path, task: str, tmp_path: Path, capsys: Any) -> None:
    plot = tmp_path / "found.png"
    code, out, _ = said(capsys, "eval", "--weights", str(runs / task), "--limit", "6", "--json", "--plot", str(plot))
    found = json.loads(out)
    assert code == 0
    last = next(r for r in reversed(RunFolder(runs / task).records()) if r["kind"] == "epoch")
    names = ("ap", "ap50", "ap75") if task == "detect" else ("mean_iou", "pixel_accuracy", "loss")
    for name in names:  # the same test scenes, the same figures
        assert found[name] == pytest.approx(last[f"val_{name}"], abs=2e-6)
    with Image.open(plot) as image:
        assert image.size[0] > 900  # two pictures side by side, enlarged
    code, out, _ = said(capsys, "eval", "--weights", str(runs / task), "--limit", "3")
    assert code == 0
    assert "hourglass" in out


@every_task
def test_prediction_on_a_drawing(runs: Path, task: str, tmp_path: Path, capsys: Any) -> None:
    """In the drawing's own pixels, whatever the network's size; in a plain table too."""
    drawing, out_file = str(runs / "drawing.png"), tmp_path / "annotated.png"
    argv = ["predict", "--task", task, "--weights", str(runs / task), drawing, "--threshold", "0"]
    code, out, _ = said(capsys, *argv, "--out", str(out_file), "--json")
    (row,) = json.loads(out)["pictures"]
    assert code == 0
    if task == "detect":
        boxes = np.array([found["box"] for found in row["found"]])
        assert len(boxes)
        assert boxes.min() >= 0
        assert (boxes[:, 2:] <= (90, 61)).all()
        assert boxes[:, 2].max() > 40  # not left in the small picture's pixels
    else:
        assert sum(row["share_of_pixels"].values()) == pytest.approx(1, abs=1e-3)
    with Image.open(out_file) as image:
        assert image.size[0] == 90 * (480 // 90)
    code, out, _ = said(capsys, *argv)
    assert code == 0
    assert "drawing.png" in out


@every_task
def test_what_is_built_in(task: str, tmp_path: Path, capsys: Any) -> None:
    """Without --weights: the small weights that come with the library, which find most of what is in drawn scenes."""
    code, out, _ = said(capsys, "eval", "--task", task, "--limit", "60", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ap50" if task == "detect" else "mean_iou"] > 0.7


def test_a_test_set_with_nothing_to_find_and_no_masks(tmp_path: Path, capsys: Any) -> None:
    """No average precision can be told of it: the run says so, and keeps its weights. Nothing can be cut out of it."""
    things = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}]
    (tmp_path / "annotations").mkdir()
    for part, records in (("train", things), ("val", [])):
        (tmp_path / part).mkdir()
        Image.new("RGB", (48, 48), "teal").save(tmp_path / part / "1.png")
        images = [{"id": 1, "file_name": "1.png", "width": 48, "height": 48}]
        about = {"images": images, "annotations": records, "categories": [{"id": 1, "name": "thing"}]}
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(about), encoding="utf-8")
    small = ["--width", "4", "--channels", "8", "--picture-size", "48", "--batch-size", "1", "--epochs", "1"]
    command = ["train", "--task", "detect", "--data", str(tmp_path), *small, "--out"]
    code, out, _ = said(capsys, *command, str(tmp_path / "run"))
    assert code == 0
    assert "nothing to find" in out
    assert (tmp_path / "run" / "best.safetensors").exists()
    code, _, err = said(capsys, *command, str(tmp_path / "never"), "--paste", "2")
    assert code == 2
    assert "has no masks here: objects cannot be cut out and pasted" in err
    assert not (tmp_path / "never").exists()


WRONG = [
    (["train", "--head", "fcn"], "is for --task"),
    (["train", "--task", "detect", "--mixup", "0.2"], "--mixup is for --task classify"),
    (["train", "--task", "segment", "--output-stride", "3"], "output_stride is 3"),
    (["train", "--task", "segment", "--backbone", "nowhere"], "nowhere"),
    (["train", "--task", "detect", "--backbone", "classifier.safetensors", "--width", "8"], "misshapen: conv1.weight"),
    (["train", "--task", "detect", "--backbone", "detect"], "a classifier is wanted"),
    (["train", "--task", "detect", "--data", "nowhere"], "nowhere"),
    (["train", "--task", "detect", "--scale", "-1"], "scale"),
    (["predict", "drawing.png"], "give --weights"),
    (["predict", "--task", "classify", "drawing.png"], "give --weights"),
    (["predict", "--task", "segment", "--weights", "detect", "drawing.png"], "weights to detect, not to segment"),
    (["predict", "--task", "detect", "--weights", "detect", "missing.png"], "missing.png"),
    (["predict", "--task", "detect", "--weights", "detect", "--classes", "a,b", "drawing.png"], "names 2 classes"),
    (["eval", "--weights", "detect", "--data", "nowhere"], "nowhere"),
    (["eval", "--weights", "segment", "--task", "detect"], "weights to segment, not to detect"),
]


@pytest.mark.parametrize(("argv", "says"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_is_one_sentence(runs: Path, argv: list[str], says: str, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(runs)
    small = [*SMALL[2:], "--out", "never"] if argv[0] == "train" else []
    small = [*(["--width", "4"] if "--width" not in argv else []), *small] if small else small
    code, _, err = said(capsys, *argv, *small)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not (runs / "never").exists()
