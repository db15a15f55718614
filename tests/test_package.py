"""What holds for the package as a whole: it starts fast, it stands without numba, and all of it is in the wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import tinyresnet
from tinyresnet.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"tinyresnet": ROOT / "tinyresnet", "tinyresnet_kernels": ROOT / "kernels" / "tinyresnet_kernels"}
HEAVY = (
    "numba",
    "matplotlib",
    "rich",
    "PIL",
    "safetensors",
    "pooch",
    "cupy",
    "sklearn",
    "scipy",
    "torch",
    "threadpoolctl",
)


def python(*arguments, path=(ROOT, ROOT / "kernels"), cwd=None):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seconds(code, folder):
    """How long a fresh interpreter takes for this code, its bytecode compiled before: the least of eleven times."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "kernels"))),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder),
    }
    times = []
    for _ in range(12):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
        times.append(time.perf_counter() - began)
    return min(times[1:])


@pytest.mark.alone
@pytest.mark.parametrize("code", ["import tinyresnet", "from tinyresnet.cli import main; main(['--help'])"])
def test_import_and_help_take_little_more_than_numpy_does(code, tmp_path):
    """A sixth of a second more: 0.25 s and 0.3 s where NumPy takes a tenth."""
    assert seconds(code, tmp_path) < seconds("import numpy", tmp_path) + 0.17


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_nothing_heavy_is_imported_before_it_is_needed(command):
    use = "" if command is None else f"from tinyresnet.cli import main; main([{command!r}, '--help']);"
    code = f"import sys, tinyresnet; {use} print('imported', [name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", code).splitlines()[-1] == "imported []"


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np, tinyresnet as tr
from PIL import Image
from tinyresnet.cli import main

rng = np.random.default_rng(0)
model = tr.resnet20(num_classes=10, width=2, rng=rng)
x, labels = rng.standard_normal((4, 3, 16, 16)).astype(np.float32), np.arange(4)
optimiser = tr.SGD(model.named_params(), momentum=0.9)
losses = []
for _ in range(3):
    logits, cache = model.forward(x, train=True)
    loss, dlogits = tr.softmax_cross_entropy(logits, labels)
    optimiser.zero_grad()
    model.backward(dlogits, cache)
    optimiser.step(lr=0.05)
    losses.append(loss)
assert losses[-1] < losses[0], losses
tr.save("w.safetensors", model)
Image.new("RGB", (20, 30)).save("a.png")
assert main(["eval", "--weights", "w.safetensors", "--data", "shapes", "--limit", "20", "--picture-size", "16"]) == 0
assert main(["predict", "--weights", "w.safetensors", "--normalize", "half", "a.png"]) == 0
assert main(["doctor"]) == 0
"""


def test_everything_works_without_numba(tmp_path):
    assert "readable NumPy" in python("-c", WITHOUT_NUMBA, cwd=tmp_path)


def test_all_names_what_is_public():
    names = tinyresnet.__all__
    assert len(set(names)) == len(names)
    module = type(sys)
    public = {n for n, value in vars(tinyresnet).items() if not n.startswith("_") and not isinstance(value, module)}
    assert public - {"MAKERS"} <= set(names)  # its values are named one by one
    assert all(hasattr(tinyresnet, name) for name in names)


@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling, which builds wheels, is not installed"
)
def test_wheel_holds_both_packages_and_runs(tmp_path):
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    for name, folder in PACKAGES.items():
        files = {f"{name}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
        files = {path for path in files if "__pycache__" not in path}
        assert files <= held
        assert f"{name}/py.typed" in files
    information = {path.split("/", 1)[1] for path in held if ".dist-info/" in path}
    assert {"entry_points.txt", "licenses/LICENSE"} <= information
    assert {path.split("/")[0] for path in held if ".dist-info/" not in path} == set(PACKAGES)
    version = python("-m", "tinyresnet", "--version", path=(tmp_path / "installed",), cwd=tmp_path)
    assert version.strip() == f"tinyresnet {tinyresnet.__version__}"


def sources():
    for folder in ("tinyresnet", "kernels", "lessons", "tests"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".html", ".cu"})
    yield from (path for path in ROOT.iterdir() if path.suffix in {".md", ".toml"} or path.name == "Makefile")


def test_no_source_reads_pickles_or_knows_this_machine():
    machine = re.compile(r"""(?<![\w.~])/(work|root|home|tmp|Users)/""")
    pickles = re.compile(r"\b(import pickle\b|pickle\.loads?|allow_pickle=True|Unpickler\b)")
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert not machine.search(text), f"{path}: {machine.search(text)}"
        if path.is_relative_to(ROOT / "tests"):  # tests make the files that must not be believed
            continue
        assert not pickles.search(text), f"{path}: {pickles.search(text)}"
