"""The tables of `tinyresnet bench SUITE`: what the device can do, and a row a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    from ..bench.measure import Row


def show(found: dict[str, Any], rows: list[Row], *, as_json: bool) -> None:
    """Everything found, as JSON or as tables."""
    if as_json:
        console.print_json(found | {"rows": [row.as_dict() for row in rows]})
        return
    ceilings, machine = found["ceilings"], found["machine"]
    rates = [
        ("multiply-adds from registers, 1 thread", _giga(ceilings["multiply_adds_one_thread"]), "GFLOP/s"),
        ("multiply-adds from registers", _giga(ceilings["multiply_adds"]), "GFLOP/s"),
        ("NumPy matrix product", _giga(ceilings["matrix_product"]), "GFLOP/s"),
        ("copy, reads and writes", _giga(ceilings["copy"]), "GB/s"),
    ]
    if "gpu" in machine:
        rates = [
            ("cuBLAS matrix product, float32", _giga(ceilings["matrix_product"]), "GFLOP/s"),
            ("copy, reads and writes", _giga(ceilings["copy"]), "GB/s"),
        ]
    console.table(f"what this machine can do: {_about(machine, ceilings)}", ("", "", ""), rates)
    console.table(f"tinyresnet bench {found['suite']}", *_columns(rows))
    if found["memory"]:
        table = [(side, _mega(life["before"]), _mega(life["peak"])) for side, life in found["memory"].items()]
        console.table("memory of a training process, MB", ("", "before the first step", "peak"), table)
    if found["cold"]:
        table = [
            (s.replace("_", " "), f"{c['first_seconds']:.2f}", f"{c['second_seconds']:.2f}")
            for s, c in found["cold"].items()
        ]
        console.table("seconds of the first steps of a process", ("kernels", "first step", "second"), table)


def _about(machine: dict[str, Any], ceilings: dict[str, Any]) -> str:
    """What was measured: the GPU, or the processor and its threads."""
    if "gpu" in machine:
        return f"{machine['gpu']}, {machine['multiprocessors']} multiprocessors"
    vectors = f", vectors of {machine['vector_bytes']} bytes" if "vector_bytes" in machine else ""
    threads = f"{ceilings['threads']} thread{'s' if ceilings['threads'] > 1 else ''}"
    return f"{machine['architecture']}, {threads}{vectors}"


def _columns(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the table of rows; PyTorch's columns only where it was asked."""
    heads = ["work", "", "times", "ms", "GFLOP/s", "GB/s", "share", "x readable"]
    torch = any(row.torch_seconds for row in rows)
    compiled = any(row.compiled_seconds for row in rows)
    heads += ["torch ms", "x torch", "its format"] * torch + ["compiled ms", "x compiled"] * compiled
    cells = []
    for row in rows:
        if row.seconds is None:
            cells.append([row.name, row.kind, str(row.count), "WRONG", *["-"] * (len(heads) - 4)])
            continue
        byte_rate = _giga(row.bytes_per_second) if row.kind == "elementwise" else "-"
        speedup = f"{row.readable_seconds / row.seconds:.3g}"
        cell = [row.name, row.kind, str(row.count), _milli(row.seconds), _giga(row.operations_per_second), byte_rate]
        cell += [f"{100 * (row.share or 0):.2g} %", speedup]
        if torch:
            cell += [_milli(row.torch_seconds), _ratio(row.torch_ratio), row.torch_format or "-"]
        if compiled:
            cell += [_milli(row.compiled_seconds), _ratio(row.compiled_ratio)]
        cells.append(cell)
    return heads, cells


def _giga(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e9:.3g}" if rate < 1e10 else f"{rate / 1e9:.0f}"


def _mega(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.0f}"


def _milli(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3g}" if seconds < 0.1 else f"{1000 * seconds:,.0f}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
