"""What all tests share: a random generator, PyTorch and CuPy where they are, the optional shared data, and `--no-skips`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import strict_cupy
import tinyresnet as tr
from tinyresnet import Array
from tinyresnet.device import array_library
from tinyresnet.errors import InputError
from tinyresnet_kernels import dispatch

SKIPPED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail if any test was skipped that is not marked gpu, and list them"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SKIPPED] = []
    config.pluginmanager.register(Skips(config.stash[SKIPPED]), "tinyresnet-skips")


class Skips:
    """Remembers what was skipped, and why; with `--no-skips` a run with skips ends with exit status 1."""

    def __init__(self, skipped: list[str]) -> None:
        self.skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and "gpu" not in report.keywords and not hasattr(report, "wasxfail"):
            self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self.skipped.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.getoption("no_skips") and self.skipped and session.exitstatus in (0, 5):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    skipped = config.stash[SKIPPED]
    if config.getoption("no_skips") and skipped:
        terminalreporter.section("skipped, and --no-skips was given", red=True)
        for line in skipped:
            terminalreporter.line(line)


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator of a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch on one thread; the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("torch", reason="PyTorch is not installed")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data and weights beside the repository; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data beside the repository")
    return folder


class Trained(NamedTuple):
    """A trained network on real pictures x (1000, 3, 32, 32), and its logits."""

    path: Path
    model: tr.ResNet
    x: Array
    labels: Array
    logits: Array


@pytest.fixture(scope="session")
def trained(shared_data: Path) -> Trained:
    """ResNet-20 with the weights of akamaster/pytorch_resnet_cifar10 on the first 1,000 test pictures of CIFAR-10."""
    path = shared_data / "weights" / "resnet20-cifar10-akamaster.safetensors"
    model, _ = tr.load_model(path, "resnet20")
    with np.load(shared_data / "cifar10-lossless-5k.npz", allow_pickle=False) as data:
        pixels, labels = data["x_test"], data["y_test"]
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (pixels.astype(np.float32) / 255 - mean) / std
    logits = np.concatenate([model.forward(part, train=False)[0] for part in np.split(x, 10)])
    return Trained(path, model, x, labels, logits)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in in CuPy's place, without fast kernels: they sum in an order of their own, and those for CUDA want a GPU."""
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    monkeypatch.setattr(dispatch, "_loaded", set(dispatch.BACKENDS))
    monkeypatch.setattr(dispatch, "_replacements", {})
    return strict_cupy


def no_gpu() -> str:
    """Why CuPy cannot be used here; empty if it can."""
    try:
        array_library("cuda")
    except InputError as error:
        return f"no CUDA GPU: {error}"
    return ""


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def xp(request: pytest.FixtureRequest) -> Any:
    """The stand-in and, where there is a GPU, CuPy."""
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    if reason := no_gpu():
        pytest.skip(reason)
    return array_library("cuda")
