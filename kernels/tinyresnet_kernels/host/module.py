"""Kernel modules in CuPy's call style, on NumPy arrays: `RawModule(code=...).get_function(name)(grid, block, arguments)`."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import build

NAME = re.compile(r'extern "C" __global__ void\s*(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')
COLLECTIVE = re.compile(r"__sync|__shfl|__ballot|__any_sync|__all_sync|mma_tf32")
MOST_THREADS, MOST_STATIC_SHARED, MOST_SHARED = (
    1024,
    48 << 10,
    227 << 10,
)  # per block; dynamic shared memory as on sm_90
_order: contextvars.ContextVar[int] = contextvars.ContextVar("tinyresnet_cuda_order", default=0)


class Three(ctypes.Structure):
    """As in runtime.hpp."""

    _fields_ = [(name, ctypes.c_uint) for name in "xyz"]


class HostLaunch(ctypes.Structure):
    """As in runtime.hpp."""

    _fields_ = [
        ("grid", Three),
        ("block", Three),
        ("shared_bytes", ctypes.c_uint),
        ("order", ctypes.c_uint),
        ("fibers", ctypes.c_uint),
        ("body", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("shared_begin", ctypes.c_void_p),
        ("shared_end", ctypes.c_void_p),
    ]


class HostError(ctypes.Structure):
    """As in runtime.hpp."""

    _fields_ = [
        ("kind", ctypes.c_char * 32),
        ("message", ctypes.c_char * 320),
        ("file", ctypes.c_char * 64),
        ("line", ctypes.c_int),
        ("instruction", ctypes.c_void_p),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
    ]


class KernelError(RuntimeError):
    """A kernel did what no kernel may do. `kind`, `file` and `line` say what and where, `block` and `thread` who (x, y, z)."""

    def __init__(
        self,
        kernel: str,
        kind: str,
        message: str,
        file: str,
        line: int,
        block: tuple[int, ...],
        thread: tuple[int, ...],
    ) -> None:
        super().__init__(f"{kernel}, {file}:{line}: {kind}: {message} (block {block}, thread {thread})")
        self.kernel, self.kind, self.file, self.line, self.block, self.thread = kernel, kind, file, line, block, thread


@contextlib.contextmanager
def order(seed: int) -> Iterator[None]:
    """Within the block, blocks and threads run forward (0), backward (1), or in an order drawn from this seed."""
    token = _order.set(seed)
    try:
        yield
    finally:
        _order.reset(token)


class RawModule:
    """As CuPy's: CUDA C++, compiled when a function is first asked for. `options` are -D, -I and -std ones."""

    def __init__(self, *, code: str, options: Sequence[str] = ()) -> None:
        self.code, self.options = code, tuple(options)
        self.parameters = {
            name: [p.split()[-1].lstrip("*&") for p in text.split(",") if p.strip()]
            for name, text in NAME.findall(code)
        }

    @functools.cached_property
    def meeting(self) -> set[str]:
        """The functions whose threads meet, at barriers or in a warp, directly or in what they call: their threads must be fibers."""
        bodies = _functions(self.code)
        found = {name for name, body in bodies.items() if COLLECTIVE.search(body)} | (
            self.parameters.keys() - bodies.keys()
        )
        while more := {name for name, body in bodies.items() if found & set(re.findall(r"\w+", body))} - found:
            found |= more
        return found

    def get_function(self, name: str) -> RawKernel:
        """The kernel of this name. Raises KeyError if there is none, build.BuildError if it does not compile."""
        if name not in self.parameters:
            raise KeyError(f"no kernel {name!r}: there are {', '.join(self.parameters)}")
        return RawKernel(self, name)

    @functools.cached_property
    def plain(self) -> Library:
        """Compiled to be fast."""
        return Library(self, watch=False)

    @functools.cached_property
    def watched(self) -> Library:
        """Compiled with a call of the watcher at every access to memory."""
        return Library(self, watch=True)


class Library:
    """A compiled module: its kernels' entries and signatures, and where its shared memory is."""

    def __init__(self, module: RawModule, *, watch: bool) -> None:
        self.path = build.module(module.code, module.options, list(module.parameters), watch=watch)
        self.loaded = ctypes.CDLL(str(self.path))
        self.loaded.host_shared.restype = ctypes.c_void_p
        self.shared = [self.loaded.host_shared(end) for end in (0, 1)]

    def body(self, kernel: str) -> int:
        """The address of the function that unpacks arguments and calls the kernel."""
        return ctypes.cast(getattr(self.loaded, f"body_{kernel}"), ctypes.c_void_p).value or 0

    def signature(self, kernel: str) -> list[str]:
        """The kernel's parameters, coded as in kernel_side.hpp."""
        function = getattr(self.loaded, f"signature_{kernel}")
        function.restype = ctypes.c_char_p
        return function().decode().split()  # type: ignore[no-any-return]


class RawKernel:
    """A kernel that is called as CuPy's are."""

    def __init__(self, module: RawModule, name: str) -> None:
        self.module, self.name = module, name
        self.max_dynamic_shared_size_bytes = MOST_STATIC_SHARED
        self.meets = name in module.meeting

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        """Run the kernel on NumPy arrays and NumPy scalars of the parameters' types.

        Raises KernelError on what the runtime, or within `watching` the watcher, finds; TypeError and ValueError on arguments that a GPU
        would not take.
        """
        from .watch import current

        watcher = current()
        library = self.module.watched if watcher else self.module.plain
        self._check(grid, block, shared_mem)
        arguments = self._arguments(args, library.signature(self.name))
        sizes = [Three(*(*map(int, size), 1, 1)[:3]) for size in (grid, block)]
        with watcher.launch(self, (grid, block, shared_mem), args, arguments) if watcher else contextlib.nullcontext():
            pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
            launch = HostLaunch(
                *sizes,
                shared_mem,
                _order.get(),
                self.meets,
                library.body(self.name),
                ctypes.addressof(pointers),
                *library.shared,
            )
            runtime = build.runtime()
            if runtime.host_run(ctypes.byref(launch)):
                runtime.host_error.restype = ctypes.POINTER(HostError)
                raise self._error(runtime.host_error().contents, library)

    def _check(self, grid: Sequence[int], block: Sequence[int], shared_mem: int) -> None:
        threads = int(np.prod(block))
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"{self.name}: a block of {threads} threads: 1 to {MOST_THREADS} are wanted")
        if min(grid) < 1 or max([*grid[1:], 1]) > 65535 or grid[0] >= 1 << 31:
            raise ValueError(
                f"{self.name}: the grid is {tuple(grid)}: 1 to 2^31 - 1 blocks, along y and z at most 65535, are wanted"
            )
        if shared_mem > min(self.max_dynamic_shared_size_bytes, MOST_SHARED):
            raise ValueError(
                f"{self.name}: {shared_mem} bytes of dynamic shared memory: at most {self.max_dynamic_shared_size_bytes} are wanted, "
                "or more after setting max_dynamic_shared_size_bytes"
            )

    def _arguments(self, args: Sequence[Any], codes: Sequence[str]) -> list[Any]:
        """The arguments as C has them. Raises TypeError on what CuPy would pass on in silence at the wrong width."""
        names = self.module.parameters[self.name]
        if len(args) != len(codes):
            raise TypeError(f"{self.name}: {len(args)} arguments: {len(codes)} are wanted ({', '.join(names)})")
        found = []
        for name, value, code in zip(names, args, codes, strict=True):
            kind, size = code[-2], int(code[-1])
            wanted = np.dtype("bool" if kind == "b" else f"{kind}{size}")
            dtype = getattr(value, "dtype", None)
            if code[0] in "cm" and len(code) == 3:
                if not isinstance(value, np.ndarray) or dtype != wanted:
                    raise TypeError(f"{self.name}: {name} is {_describe(value)}: a NumPy array of {wanted} is wanted")
                if not value.flags.c_contiguous:
                    raise ValueError(f"{self.name}: {name} is not C-contiguous")
                if code[0] == "m" and not value.flags.writeable:
                    raise ValueError(f"{self.name}: {name} is written to, and the array is read-only")
                found.append(ctypes.c_void_p(value.ctypes.data))
            else:
                if not isinstance(value, np.generic) or dtype != wanted:
                    raise TypeError(f"{self.name}: {name} is {_describe(value)}: np.{wanted} is wanted")
                found.append(np.ctypeslib.as_ctypes_type(wanted)(value.item()))
        return found

    def _error(self, error: HostError, library: Library) -> KernelError:
        from .lines import line_of

        file, line = (
            (Path(error.file.decode()).name, error.line) if error.file else line_of(library.path, error.instruction)
        )
        return KernelError(
            self.name, error.kind.decode(), error.message.decode(), file, line, tuple(error.block), tuple(error.thread)
        )


def _describe(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _functions(code: str) -> dict[str, str]:
    """The functions of a text by name, with their bodies: whatever stands between braces behind a name and parameters."""
    code = re.sub(r"//[^\n]*|^#[^\n]*|__launch_bounds__\([^)]*\)", "", code, flags=re.MULTILINE)
    found: dict[str, str] = {}
    depth = start = opened = 0
    for brace in re.finditer(r"[{}]", code):
        if brace[0] == "{":
            opened = brace.start() if depth == 0 else opened
            depth += 1
            continue
        depth -= 1
        if depth == 0:
            head = re.search(r"(\w+)\s*\(", code[start:opened])
            if head:
                found[head[1]] = found.get(head[1], "") + code[opened : brace.end()]
            start = brace.end()
    return found
