"""What is measured: a case, and its work, which runs, is compared with the readable form, and has a twin in PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, on_host, use

from ..errors import InputError

if TYPE_CHECKING:
    from .device import Device

Kind = Literal["forward", "input gradient", "weight gradient", "elementwise", "training step", "inference"]
Run = Callable[[], Any]
FORMATS = ("channels-last", "contiguous")
UNIT = float(np.finfo(np.float32).eps) / 2  # the largest relative error of one float32 rounding


class Comparison(NamedTuple):
    """The largest difference from the readable form, in units of what is allowed (right: at most 1), and the readable form's seconds."""

    worst: float
    seconds: float


class Torch(NamedTuple):
    """PyTorch, the memory format that its pictures have, whether networks are compiled, and where its tensors are: "cpu" or "cuda"."""

    module: Any
    format: str
    compiled: bool = False
    device: str = "cpu"

    def tensor(self, array: Array) -> Any:
        """NumPy's array as a tensor in this format; on the CPU it shares the array's memory where that has the format already."""
        tensor = self.module.from_numpy(array).to(self.device)
        if array.ndim != 4:
            return tensor
        last = self.format == "channels-last"
        return tensor.contiguous(memory_format=self.module.channels_last if last else self.module.contiguous_format)


@dataclass(frozen=True)
class Work:
    """One thing to run. All ways to run it give the same numbers: an array, or a tuple of them (and perhaps a cache)."""

    ours: Run
    readable: Run
    compare: Callable[[], Comparison]
    theirs: Callable[[Torch], Run] | None = None


@dataclass(frozen=True)
class Case:
    """A named work, and what it costs at least."""

    name: str
    kind: Kind
    make: Callable[[Device], Work]
    operations: float  # floating-point operations: 2 a multiply-add
    moved: float = 0.0  # bytes of all arrays that go in and come out, each counted once
    count: int = 1  # how often the network does it
    patience: float = 1.0  # how many times `--seconds` it may take
    threads: int | None = None  # None: as many as the others


def draw(rng: np.random.Generator, *shape: int) -> Array:
    """Standard normal float32; (N, C, H, W) in channels-last memory, in which the kernels work, and PyTorch is mostly faster too."""
    if len(shape) != 4:
        return rng.standard_normal(shape, np.float32)
    N, C, H, W = shape
    return rng.standard_normal((N, H, W, C), np.float32).transpose(0, 3, 1, 2)


def readable(run: Run) -> Run:
    """`run` on the readable forms."""

    def plain() -> Any:
        with use("reference"):
            return run()

    return plain


def arrays(result: Any) -> list[Array]:
    """The numbers in a result, ours or PyTorch's, on the host; caches, which are tuples in a tuple, are left out."""
    parts = result if isinstance(result, tuple) and not hasattr(result, "_fields") else (result,)
    return [
        np.asarray(part.detach().cpu() if hasattr(part, "detach") else on_host(part))
        for part in parts
        if not _is_cache(part)
    ]


def _is_cache(part: Any) -> bool:
    return part is None or isinstance(part, tuple)


def excess(got: Array, wanted: Array, allowed: Array | float) -> float:
    """The largest |got - wanted| / allowed; a NaN where one of them has a NaN, infinity where the shapes differ."""
    got, wanted, allowed = on_host(got), on_host(wanted), allowed if isinstance(allowed, float) else on_host(allowed)
    if got.shape != wanted.shape:
        return float("inf")
    tiny = float(np.finfo(np.float32).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        return float((np.abs(got - wanted) / (allowed + tiny)).max(initial=0))


def relative(got: Array, wanted: Array) -> float:
    """The norm of the difference over the norm of what is wanted; infinity where the shapes differ."""
    got, wanted = on_host(got), on_host(wanted)
    if got.shape != wanted.shape:
        return float("inf")
    wanted = wanted.astype(np.float64)
    return float(np.linalg.norm(got - wanted) / (np.linalg.norm(wanted) or 1))


def import_torch(device: str = "cpu") -> Any:
    """PyTorch. Raises InputError where it is not installed, or not for this device: it is for comparing alone, and never required.

    On a GPU cuDNN may try out its algorithms, all of them in float32: by default it would round the factors to TF32's 10 bits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
    except ImportError as error:
        raise InputError("--vs torch: PyTorch is not installed: pip install torch, or leave --vs out") from error
    if device == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                "--vs torch: this PyTorch has no CUDA: install the one for CUDA (pytorch.org), or leave --vs out"
            )
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    return torch
