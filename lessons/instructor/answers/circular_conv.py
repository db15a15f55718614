"""Convolution with circular padding: the picture goes on at its other side, like a map of the world.

x (N, C, H, W), weight (O, C, KH, KW), y (N, O, H, W): stride 1, and as many outputs as pixels.
y[n,o,h,w] = sum over c, i, j of weight[o,c,i,j] x[n, c, (h + i - KH//2) mod H, (w + j - KW//2) mod W].
"""

import numpy as np


def circular_forward(x, weight):
    """y (N, O, H, W), and cache = (x, weight)."""
    #[ c: np.roll moves a picture around its edge.
    KH, KW = weight.shape[2:]
    y = 0
    for i in range(KH):
        for j in range(KW):
            #[ b: make turned (N, C, H, W): at (h, w) it has the pixel that meets weight[o,c,i,j] there.
            turned = np.roll(x, (KH // 2 - i, KW // 2 - j), axis=(2, 3))
            #]
            y = y + np.einsum("oc,nchw->nohw", weight[:, :, i, j], turned)
    return y, (x, weight)
    #]


def circular_backward(dy, cache):
    """dx (N, C, H, W) and dweight (O, C, KH, KW), for dy (N, O, H, W)."""
    #[ c: no pixel is lost at the edge: it turns up at the other side. So does its gradient.
    x, weight = cache
    KH, KW = weight.shape[2:]
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for i in range(KH):
        for j in range(KW):
            away = np.array([i - KH // 2, j - KW // 2])
            #[ b: set dweight[:, :, i, j] (O, C), and add to dx (N, C, H, W). `away` is how far the pixel lies from its output.
            dweight[:, :, i, j] = np.einsum("nohw,nchw->oc", dy, np.roll(x, -away, axis=(2, 3)))
            dx += np.roll(np.einsum("oc,nohw->nchw", weight[:, :, i, j], dy), away, axis=(2, 3))
            #]
    return dx, dweight
    #]


#! x = rng.integers(-2, 4, (1, 1, 3, 3)).astype(float)
#! weight = rng.integers(1, 4, (1, 1, 3, 3)).astype(float)
#! dy = rng.integers(-2, 4, (1, 1, 3, 3)).astype(float)
#? y_corner: y[0, 0, 0, 0]  = circular_forward(x, weight)[0][0, 0, 0, 0]
#? dx_corner: dx[0, 0, 0, 0]  = circular_backward(dy, (x, weight))[0][0, 0, 0, 0]
#? shared: how many windows is the corner pixel in?  = 9
