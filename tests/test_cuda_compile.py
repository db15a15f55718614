"""Every CUDA kernel file through NVIDIA's compiler for four architectures, no GPU needed: nothing spills, every kernel keeps its budget."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatchcase

import pytest

from tinyresnet_kernels.cuda import budgets, nvrtc, registers, source
from tinyresnet_kernels.cuda.occupancy import LIMITS, occupancy
from tinyresnet_kernels.cuda.registers import ARCHITECTURES, DTYPES


def _why_not() -> str:
    try:
        nvrtc.library()
    except OSError as error:
        return str(error)
    return ""


needs_nvrtc = pytest.mark.skipif(bool(_why_not()), reason=_why_not())
every_arch = pytest.mark.parametrize("arch", ARCHITECTURES)

Modules = Callable[[str, str, str], nvrtc.Compiled]


@pytest.fixture(scope="module")
def modules() -> Iterator[Modules]:
    """Compiled modules by file, architecture and number type: each compiled once, two at a time, while the tests look at the first ones."""
    jobs = itertools.product(source.files(), ARCHITECTURES, DTYPES)
    pool = ThreadPoolExecutor(2)
    compiled: dict[tuple[str, str, str], Future[nvrtc.Compiled]] = {
        job: pool.submit(registers.compile_module, *job) for job in jobs
    }
    yield lambda *job: compiled[job].result()
    pool.shutdown(cancel_futures=True)


@needs_nvrtc
@pytest.mark.parametrize("real", DTYPES)
@every_arch
@pytest.mark.parametrize("file", source.files())
def test_a_file_compiles_spills_nothing_and_keeps_its_budget(file: str, arch: str, real: str, modules: Modules) -> None:
    if arch not in nvrtc.architectures():
        pytest.skip("NVRTC {}.{} does not know {arch}".format(*nvrtc.version(), arch=arch))
    module = modules(file, arch, real)
    assert tuple(module.kernels) == source.kernels(file)
    assert module.cubin.startswith(b"\x7fELF")
    assert module.warnings == ()
    faults = {row.kernel: row.fault for row in registers.module_rows(file, arch, real, module) if row.fault}
    assert not faults


def test_a_kernel_has_one_name_and_a_budget_has_a_kernel() -> None:
    names = [name for file in source.files() for name in source.kernels(file)]
    assert len(names) == len(set(names))
    assert all(any(fnmatchcase(name, pattern) for name in names) for pattern in budgets.BUDGETS)


def test_all_dynamic_shared_memory_is_accounted_for() -> None:
    texts = ((source.FOLDER / f"{file}.cu").read_text(encoding="utf-8") for file in source.files())
    bodies = [body for text in texts for body in re.split(r'(?=extern "C" __global__)', text)]
    dynamic = {source.KERNEL.match(body)[1] for body in bodies if "extern __shared__" in body}
    assert dynamic == {name for file in source.files() for name in source.kernels(file) if budgets.dynamic_shared(name)}


# What must be caught, planted.

SPILLS = """
constexpr int T = 512;
extern "C" __global__ void __launch_bounds__(2 * T) planted(real* x, int n) {
    real big[80];
#pragma unroll
    for (int i = 0; i < 80; ++i) big[i] = x[i * n];
    for (int k = 0; k < n; ++k)
#pragma unroll
        for (int i = 0; i < 80; ++i) big[i] = fma(big[i], big[(7 * i + 1) % 80], x[k]);
#pragma unroll
    for (int i = 0; i < 80; ++i) x[i + n * threadIdx.x] = big[i];
}
"""
INDEXED = """
extern "C" __global__ void planted(real* x, int n) {
    real some[8];
    for (int i = 0; i < 8; ++i) some[i] = x[i];
    x[0] = some[n];
}
"""
HUNGRY = SPILLS.replace("2 * T", "T / 4")
CROWDED = """
extern "C" __global__ void __launch_bounds__(64) planted(real* x, int n) {
    __shared__ real tile[48 * 1024 / sizeof(real)];
    tile[threadIdx.x] = x[n];
    __syncthreads();
    x[n] = tile[n];
}
"""


def planted(text: str, arch: str, real: str) -> registers.Row:
    module = nvrtc.compile(source.text("optim") + text, arch, source.options(DTYPES[real]))
    return next(row for row in registers.module_rows("planted", arch, real, module) if row.kernel == "planted")


@needs_nvrtc
@every_arch
def test_registers_that_do_not_suffice_are_caught(arch: str) -> None:
    row = planted(SPILLS, arch, "double")
    assert row.threads == 1024  # as the compiler computed __launch_bounds__
    assert row.usage.registers <= 64  # of 65536 / 1024
    assert row.usage.spill > 0
    assert "bytes spilled" in row.fault


@needs_nvrtc
def test_an_array_that_cannot_live_in_registers_is_caught() -> None:
    row = planted(INDEXED, "sm_80", "double")
    assert row.usage.spill == 0
    assert row.usage.stack == 64
    assert row.threads == 256  # has no __launch_bounds__
    assert "64 bytes of stack" in row.fault


@needs_nvrtc
@pytest.mark.parametrize(("text", "bound"), [(HUNGRY, "registers"), (CROWDED, "shared memory")])
def test_too_little_occupancy_is_caught(text: str, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = planted(text, "sm_80", "double")
    assert row.usage.spill == row.usage.stack == 0
    assert row.occupancy.bound == bound
    assert f"by {bound}: the budget is 50%" in row.fault
    monkeypatch.setitem(budgets.BUDGETS, "planted", budgets.Budget(0.01, 0.01))
    assert row.fault == ""


@needs_nvrtc
def test_dynamic_shared_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(budgets.DYNAMIC_SHARED, "planted", 32 * 1024)
    module = nvrtc.compile('extern "C" __global__ void planted(float* x) { x[0] = 1; }', "sm_80")
    row = registers.module_rows("planted", "sm_80", "float", module)[0]
    assert row.occupancy == occupancy("sm_80", 256, row.usage.registers, 32 * 1024)
    assert row.occupancy.bound == "shared memory"


@needs_nvrtc
@pytest.mark.parametrize("place", ["optim.cu", source.PRELUDE])
def test_an_error_is_said_with_file_and_line(place: str) -> None:
    lines = (source.FOLDER / place).read_text(encoding="utf-8").splitlines()
    statements = (
        (i, line) for i, line in enumerate(lines, 1) if line.startswith("    ") and " = " in line and line[-1] == ";"
    )
    number, line = next(statements)
    with pytest.raises(nvrtc.CompileError) as caught:
        nvrtc.compile(source.text("optim").replace(line, f"{line} mistake;"), "sm_80", source.options("float32"))
    assert str(caught.value) == f'{place}({number}): error: identifier "mistake" is undefined'
    assert "mistake;" in caught.value.log


@needs_nvrtc
@pytest.mark.parametrize(
    ("text", "arch", "options", "message"),
    [
        (CROWDED.replace("48", "49"), "sm_80", (), "error: planted has 50176 bytes of static shared memory: at most 49152"),
        ("", "sm_80", ("--nonsense",), "nvrtc: error: unrecognized option --nonsense found"),
        ("", "sm_1", (), "nvrtc: error: invalid value for --gpu-architecture (-arch)"),
    ],
)  # fmt: skip
def test_other_refusals_are_one_sentence(text: str, arch: str, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(nvrtc.CompileError) as caught:
        nvrtc.compile(text, arch, ("-DREAL=float", "-Dreal=float", *options))
    assert str(caught.value) == message


@needs_nvrtc
def test_warnings_are_kept() -> None:
    module = nvrtc.compile('extern "C" __global__ void planted(float* x) {\n    int unused;\n    x[0] = 1;\n}', "sm_80")
    assert [line[: line.index(":")] for line in module.warnings] == ["kernels.cu(2)"]


@needs_nvrtc
def test_the_table_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(source, "files", lambda: ("optim",))
    assert registers.main(["--arch", "sm_80", "--arch", "sm_75", "--dtype", "float64"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()[2:]
    assert head.split() == ["kernel", "numbers", "threads", "shared", "sm_80", "sm_75"]
    assert {row.split()[0] for row in rows[:-2]} == set(source.kernels("optim"))
    assert rows[-1] == "Nothing spills, and every kernel keeps its budget."
    monkeypatch.setattr(budgets, "USUAL", budgets.Budget(1.0, 1.01))
    assert registers.main(["--arch", "sm_80", "--dtype", "float64"]) == 1
    assert "sgd_update, double, sm_80: " in capsys.readouterr().out


def test_without_nvrtc_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise OSError("NVRTC is not here: pip install nvidia-cuda-nvrtc-cu12")

    monkeypatch.setattr(nvrtc, "library", absent)
    assert registers.main([]) == 2
    assert capsys.readouterr().err == "NVRTC is not here: pip install nvidia-cuda-nvrtc-cu12\n"


def test_the_wheels_of_every_platform_are_found(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (
        "cuda_nvrtc/lib/libnvrtc.so.12",
        "cuda_nvrtc/lib/libnvrtc.alt.so.12",
        "cuda_nvrtc/lib/libnvrtc-builtins.so.12.9",
        "cuda_nvrtc/bin/nvrtc64_120_0.dll",
        "cuda_nvrtc/bin/nvrtc64_120_0.alt.dll",
        "cuda_nvrtc/bin/nvrtc-builtins64_129.dll",
        "cu13/lib/libnvrtc.so.13",
        "cu13/bin/x86_64/nvrtc64_130_0.dll",
    )
    for file in files:
        (tmp_path / "nvidia" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nvidia" / file).touch()
    here = type("Spec", (), {"submodule_search_locations": [str(tmp_path / "nvidia")]})
    monkeypatch.setattr(nvrtc.importlib.util, "find_spec", lambda name: here if name == "nvidia" else None)
    found = [path.name for path in nvrtc.wheels()]
    assert set(found[:2]) == {"libnvrtc.so.12", "nvrtc64_120_0.dll"}
    assert set(found[2:]) == {"libnvrtc.so.13", "nvrtc64_130_0.dll"}


# (architecture, threads, registers, bytes of shared memory): blocks, and what bounds them. NVIDIA's cuda_occupancy.h says the same.
OCCUPANCY = [
    (("sm_75", 256, 64, 0), 4, "warps"),  # 32 warps of 8; 65536 / (64 * 32) = 32 warps too
    (("sm_75", 32, 32, 0), 16, "blocks"),
    (("sm_75", 256, 32, 33_000), 1, "shared memory"),  # 33024 in units of 256, of 65536
    (("sm_75", 256, 32, 32_768), 2, "shared memory"),  # no reserved bytes
    (("sm_75", 1024, 65, 0), 0, "registers"),  # 65 * 32 = 2080, in units of 256: 2304 * 32 warps > 65536
    (("sm_80", 256, 33, 0), 6, "registers"),  # 1280 a warp: 12 warps in each quarter of 16384
    (("sm_80", 256, 128, 0), 2, "registers"),
    (("sm_80", 256, 255, 0), 1, "registers"),
    (("sm_80", 96, 80, 0), 8, "registers"),  # 2560 a warp: 6 in a quarter, 24 in all, blocks of 3
    (("sm_80", 32, 16, 0), 32, "blocks"),
    (("sm_80", 256, 32, 166_912), 1, "shared memory"),  # 163 KiB, the most of a block
    (("sm_80", 256, 32, 166_913), 0, "shared memory"),
    (("sm_86", 256, 32, 0), 6, "warps"),
    (("sm_90", 256, 32, 16_640), 8, "warps"),  # shared memory would do for 13
    (("sm_90", 128, 64, 49_152), 4, "shared memory"),  # 49152 + 1024 = 50176: 4 of 233472
    (("sm_120", 256, 40, 0), 6, "warps"),
    (("sm_120", 32, 32, 0), 24, "blocks"),
    (("sm_120", 256, 32, 49_152), 2, "shared memory"),
    (("sm_120", 1025, 32, 0), 0, "warps"),
]


@pytest.mark.parametrize(("kernel", "blocks", "bound"), OCCUPANCY)
def test_occupancy(kernel: tuple[str, int, int, int], blocks: int, bound: str) -> None:
    found = occupancy(*kernel)
    assert (found.blocks, found.bound) == (blocks, bound)
    warps = blocks * -(-kernel[1] // 32)
    assert (found.warps, found.share) == (warps, warps / LIMITS[kernel[0]].warps)


def test_occupancy_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="no limits are known for 'sm_61': known are sm_75, "):
        occupancy("sm_61", 256, 32)
