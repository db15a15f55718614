"""Layer norm: each row is normalised by its own mean and variance, not the batch's.

x (N, D), weight and bias (D,): xhat = (x - mean) / sqrt(var + eps) with mean and var of each row (D numbers), y = weight xhat + bias.
"""

import numpy as np


def layer_norm_forward(x, weight, bias, eps):
    """y (N, D), and cache = (x, weight, eps)."""
    #[ c: batch norm with other axes.
    #[ b: make xhat (N, D).
    centred = x - x.mean(axis=1, keepdims=True)
    xhat = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    #]
    return weight * xhat + bias, (x, weight, eps)
    #]


def layer_norm_backward(dy, cache):
    """dx (N, D), dweight (D,) and dbias (D,), for dy (N, D)."""
    #[ c: which axes are summed for the parameters, and over which run the two means in dx?
    x, weight, eps = cache
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    rows = (x - x.mean(axis=1, keepdims=True)) / std
    #[ b: make dweight and dbias (D,).
    dweight, dbias = (dy * rows).sum(axis=0), dy.sum(axis=0)
    #]
    g = dy * weight
    #[ b: make dx (N, D): direct, by the mean, by the variance.
    dx = (g - g.mean(axis=1, keepdims=True) - rows * (g * rows).mean(axis=1, keepdims=True)) / std
    #]
    return dx, dweight, dbias
    #]


#! x = rng.permutation([1.0, 3.0, 5.0, 7.0])[None]
#! dy = rng.integers(-3, 4, (1, 4)).astype(float)
#! weight = np.ones(4)
#! bias = np.zeros(4)
#! eps = 0.0
#? y_first: y[0, 0]  = layer_norm_forward(x, weight, bias, eps)[0][0, 0]
#? dx_sum: the sum of dx over the row  = 0
#? dx_first: dx[0, 0]  = layer_norm_backward(dy, (x, weight, eps))[0][0, 0]
