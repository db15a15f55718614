"""The CPU kernels: importing this registers every one of them. Needs Numba."""

from . import conv, elementwise, im2col, loss, norm, optim, pool, units

__all__ = ["conv", "elementwise", "im2col", "loss", "norm", "optim", "pool", "units"]
