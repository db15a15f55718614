"""Max pooling, forward and backward: each window becomes its largest number, and that one gets the gradient.

x (N, C, H, W), windows kernel x kernel, y (N, C, OH, OW) with OH = (H - kernel) // stride + 1; no padding. Windows may overlap.
"""

import numpy as np


def max_pool_forward(x, kernel, stride):
    """y (N, C, OH, OW) and cache = (x, winner, kernel, stride).

    winner (N, C, OH, OW), whole numbers: the place i*kernel + j of each window's maximum; of equal ones the first.
    """
    #[ c: np.argmax finds the first maximum along an axis: flatten the window first.
    N, C, H, W = x.shape
    OH, OW = (H - kernel) // stride + 1, (W - kernel) // stride + 1
    y, winner = np.zeros((N, C, OH, OW), x.dtype), np.zeros((N, C, OH, OW), np.int64)
    for oh in range(OH):
        for ow in range(OW):
            window = x[:, :, oh * stride : oh * stride + kernel, ow * stride : ow * stride + kernel].reshape(N, C, -1)
            #[ b: set y[:, :, oh, ow] and winner[:, :, oh, ow] (N, C) of window (N, C, kernel*kernel).
            y[:, :, oh, ow] = window.max(axis=2)
            winner[:, :, oh, ow] = window.argmax(axis=2)
            #]
    return y, (x, winner, kernel, stride)
    #]


def max_pool_backward(dy, cache):
    """dx (N, C, H, W) for dy (N, C, OH, OW): each winner gets its window's dy; who wins twice gets both."""
    #[ c: the place in the window and the window's corner give the pixel. Windows overlap: what if a pixel wins twice?
    x, winner, kernel, stride = cache
    dx = np.zeros_like(x)
    N, C, OH, OW = dy.shape
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    #[ b: make h and w: the row and the column of the pixel that won window (oh, ow), from winner[n, c, oh, ow].
                    i, j = divmod(winner[n, c, oh, ow], kernel)
                    h, w = oh * stride + i, ow * stride + j
                    #]
                    #[ b: give it the window's gradient. It may have got another one before.
                    dx[n, c, h, w] += dy[n, c, oh, ow]
                    #]
    return dx
    #]


#! x = rng.permutation(16).reshape(1, 1, 4, 4).astype(float)
#! dy = rng.integers(1, 9, (1, 1, 3, 3)).astype(float)
#? y_corner: y[0, 0, 0, 0], for kernel 2 and stride 1 (so for all questions)  = max_pool_forward(x, 2, 1)[0][0, 0, 0, 0]
#? winner: winner[0, 0, 0, 0], 0 to 3  = max_pool_forward(x, 2, 1)[1][1][0, 0, 0, 0]
#? dx_top: dx at the largest number of x, which wins all its windows  = max_pool_backward(dy, (x, max_pool_forward(x, 2, 1)[1][1], 2, 1)).flat[x.argmax()]
#? dx_low: dx at the smallest number of x  = max_pool_backward(dy, (x, max_pool_forward(x, 2, 1)[1][1], 2, 1)).flat[x.argmin()]
#? dx_sum: the sum of all numbers of dx: no gradient is lost here  = dy.sum()
