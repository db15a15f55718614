"""The CPU kernels: importing this registers every one of them. Needs Numba."""

from . import conv

__all__ = ["conv"]
