"""Log-sum-exp pooling: a soft maximum, in which every number of a window has its share.

x (N, C, H, W), windows kernel x kernel side by side (stride = kernel, H and W are multiples of it), y (N, C, H/kernel, W/kernel):
y = log(mean over the window of exp(r x)) / r, for a number r > 0. Small r: the mean; large r: the maximum.
"""

import numpy as np


def lse_pool_forward(x, kernel, r):
    """y (N, C, OH, OW), and cache = (x, kernel, r). r x may be as large as 1000."""
    #[ c: reshape x to (N, C, OH, kernel, OW, kernel): then a window is axes 3 and 5.
    N, C, H, W = x.shape
    parts = x.reshape(N, C, H // kernel, kernel, W // kernel, kernel)
    #[ b: make y (N, C, OH, OW) of parts; take each window's largest number out before exp, and put it back after log.
    top = parts.max(axis=(3, 5), keepdims=True)
    y = top[:, :, :, 0, :, 0] + np.log(np.exp(r * (parts - top)).mean(axis=(3, 5))) / r
    #]
    return y, (x, kernel, r)
    #]


def lse_pool_backward(dy, cache):
    """dx (N, C, H, W), for dy (N, C, OH, OW): each number's share is a softmax over its window."""
    #[ c: differentiate the formula: what do the shares of a window sum to?
    x, kernel, r = cache
    N, C, H, W = x.shape
    cells = x.reshape(N, C, H // kernel, kernel, W // kernel, kernel)
    #[ b: make share, of cells' shape: it sums to 1 over each window.
    share = np.exp(r * (cells - cells.max(axis=(3, 5), keepdims=True)))
    share /= share.sum(axis=(3, 5), keepdims=True)
    #]
    #[ b: return dx.
    return (share * dy[:, :, :, None, :, None]).reshape(x.shape)
    #]
    #]


#! powers = rng.permutation([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2)
#! x = np.log(powers)
#! dy = np.array([[[[12.0]]]])
#? y: exp(y[0, 0, 0, 0]), for kernel 2 and r = 1  = np.exp(lse_pool_forward(x, 2, 1.0)[0][0, 0, 0, 0])
#? dx_first: dx[0, 0, 0, 0]  = lse_pool_backward(dy, (x, 2, 1.0))[0, 0, 0, 0]
#? dx_sum: the sum of all numbers of dx  = 12
