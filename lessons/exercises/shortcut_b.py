"""Shortcut B: a 1x1 convolution with a stride, for blocks that change the shape (a batch norm follows it in the network).

x (N, C, H, W), weight (O, C), y (N, O, OH, OW): every stride-th pixel, its C channels mixed to O. OH = (H - 1) // stride + 1.
"""

import numpy as np


def projection_forward(x, weight, stride):
    """y[n,o,oh,ow] = sum over c of weight[o,c] x[n, c, oh*stride, ow*stride], and cache = (x, weight, stride)."""
    #[ c: first keep every stride-th pixel, then mix the channels.
    kept = x[:, :, ::stride, ::stride]
    #[ b: make y (N, O, OH, OW) of kept (N, C, OH, OW) and weight (O, C).
    y = np.einsum("oc,nchw->nohw", weight, kept)
    #]
    return y, (x, weight, stride)
    #]


def projection_backward(dy, cache):
    """dx (N, C, H, W) and dweight (O, C), for dy (N, O, OH, OW)."""
    #[ c: a pixel that was skipped did nothing. What is its gradient?
    x, weight, stride = cache
    #[ b: make dweight (O, C): every pixel of every picture used the same weight.
    dweight = np.einsum("nohw,nchw->oc", dy, x[:, :, ::stride, ::stride])
    #]
    dx = np.zeros_like(x)
    #[ b: fill in dx where pixels were kept; the skipped ones stay 0.
    dx[:, :, ::stride, ::stride] = np.einsum("oc,nohw->nchw", weight, dy)
    #]
    return dx, dweight
    #]


#! x = rng.integers(-3, 4, (1, 1, 3, 3)).astype(float)
#! weight = rng.integers(1, 4, (2, 1)).astype(float)
#! dy = rng.integers(-3, 4, (1, 2, 2, 2)).astype(float)
#? y_last: y[0, 1, 1, 1] with stride 2 (so for all questions)  = projection_forward(x, weight, 2)[0][0, 1, 1, 1]
#? dx_corner: dx[0, 0, 0, 0]: two output channels used this pixel  = projection_backward(dy, (x, weight, 2))[0][0, 0, 0, 0]
#? dx_skipped: dx[0, 0, 1, 0]  = projection_backward(dy, (x, weight, 2))[0][0, 0, 1, 0]
#? dweight_first: dweight[0, 0]  = projection_backward(dy, (x, weight, 2))[1][0, 0]
