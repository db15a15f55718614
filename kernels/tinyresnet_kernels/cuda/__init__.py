"""The CUDA kernels: importing this registers every one of them. A kernel is compiled when it is first called, not before."""

from . import conv, conv_weight, elementwise, im2col, loss, norm, optim, pool

__all__ = ["conv", "conv_weight", "elementwise", "im2col", "loss", "norm", "optim", "pool"]
