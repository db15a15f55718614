"""Runs a student's CUDA kernel on the CPU and prints what it did as JSON: `python -m tinyresnet.course.assistant.kernel_run FILE`.

A process of its own, for the kernel becomes machine code: what it does wrong in memory must not reach anybody else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels import host
from tinyresnet_kernels.cuda import source
from tinyresnet_kernels.host import BuildError, KernelError, RawModule, order, watching

from ..exercises.kernel import MATMUL

TILE = 16
ORDERS = (0, 1, 7)


def main(path: Path) -> dict[str, Any]:
    """What to print: "error" and where, or "wrong" sizes, or "counts"."""
    if host.compiler() is None:
        return {"error": "no compiler"}
    prelude = (source.FOLDER / source.PRELUDE).read_text(encoding="utf-8")
    code = f'#line 1 "prelude.cuh"\n{prelude}\n#line 1 "{path.stem}.cu"\n{path.read_text(encoding="utf-8")}'
    try:
        kernel: Any = RawModule(code=code, options=source.options(np.float32)).get_function("matmul")
        return _runs(kernel)
    except BuildError as error:
        return {"error": "build", "text": str(error)}
    except KeyError:
        return {"error": "missing"}
    except KernelError as error:
        return {"error": "kernel", "kind": error.kind, "line": error.line, "text": str(error), "file": error.file}
    except (TypeError, ValueError) as error:
        return {"error": "call", "text": str(error)}


def _runs(kernel: Any) -> dict[str, Any]:
    (function,) = MATMUL.functions
    counts = None
    for case in function.cases(0, len(function.settings)):
        a, b = case.args
        for number in ORDERS:
            with watching() as watcher, order(number):
                c = host_empty((len(a), b.shape[1]))
                grid = (-(-c.shape[1] // TILE), -(-len(c) // TILE))
                sizes = (np.int32(n) for n in (*c.shape, a.shape[1]))
                kernel(grid, (TILE, TILE), (a, b, c, *sizes))
            if not np.allclose(c, a @ b, rtol=1e-4, atol=1e-4):
                return {"wrong": list(case.settings["sizes"]), **_first_wrong(c, a @ b)}
            counts = counts or (
                watcher.counts,
                [vars(site) for site in watcher.launches[0].sites],
                case.settings["sizes"],
            )
    assert counts is not None
    total, sites, (M, N, K) = counts
    return {
        "coalescing": total.coalescing,
        "bank_conflicts": total.bank_conflicts,
        "loads": total.load_bytes // 4,
        "least": 2 * M * N * K // TILE,
        "sites": [{key: site[key] for key in ("line", "memory", "write", "moved", "ideal")} for site in sites],
    }


def host_empty(shape: tuple[int, ...]) -> Any:
    """An array of numbers that nobody has written."""
    from tinyresnet_kernels.arrays import empty_memory

    return empty_memory(shape, np.empty(0, np.float32), channels_last=False)


def _first_wrong(found: Any, right: Any) -> dict[str, Any]:
    wrong = ~np.isclose(found, right, rtol=1e-4, atol=1e-4)
    place = tuple(map(int, np.unravel_index(int(wrong.argmax()), wrong.shape)))
    return {"index": place, "got": float(found[place]), "right": float(right[place]), "share": float(wrong.mean())}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
