"""The CPU kernels: importing this registers every one of them. Needs Numba."""

from . import conv, elementwise, norm, units

__all__ = ["conv", "elementwise", "norm", "units"]
