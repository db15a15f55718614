"""`tinyresnet bench` of the CUDA kernels: the profiler that needs no GPU, and timing on one, in whose place the stand-in for CuPy is."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

import strict_cupy
from kernel_table import KERNELS
from tinyresnet.bench import (
    ceilings,
    convolution,
    cuda,
    ladder,
    ladder_cuda,
    network,
    ops,
    profile,
    subjects,
    suites,
    timing,
)
from tinyresnet.bench.convolution import Shape
from tinyresnet.bench.device import CPU, Device
from tinyresnet.cli import main
from tinyresnet.errors import InputError
from tinyresnet_kernels import dispatch, host, is_channels_last
from tinyresnet_kernels.cuda import nvrtc, source, versions
from tinyresnet_kernels.host import KernelError
from tinyresnet_kernels.host.cards import CARDS

with_compiler = pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")
HAS_NVRTC = True
try:
    nvrtc.library()
except OSError:
    HAS_NVRTC = False
HAS_TORCH = importlib.util.find_spec("torch") is not None


# The profiler.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, so that the first rungs take no seconds."""
    monkeypatch.setattr(subjects, "THREE", ((4, 8), (8, 4)))
    monkeypatch.setattr(subjects, "BATCH", 1)


def profiles(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> list[dict[str, Any]]:
    assert main(["bench", "--device", "cuda-host", "--json", *argv]) == code
    return json.loads(capsys.readouterr().out)["profiles"]  # type: ignore[no-any-return]


@with_compiler
@pytest.mark.parametrize("name", subjects.SUBJECTS)
def test_every_subject_runs_its_kernels_and_is_right(name: str, small: None) -> None:
    subject = subjects.find(name)
    for problem in subject.problems(1):
        found = profile.profile(subject, problem)
        assert found.right, found.difference
        assert found.launches
        assert found.minimum > 0
        assert found.requested >= 0.9 or name == "col2im"  # columns of the border are never read
        own = [launch.kernel for launch in found.launches if launch.kernel.startswith(name)]
        assert own or not subject.rung or name in ("columns", "implicit_gemm_input_v4")
        assert all(site.line > 0 and profile.code(site) for site in found.sites if site.file.endswith(".cu"))


def test_every_replaced_function_and_every_kernel_has_a_subject() -> None:
    dispatch.load("cuda")
    replaced = {name for by, name in dispatch._replacements if by == "cuda" and name in KERNELS}
    assert replaced - {"preferred_memory"} <= subjects.OPS.keys()  # which has no kernel
    for file in source.files():
        for kernel in source.kernels(file):
            assert subjects.find(kernel).name in subjects.SUBJECTS
    assert {rung for rungs in versions.DESCRIPTIONS.values() for rung in rungs} <= subjects.SUBJECTS.keys()


@with_compiler
def test_counts_that_can_be_made_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "THREE", ((16, 16),))
    total = profile.profile(*one("total", 2))
    size = 4 * 2 * 16 * 32 * 32
    assert total.minimum == 3 * size
    assert (total.requested, total.dram) == (1, 1)
    assert total.counts.load_bytes == 2 * size
    assert total.counts.operations == size // 4
    for card in CARDS.values():
        assert total.model(card).bound == "DRAM"
        assert total.model(card).seconds == pytest.approx(3 * size / card.dram)
    product = profile.profile(*one("matmul_v1", 1))
    assert product.counts.operations == 2 * 128 * 64 * 256
    assert product.minimum == 4 * (128 * 64 + 64 * 256 + 128 * 256)
    first, last = (profile.profile(*one(f"implicit_gemm_{rung}", 1)) for rung in ("v1", "v4"))
    assert first.counts.operations == last.counts.operations == 2 * 16 * 16 * 9 * 16 * 16
    assert first.requested > 20 * last.requested
    assert first.model(CARDS["h100"]).seconds > last.model(CARDS["h100"]).seconds


def one(name: str, batch: int) -> tuple[subjects.Subject, subjects.Problem]:
    subject = subjects.find(name)
    return subject, subject.problems(batch)[0]


@with_compiler
def test_uncoalesced_lines_come_first_and_are_named(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    sites = profile.profile(*one("moments_v2", 1)).sites
    assert sites[0].memory == "global"
    assert sites[0].moved == 8 * sites[0].ideal
    assert main(["bench", "--device", "cuda-host", "--kernel", "moments_v2"]) == 0
    said = capsys.readouterr().out
    assert f"norm.cu:{sites[0].line} is uncoalesced: it moves 8 times the sectors that its bytes need" in said
    assert all(card.name in said for card in CARDS.values())
    assert "A MODEL, not measured" in said
    assert said.isascii()


@with_compiler
def test_the_ladders_side_by_side(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--device", "cuda-host"]) == 0
    said = capsys.readouterr()
    for rungs in subjects.ladders().values():
        for rung in rungs:
            assert f"\n  {rung.name} " in said.out
            assert f"{rung.name}: {rung.says}" in said.out
    rows = [line for line in said.out.splitlines() if line.startswith("  ") and ": " not in line]
    assert max(map(len, rows)) <= 80


@with_compiler
def test_the_same_as_json(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = profiles(capsys)
    assert [row["name"] for row in found] == [rung.name for rungs in subjects.ladders().values() for rung in rungs]
    (row, other) = profiles(capsys, "--kernel", "implicit_gemm_v1", "--batch", "3")
    assert row["problem"] == "4->4 3x3 @ 8x8, 3 pictures"
    assert row["right"]
    assert row["modelled"].keys() == CARDS.keys()
    (launch,) = row["launches"]
    assert launch["kernel"] == "implicit_gemm_v1"
    assert launch["counts"]["operations"] == 2 * 3 * 4 * 4 * 9 * 8 * 8
    assert {site["file"] for site in launch["sites"]} == {"implicit_gemm.cu"}
    assert other["problem"].startswith("8->8")


@with_compiler
@pytest.mark.parametrize("kernel", ["settle_add", "moments_join", "implicit_gemm_v3_16"])
def test_a_kernels_name_leads_to_the_op_that_runs_it(
    kernel: str, small: None, capsys: pytest.CaptureFixture[str]
) -> None:
    found = profiles(capsys, "--kernel", kernel)
    assert kernel in [launch["kernel"] for row in found for launch in row["launches"]]


@with_compiler
def test_what_is_wrong_is_named(
    small: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dispatch._replacements, ("cuda", "total"), (lambda a, b: a - b, None))
    (row,) = profiles(capsys, "--kernel", "total", code=1)
    assert not row["right"]

    def fails(a: Any, b: Any) -> Any:
        raise KernelError("total", "race", "two threads write it", "total.cu", 7, (0, 0, 0), (1, 0, 0))

    monkeypatch.setitem(dispatch._replacements, ("cuda", "total"), (fails, None))
    assert main(["bench", "--device", "cuda-host", "--kernel", "total"]) == 1
    assert "WRONG: total, total.cu:7: race: two threads write it" in capsys.readouterr().err


@pytest.mark.skipif(not HAS_NVRTC, reason="NVRTC is not installed")
def test_registers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--device", "cuda-host", "--registers", "--kernel", "sgd_update"]) == 0
    said = capsys.readouterr().out
    assert said.count("sgd_update") == 2  # float and double
    assert "adamw" not in said
    assert all(arch in said for arch in ("sm_75", "sm_80", "sm_90", "sm_120"))


@with_compiler
def test_without_nvrtc_registers_are_left_out(
    small: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise OSError("NVRTC is not here: pip install nvidia-cuda-nvrtc-cu12")

    monkeypatch.setattr(nvrtc, "library", missing)
    assert main(["bench", "--device", "cuda-host", "--kernel", "total"]) == 0
    said = capsys.readouterr()
    assert "registers and occupancy are left out: NVRTC is not here" in said.err
    assert "registers" not in said.out
    assert main(["bench", "--device", "cuda-host", "--registers"]) == 2
    assert "pip install nvidia-cuda-nvrtc-cu12" in capsys.readouterr().err


BAD = [
    (("--device", "cuda-host", "resnet20"), "takes no SUITE"),
    (("--device", "cuda-host", "--kernel", "implicit_gemm_v44"), "did you mean 'implicit_gemm_v4'"),
    (("--device", "cuda-host", "--kernel", "total", "--batch", "0"), "--batch"),
    (("--device", "cuda-host", "--vs", "torch"), "--vs is not for --device cuda-host"),
    (("--device", "cuda-host", "--plot", "a.png"), "--plot is not for --device cuda-host"),
    (("--device", "tpu", "resnet20"), "'tpu'"),
    (("resnet20", "--kernel", "total"), "--kernel is for --device cuda-host"),
    (("resnet20", "--registers"), "--registers is for --device cuda-host"),
    (("--device", "cuda"), "SUITE is missing"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_wrong_arguments_are_one_line(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(argv, message, capsys)


def refused(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *argv]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tinyresnet: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_without_a_compiler_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "compiler", lambda: None)
    refused(("--device", "cuda-host"), "C++ compiler", capsys)


# Timing on a GPU.


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in in CuPy's place, kernels included, and work that is small."""
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    monkeypatch.setattr(timing, "PIECE", 0.0)
    monkeypatch.setattr(cuda, "FILLER_BYTES", 1 << 12)
    monkeypatch.setattr(cuda, "MATRIX", 16)
    tiny = Shape(1, 4, 4, 5, 4)
    monkeypatch.setattr(convolution, "COMMON", (tiny,))
    monkeypatch.setattr(convolution, "ODD", (Shape(3, 4, 9, 9, 6, (1, 3), (2, 2), (0, 1), (1, 2), 2),))
    monkeypatch.setattr(ladder_cuda, "SHAPE", tiny)
    relu = ops.OPS["relu"].__class__(**{**vars(ops.OPS["relu"]), "shapes": (((2, 4, 8, 8),),)})
    monkeypatch.setattr(ops, "OPS", ops.OPS | {"relu": relu})
    monkeypatch.setattr(suites, "NETWORKS", {"resnet8": suites.NetworkSuite("resnet8", 1, (1,))})
    return strict_cupy.stand_in_with_kernels(monkeypatch)


def rows_of(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    quick = ("--repeat", "1", "--seconds", "0.001", "--threads", "1")
    assert main(["bench", *argv, "--device", "cuda", *quick, "--json"]) == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


@with_compiler
@pytest.mark.parametrize("suite", ["op:conv2d", "op:relu", "ladder"])
def test_suites_on_a_gpu_measure_every_row(suite: str, gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows_of(capsys, suite)
    assert found["machine"]["gpu"] == "stand-in"
    assert found["versions"]["cupy"] == gpu.__version__
    assert found["ceilings"]["multiply_adds"] is None
    cases = suites.cases(suite, device="cuda")
    assert [(row["name"], row["kind"]) for row in found["rows"]] == [(case.name, case.kind) for case in cases]
    assert all(row["right"] and row["seconds"] > 0 and row["readable_seconds"] > 0 for row in found["rows"])
    if suite == "ladder":
        assert {"columns", "implicit_gemm_v4", "implicit_gemm_weight_v1"} <= {row["name"] for row in found["rows"]}


@with_compiler
def test_one_rung_on_a_gpu(gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "ladder", "--device", "cuda", "--version", "implicit_gemm_v2", "--repeat", "1"]) == 0
    said = capsys.readouterr().out
    assert "stand-in" in said
    assert "cuBLAS" in said
    assert "implicit_gemm_v2" in said
    assert "registers" not in said
    refused(("ladder", "--device", "cuda", "--version", "loops"), "implicit_gemm_v1", capsys)
    refused(("resnet8", "--device", "cuda", "--memory"), "--memory is for --device cpu", capsys)


@with_compiler
def test_a_network_on_a_gpu_is_right(gpu: Any) -> None:
    device = cuda.device()
    setting = network.Setting("resnet8", 2)
    found = network._compare(setting, device, network.Training.numbers_of_step)
    assert found.worst <= 1
    trained = network.Training(setting, device)
    assert isinstance(trained.model.named_params().__iter__().__next__()[1].data, gpu.ndarray)
    assert is_channels_last(trained.x)


@pytest.mark.torch
@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_pytorch_must_have_cuda_and_leaves_tf32_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from tinyresnet.bench.work import import_torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="has no CUDA"):
        import_torch("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.backends.cudnn.benchmark
    try:
        import_torch("cuda")
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.benchmark = before


def test_the_clock_of_events_keeps_the_queue_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call takes the host 3 ms, and other work the device 1 ms: so 1.5 x 2 x 3 of those are queued before two calls."""
    monkeypatch.setattr(cuda, "FILLER_BYTES", 1 << 12)
    clock = cuda.EventClock(strict_cupy)
    calls: list[str] = []
    clock.fill_seconds = 1e-3
    monkeypatch.setattr(clock, "fill", lambda: calls.append("fill"))
    monkeypatch.setattr(cuda.time, "perf_counter", iter([0.0, 0.003]).__next__)
    monkeypatch.setattr(
        strict_cupy.Event, "record", lambda self: calls.append("event") or setattr(self, "seconds", 1.0)
    )
    monkeypatch.setattr(strict_cupy.cuda, "get_elapsed_time", lambda start, end: 8.0)
    assert clock(lambda: calls.append("call"), 2) == 0.004
    assert calls == ["call", *["fill"] * 9, "event", "call", "call", "event"]


def test_arrays_keep_their_memory_on_the_way(gpu: Any) -> None:
    device = Device("cuda", gpu, timing.piece, timing.piece)
    last = np.ones((2, 5, 5, 3), np.float32).transpose(0, 3, 1, 2)
    assert is_channels_last(device.carry(last))
    assert device.carry(last.copy()).flags.c_contiguous
    assert CPU.carry(last) is last


def test_ceilings_of_a_gpu(gpu: Any) -> None:
    found = ceilings.measure_ceilings(1, seconds=0.001, device=cuda.device())
    assert found.arithmetic == found.matrix_product > 0
    assert found.copy > 0


def test_without_a_gpu_it_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cupy", None)
    refused(("resnet20", "--device", "cuda", "--vs", "torch"), "device cuda needs the package cupy", capsys)


def test_the_ladder_of_the_cpu_stays_its_own() -> None:
    assert "loops" in ladder.RUNGS
    assert "loops" not in ladder_cuda.RUNGS
