"""Runs CUDA kernels on the CPU, unchanged: for tests, for lessons, and to count what they do. Needs a C++ compiler."""

from .build import BuildError, compiler
from .module import KernelError, RawKernel, RawModule, order
from .watch import Counts, Launch, Site, Watcher, watching

__all__ = [
    "BuildError",
    "Counts",
    "KernelError",
    "Launch",
    "RawKernel",
    "RawModule",
    "Site",
    "Watcher",
    "compiler",
    "order",
    "watching",
]
