"""The command line: what it prints, what it refuses, and that it leaves nothing behind when it does."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import tinyresnet
from tinyresnet.cli import COMMANDS, _command, console, environment_cuda, main
from tinyresnet.data import load
from tinyresnet.errors import InputError
from tinyresnet.weights import Header, read_arrays, write_arrays

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
CLASSES = ("cat", "dog", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{CJK UNIFIED IDEOGRAPH-732B}", "owl", "fox")


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A folder with small networks, data and pictures, whole and broken."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    model = tinyresnet.resnet20(num_classes=6, width=2, rng=rng)
    header = Header(
        model.config, CLASSES, (0.5,), (0.25,), 16, {"about": {"data": "data.npz"}, "settings": {"seed": 3}}
    )
    tinyresnet.save(folder / "net.safetensors", model, header=header)
    arrays, _ = read_arrays(folder / "net.safetensors")
    write_arrays(folder / "bare.safetensors", arrays, Header())
    write_arrays(folder / "nan.safetensors", arrays | {"fc.bias": np.full(6, np.nan, np.float32)}, header)
    write_arrays(folder / "misnamed.safetensors", arrays, Header(model.config, CLASSES[:2], (0.5,), (0.25,)))
    write_arrays(folder / "flat.safetensors", arrays, Header(model.config, CLASSES, (0.5,), (0.0,)))
    write_arrays(folder / "no_data.safetensors", arrays, Header(model.config))
    for name in ("run", "empty", "unfinished"):
        (folder / name).mkdir()
    tinyresnet.save(folder / "run" / "best.safetensors", model, header=header)
    state = {f"model.{name}": array for name, array in arrays.items()} | {"optimiser.v": np.zeros(3)}
    write_arrays(folder / "unfinished" / "last.safetensors", state, header)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "text.safetensors").write_text("not weights", encoding="utf-8")
    for name, size in {"wide.png": (90, 31), "tiny.jpg": (5, 9)}.items():
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "wide.png").read_bytes()[:200])
    x, y = rng.integers(0, 256, (30, 3, 20, 20), dtype=np.uint8), np.arange(30) % 6
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    np.savez(folder / "turned.npz", x_train=x, y_train=5 - y, x_test=x[:20], y_test=5 - y[:20], classes=CLASSES[::-1])
    np.savez(folder / "three.npz", x_train=x, y_train=y % 3, x_test=x, y_test=y % 3)
    np.savez(folder / "grey.npz", x_train=x[:, :1], y_train=y, x_test=x[:, :1], y_test=y)
    return folder


@pytest.fixture
def here(things, monkeypatch):
    monkeypatch.chdir(things)
    return things


def command(*argv):
    """The command in a process of its own, as a shell starts it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return [sys.executable, "-m", "tinyresnet", *argv], os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": ""}


def in_pipe(*argv, cwd=None, **environment):
    arguments, env = command(*argv)
    return subprocess.run(arguments, capture_output=True, cwd=cwd, env=env | environment)


def result(capsys, *argv):
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    module = _command(name)
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"\n  tinyresnet {name}" in said
    assert module.HELP in " ".join(said.split())
    assert len(module.HELP.splitlines()) == 1
    assert main([]) == main(["--help"]) == 0
    overviews = capsys.readouterr().out
    assert overviews.count(module.HELP) == 2
    assert said.isascii()


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tinyresnet {tinyresnet.__version__}\n"


NET = ("--weights", "net.safetensors")
DATA = ("--data", "data.npz")
BAD = [
    (["evla"], "did you mean 'eval'"),
    (["--wrong"], "--wrong"),
    (["eval"], "--weights"),
    (["eval", *NET, *DATA, "--wrong"], "--wrong"),
    (["eval", *NET, *DATA, "--lim", "3"], "--lim"),
    (["eval", "--weights", "missing.safetensors", *DATA], "missing.safetensors"),
    (["eval", "--weights", "cut.safetensors", *DATA], "cut.safetensors"),
    (["eval", "--weights", "text.safetensors", *DATA], "text.safetensors"),
    (["eval", "--weights", "data.npz", *DATA], "data.npz"),
    (["eval", "--weights", "empty", *DATA], "best.safetensors"),
    (["eval", "--weights", "bare.safetensors", *DATA], "--model"),
    (["eval", "--weights", "bare.safetensors", "--model", "resnet21", *DATA], "did you mean"),
    (["eval", "--weights", "bare.safetensors", "--model", "resnet56", *DATA], "missing"),
    (["eval", "--weights", "misnamed.safetensors", *DATA], "names 2 classes"),
    (["eval", "--weights", "flat.safetensors", *DATA], "damaged"),
    (["eval", "--weights", "nan.safetensors", *DATA], "not finite"),
    (["eval", "--weights", "no_data.safetensors"], "--data"),
    (["eval", *NET, "--data", "shpes"], "did you mean 'shapes'"),
    (["eval", *NET, "--data", "missing.npz"], "missing.npz"),
    (["eval", *NET, "--data", "wide.png"], "wide.png"),
    (["eval", *NET, "--data", "empty"], "empty"),
    (["eval", *NET, "--data", "three.npz"], "3 classes"),
    (["eval", *NET, "--data", "shapes"], "10 classes"),
    (["eval", *NET, "--data", "grey.npz"], "1 channels"),
    (["eval", *NET, *DATA, "--normalize", "imagnet"], "did you mean 'imagenet'"),
    (["eval", *NET, *DATA, "--limit", "0"], "--limit"),
    (["eval", *NET, *DATA, "--limit", "1000000"], "1000000"),
    (["eval", *NET, *DATA, "--batch-size", "many"], "'many'"),
    (["eval", *NET, *DATA, "--seed", "-1"], "-1"),
    (["eval", *NET, *DATA, "--split", "val"], "--split"),
    (["eval", *NET, *DATA, "--picture-size", "100000"], "100000"),
    (["eval", *NET, *DATA, "--plot", "confusion.jpg"], ".png"),
    (["predict", *NET], "PICTURE"),
    (["predict", *NET, "missing.png"], "missing.png"),
    (["predict", *NET, "wide.png", "broken.png"], "broken.png"),
    (["predict", *NET, "empty"], "folder"),
    (["predict", *NET, "data.npz", "-o", "plot.png"], "data.npz"),
    (["predict", *NET, "wide.png", "--classes", "a,b"], "6"),
    (["predict", *NET, "wide.png", "--picture-size", "100000"], "100000"),
    (["predict", "--weights", "nan.safetensors", "wide.png"], "not finite"),
    (["predict", "--weights", "bare.safetensors", "--model", "resnet20", "wide.png"], "--normalize"),
    (["data", "shw", "shapes"], "shw"),
    (["data", "show"], "DATA"),
    (["data", "show", "missing.npz", "--out", "sheet.png"], "missing.npz"),
    (["data", "show", "data.npz", "--out", "sheet.pdf"], ".png"),
    (["data", "show", "data.npz", "--out", "text.safetensors/sheet.png"], "cannot write"),
    (["data", "get", "shapes"], "cifar10"),
    (["doctor", "now"], "now"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_is_one_line_and_leaves_nothing_behind(argv, message, here, capsys):
    before = sorted(here.rglob("*"))
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tinyresnet: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert sorted(here.rglob("*")) == before


def test_a_plot_that_cannot_be_written_does_not_lose_the_figures(here, capsys):
    assert main(["eval", *NET, "--json", "--plot", "text.safetensors/confusion.png"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["count"] == 20
    assert "tinyresnet: error: cannot write" in said.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("two\nlines"), 2, "error: two lines"),
        (OSError(28, "No space left on device", "w.npz"), 2, "error: w.npz: No space left on device"),
        (PermissionError(13, "Permission denied"), 2, "error: Permission denied"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "error: not enough memory: Unable to allocate 9 TiB"),
        (ModuleNotFoundError("No module named 'rich'", name="rich"), 2, "the package rich is not installed"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, None),
        (ZeroDivisionError("a bug"), None, None),
        (ModuleNotFoundError("a bug", name="tinyresnet.nothing"), None, None),
    ],
)
def test_what_goes_wrong_ends_in_a_line_and_a_bug_in_a_traceback(error, code, said, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr(_command("data"), "run", fail)
    if code is None:
        with pytest.raises(type(error)):
            main(["data"])
        return
    assert main(["data"]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == (1 if said else 0)
    assert (said or "") in err


def test_eval_reports_what_evaluate_finds(here, capsys):
    from tinyresnet.data import eval_batches
    from tinyresnet.evaluate import evaluate

    model, _ = tinyresnet.load_model("net.safetensors")
    _, data = load("data.npz", picture_size=16)
    found = evaluate(model, eval_batches(data, batch_size=7, mean=(0.5,), std=(0.25,)), CLASSES)
    said = result(capsys, "eval", *NET, "--json")  # the data are those of the run
    assert {key: said[key] for key in ("top1", "top5", "count", "confusion", "per_class")} == {
        key: value for key, value in found.as_dict().items() if key != "loss"
    }
    assert said["loss"] == pytest.approx(found.loss, abs=1e-5)
    same = ("top1", "top5", "count", "confusion")
    for argv in (
        ["--weights", "run"],
        ["--weights", "unfinished", "--batch-size", "3"],
        [*NET, "--data", "turned.npz"],  # the same classes in another order: labels follow the names
        ["--weights", "bare.safetensors", "--model", "resnet20", "--normalize", "none", "--data", "data.npz"],
    ):
        other = result(capsys, "eval", *argv, "--json")
        if "--normalize" in argv:
            assert other["loss"] != pytest.approx(said["loss"], abs=1e-5)
        else:
            assert [other[key] for key in same] == [said[key] for key in same], argv
    assert result(capsys, "eval", *NET, "--split", "train", "--limit", "25", "--json")["count"] == 25


def test_eval_says_how_pixels_were_normalised(here, capsys):
    for argv, source in (
        (NET, "as the weight file says"),
        ((*NET, "--normalize", "half"), "half (--normalize)"),
        (("--weights", "no_data.safetensors", *DATA), "mean and std of data"),
    ):
        assert main(["eval", *argv, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["normalize"] == source
        assert said.err == f"normalisation: {source}\n"


def test_eval_shows_tables_in_a_pipe(here, capsys, tmp_path):
    assert main(["eval", *NET, "--plot", str(tmp_path / "confusion.png")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^  top-1 +\d+\.\d %$", said, re.MULTILINE)
    assert re.search(r"^  cat +(-|\d+\.\d %) +\d+\.\d % +4$", said, re.MULTILINE)
    assert "\x1b" not in said
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_predict_gives_the_five_best_classes_of_pictures_of_any_size(here, capsys, tmp_path):
    from tinyresnet.data import normalize, read_picture

    names = ["wide.png", "tiny.jpg", "wide.png"]
    said = result(capsys, "predict", *NET, *names, "--json", "-o", str(tmp_path / "plot.png"))
    assert [row["picture"] for row in said["pictures"]] == names
    model, _ = tinyresnet.load_model("net.safetensors")
    x = np.stack([read_picture(Path(name), 16) for name in names])
    logits = model.forward(normalize(x, (0.5,), (0.25,)), train=False)[0].astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for row, wanted in zip(said["pictures"], p, strict=True):
        order = np.argsort(-wanted)[:5]
        assert [best["index"] for best in row["best"]] == order.tolist()
        assert [best["class"] for best in row["best"]] == [CLASSES[k] for k in order]
        np.testing.assert_allclose([best["probability"] for best in row["best"]], wanted[order], atol=2e-6)
    assert (tmp_path / "plot.png").stat().st_size > 1000

    bare = [
        "predict",
        "--weights",
        "bare.safetensors",
        "--model",
        "resnet20",
        "--normalize",
        "half",
        "wide.png",
        "--json",
    ]
    assert {best["class"] for best in result(capsys, *bare)["pictures"][0]["best"]} < set("012345")
    named = result(capsys, *bare, "--classes", "a, b, c, d, e, f")
    assert {best["class"] for best in named["pictures"][0]["best"]} < set("abcdef")


def test_data_lists_and_shows(here, capsys, tmp_path):
    assert set(result(capsys, "data", "--json")) == {"shapes", "digits", "cifar10", "cifar100", "PATH", "scenes"}
    said = result(capsys, "data", "show", "data.npz", "--out", str(tmp_path / "sheet.png"), "--json")
    assert said["train"] == {"count": 30, "shape": [3, 20, 20], "per_class": [5] * 6}
    assert said["test"]["per_class"] == [4, 4, 3, 3, 3, 3]
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert main(["data", "show", "data.npz"]) == 0
    assert re.search(r"^  train +30  3 x 20 x 20$", capsys.readouterr().out, re.MULTILINE)


def checks(capsys, code):
    assert main(["doctor", "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] == (code == 0)
    return {check["name"]: check for check in said["checks"]}


REQUIRED = {"numpy": "numpy", "matplotlib": "matplotlib", "rich": "rich", "safetensors": "safetensors", "pooch": "pooch",
            "PIL": "pillow", "threadpoolctl": "threadpoolctl"}  # fmt: skip
OPTIONAL = {"numba": "numba", "sklearn": "scikit-learn", "torch": "torch", "cupy": "cupy"}


@pytest.mark.parametrize("blocked", [*REQUIRED, *OPTIONAL, "everything"])
def test_doctor_stands_whatever_is_missing(blocked, monkeypatch, capsys):
    importlib.import_module("matplotlib")  # first imported without NumPy, it would be broken too
    modules = REQUIRED | OPTIONAL if blocked == "everything" else {blocked: (REQUIRED | OPTIONAL)[blocked]}
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    needed = modules.keys() & REQUIRED
    found = checks(capsys, 1 if needed else 0)
    assert {name for name, check in found.items() if check["mark"] == "missing"} == {REQUIRED[name] for name in needed}
    for name in modules.values():
        assert found[name]["mark"] != "ok"
        assert "pip install" in found[name]["advice"]
    assert main(["doctor"]) == (1 if needed else 0)
    said = capsys.readouterr().out
    assert all(name in said for name in modules.values())


@pytest.mark.parametrize(("module", "code"), [("cupy", 0), ("numba", 0), ("pooch", 1)])
def test_doctor_stands_a_broken_package(module, code, monkeypatch, capsys, tmp_path):
    (tmp_path / f"{module}.py").write_text("raise OSError('libwrong.so:\\nno such file')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, module, raising=False)
    found = checks(capsys, code)[module]
    assert found["found"] == "broken: OSError: libwrong.so: no such file"
    assert found["mark"] == ("missing" if code else "optional")


def test_doctor_sees_what_is_here(capsys):
    found = checks(capsys, 0)
    assert found["numpy"]["found"] == np.__version__
    assert found["tinyresnet"]["found"] == tinyresnet.__version__
    assert "GB free" in found["cache"]["found"]


class Driver:
    """NVIDIA's driver, as doctor asks it."""

    def __init__(self, version=13000, *, status=0, count=2):
        self.version, self.status, self.count = version, status, count

    def cuInit(self, flags):  # noqa: N802
        return self.status

    def cuDriverGetVersion(self, into):  # noqa: N802
        into._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, into):  # noqa: N802
        into._obj.value = self.count
        return 0

    def cuDeviceGetName(self, into, size, device):  # noqa: N802
        into.value = b"NVIDIA T4"
        return 0


DRIVERS = {
    "none": (None, "none", "everything runs on the CPU; for an NVIDIA GPU install NVIDIA's driver"),
    "no GPU": (Driver(status=100), "a driver, but no GPU", "everything runs on the CPU"),
    "GPU hidden": (Driver(count=0), "a driver, but no GPU", "everything runs on the CPU"),
    "broken": (Driver(status=999), "a driver that does not start (error 999)",
               "everything runs on the CPU; restart the machine, or install NVIDIA's driver again"),
    "old": (Driver(11040), "2 x NVIDIA T4, driver for CUDA 11.4", "CuPy wants one for CUDA 12.0 or newer"),
    "good": (Driver(12040), "2 x NVIDIA T4, driver for CUDA 12.4", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIVERS)
def test_doctor_says_what_the_driver_lacks(name, monkeypatch, capsys):
    driver, found, advice = DRIVERS[name]
    monkeypatch.setattr(environment_cuda, "_driver", lambda: driver)
    check = checks(capsys, 0)["GPU driver"]
    assert (check["found"], check["advice"]) == (found, advice)
    assert check["mark"] == ("ok" if name == "good" else "optional")


@pytest.mark.parametrize(("driver", "extra"), [(Driver(12040), "cuda12"), (Driver(13010), "cuda13"), (None, "cuda12")])
def test_doctor_names_the_wheels_that_fit_the_driver(driver, extra, monkeypatch, capsys):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment_cuda, "_driver", lambda: driver)
    monkeypatch.setattr(environment_cuda, "_loaded", lambda *libraries: None)
    monkeypatch.setattr(environment_cuda, "present", lambda module: False)
    monkeypatch.setattr(environment_cuda, "TOOLKITS", ())
    monkeypatch.setattr(importlib.metadata, "version", version)
    found = checks(capsys, 0)
    for name in ("CUDA toolkit", "cupy"):
        assert found[name]["mark"] == "optional"
        assert f"pip install 'tinyresnet[{extra}]'" in found[name]["advice"]


@pytest.mark.parametrize(
    ("cuda", "nvrtc", "driver", "mark", "found", "advice"),
    [
        (12090, True, Driver(12040), "ok", "14.0, CUDA 12.9", ""),
        (12090, True, None, "ok", "14.0, CUDA 12.9", ""),
        (13000, True, Driver(12040), "optional", "14.0, CUDA 13.0",
         "the driver is for CUDA 12.4: pip install 'tinyresnet[cuda12]'"),
        (12090, False, Driver(12040), "optional", "14.0, CUDA 12.9, but it finds no NVRTC",
         "its toolkit's wheels: pip install 'tinyresnet[cuda12]'"),
    ],
)  # fmt: skip
def test_doctor_says_what_cupy_lacks(cuda, nvrtc, driver, mark, found, advice, monkeypatch, capsys):
    def nvrtc_version():
        if not nvrtc:
            raise RuntimeError("libnvrtc.so.12 not found")

    runtime, compiler = SimpleNamespace(runtimeGetVersion=lambda: cuda), SimpleNamespace(getVersion=nvrtc_version)
    cupy = ModuleType("cupy")
    cupy.__version__, cupy.cuda = "14.0", SimpleNamespace(runtime=runtime, nvrtc=compiler)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(environment_cuda, "_driver", lambda: driver)
    assert checks(capsys, 0)["cupy"] == {"name": "cupy", "mark": mark, "found": found, "advice": advice}


@pytest.mark.parametrize(
    ("system", "how"), [("linux", "apt install g++"), ("darwin", "xcode-select"), ("win32", "WSL")]
)
def test_doctor_says_how_to_get_the_compilers(system, how, monkeypatch, capsys):
    def absent():
        raise OSError

    monkeypatch.setattr("tinyresnet_kernels.host.compiler", lambda: None)
    monkeypatch.setattr("tinyresnet_kernels.cuda.nvrtc.library", absent)
    monkeypatch.setattr(environment_cuda, "sys", SimpleNamespace(platform=system))
    found = checks(capsys, 0)
    for name in ("C++ compiler", "NVRTC"):
        assert (found[name]["mark"], found[name]["found"]) == ("optional", "none")
    assert found["C++ compiler"]["advice"].startswith("runs the CUDA kernels on the CPU: ")
    assert how in found["C++ compiler"]["advice"]
    wheel = "there is none for macOS" if system == "darwin" else "pip install nvidia-cuda-nvrtc-cu12"
    assert found["NVRTC"]["advice"] == f"compiles the CUDA kernels, also without a GPU: {wheel}"


def test_doctor_stands_a_broken_cuda(monkeypatch, capsys):
    def broken():
        raise OSError("no such thing")

    monkeypatch.setattr("tinyresnet_kernels.cuda.nvrtc.library", lambda: None)
    monkeypatch.setattr("tinyresnet_kernels.cuda.nvrtc.version", broken)
    found = checks(capsys, 0)  # broken is what nobody needs: the exit code is 0
    assert found["nvrtc"]["found"] == "broken: OSError: no such thing"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_a_pipe_of_any_encoding_is_served(encoding, things):
    done = in_pipe("predict", *NET, "wide.png", cwd=things, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode(encoding)
    assert "cat" in said
    assert "\x1b" not in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no broken pipes, only invalid arguments")
def test_a_reader_that_leaves_is_no_error():
    arguments, env = command("data")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_stdout_is_one_line():
    arguments, env = command("data")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, env=env)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tinyresnet: error: ")
    assert done.stderr.count(b"\n") == 1


def on_terminal(arguments, env, cwd, stdout=None):
    """Exit code, what the terminal shows, and what went to `stdout` where that is a pipe and not the terminal."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are Unix's")
    ours, theirs = pty.openpty()
    shown = b""
    env = env | {"TERM": "xterm"}
    with subprocess.Popen(arguments, stdout=stdout or theirs, stderr=theirs, cwd=cwd, env=env) as process:
        os.close(theirs)
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux tells the end of a terminal
            pass
        os.close(ours)
        piped = process.stdout.read() if process.stdout else b""
    return process.returncode, shown.decode("utf-8", "replace"), piped


@pytest.mark.parametrize("variables", [{"NO_COLOR": ""}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_table_and_a_bar(variables, things):
    arguments, env = command("eval", *NET)
    code, shown, _ = on_terminal(arguments, env | variables, things)
    assert code == 0
    assert "20/20 pictures" in shown
    assert "top-1" in shown
    assert ("\x1b[9" in shown) == (not variables["NO_COLOR"])  # colours of the bar


def test_a_bar_on_the_terminal_leaves_what_goes_into_a_pipe_alone(things):
    code = "from tinyresnet.cli.console import progress\nwith progress(2, 'busy') as bar:\n bar.update(1)\n bar.line('a line')"
    _, env = command()
    done, shown, piped = on_terminal([sys.executable, "-c", code], env, things, stdout=subprocess.PIPE)
    assert (done, piped) == (0, b"a line\n")
    assert "busy" in shown


def test_progress_in_a_pipe_is_a_line_every_few_seconds(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with console.progress(1000, "working", unit="steps", start=200) as bar:
        for _ in range(8):
            now[0] += 2
            bar.update(100, loss=1 / 3, speed_of_all="high")
        bar.line("done")
    with console.progress(10, "quietly", quiet=True) as bar:
        now[0] += 100
        bar.update(1)
    said = capsys.readouterr()
    assert said.out == "done\n"
    assert said.err.splitlines() == [
        "working: 500/1,000 steps, 50 steps/s, 0:00:10 left, loss 0.3333, speed of all high",
        "working: 800/1,000 steps, 50 steps/s, 0:00:04 left, loss 0.3333, speed of all high",
    ]


def test_tables_in_a_pipe_are_aligned(capsys):
    console.table("title", ("name", "count"), [("a", "1,000"), ("[red]long", "-")])
    with console.live_table("layer", "error") as add_row:
        add_row("conv", "1e-9")
    with console.live_table("layer", quiet=True) as add_row:
        add_row("conv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == ["title", "  name       count", "  a          1,000", "  [red]long      -", ""]
    assert [line.split() for line in lines[5:]] == [["layer", "error"], ["conv", "1e-9"]]
    assert lines[5].index("error") == lines[6].index("1e-9")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real weights and pictures in ../shared/data")
def test_the_real_resnet20_gets_915_of_1000_right():
    line = (
        "eval --model resnet20 --weights ../shared/data/weights/resnet20-cifar10-akamaster.safetensors "
        "--data ../shared/data/cifar10-lossless-5k.npz --normalize imagenet --json"
    )
    done = in_pipe(*line.split(), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert b'"top1": 0.915,' in done.stdout
    assert json.loads(done.stdout)["count"] == 1000
