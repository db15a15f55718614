"""Batch norm, both ways: in training by the batch's own statistics, in evaluation by the running ones.

x (N, C, H, W); weight, bias, mean and var (C,). Per channel, M = N*H*W numbers:
xhat = (x - mean) / sqrt(var + eps),  y = weight xhat + bias.
"""

import numpy as np


def batch_norm_forward(x, weight, bias, eps):
    """Training: y (N, C, H, W) and cache = (x, weight, mean, var, eps); mean and var (C,) are the batch's, var divided by M."""
    #[ c: over which axes do a channel's statistics run? [:, None, None] puts (C,) beside (N, C, H, W).
    #[ b: make mean and var (C,) of the batch.
    mean = x.mean(axis=(0, 2, 3))
    var = x.var(axis=(0, 2, 3))
    #]
    xhat = (x - mean[:, None, None]) / np.sqrt(var + eps)[:, None, None]
    return weight[:, None, None] * xhat + bias[:, None, None], (x, weight, mean, var, eps)
    #]


def batch_norm_backward(dy, cache):
    """Training: dx (N, C, H, W), dweight (C,) and dbias (C,), for dy (N, C, H, W)."""
    #[ c: each x also moves the batch's mean and variance, and so all the others' y: three terms. Go back in small steps.
    x, weight, mean, var, eps = cache
    std = np.sqrt(var + eps)[:, None, None]
    xhat = (x - mean[:, None, None]) / std
    #[ b: make dweight and dbias (C,): look at y = weight xhat + bias.
    dweight = (dy * xhat).sum(axis=(0, 2, 3))
    dbias = dy.sum(axis=(0, 2, 3))
    #]
    dxhat = dy * weight[:, None, None]
    #[ b: make by_mean (1, C, 1, 1): by the batch's mean every x takes the same from each. It is a mean of dxhat.
    by_mean = dxhat.mean(axis=(0, 2, 3), keepdims=True)
    #]
    #[ b: make by_variance (N, C, H, W): by the variance, x takes in proportion to its own xhat. Again a mean, of dxhat and xhat.
    by_variance = xhat * (dxhat * xhat).mean(axis=(0, 2, 3), keepdims=True)
    #]
    dx = (dxhat - by_mean - by_variance) / std
    return dx, dweight, dbias
    #]


def batch_norm_eval_forward(x, weight, bias, mean, var, eps):
    """Evaluation: y (N, C, H, W) by the running mean and var (C,). Returns y and cache = (x, weight, mean, var, eps)."""
    #[ c: the same formula; where do mean and var come from now?
    #[ b: make y. The statistics are given.
    y = (x - mean[:, None, None]) * (weight / np.sqrt(var + eps))[:, None, None] + bias[:, None, None]
    #]
    return y, (x, weight, mean, var, eps)
    #]


def batch_norm_eval_backward(dy, cache):
    """Evaluation: dx (N, C, H, W), dweight (C,) and dbias (C,), for dy (N, C, H, W)."""
    #[ c: no x moves the running statistics. What is left of dx?
    x, weight, mean, var, eps = cache
    scale = 1 / np.sqrt(var + eps)[:, None, None]
    #[ b: make dx: no x moves the running statistics, so the way is short.
    dx = dy * scale * weight[:, None, None]
    #]
    normalised = (x - mean[:, None, None]) * scale
    return dx, np.einsum("nchw,nchw->c", dy, normalised), np.einsum("nchw->c", dy)
    #]


#! x = rng.permutation([1.0, 3.0, 5.0, 7.0]).reshape(4, 1, 1, 1)
#! dy = rng.integers(-3, 4, (4, 1, 1, 1)).astype(float)
#! weight = np.array([2.0])
#! bias = np.array([1.0])
#! eps = 0.0
#? mean: the batch's mean  = batch_norm_forward(x, weight, bias, eps)[1][2][0]
#? var: its variance, divided by M = 4  = batch_norm_forward(x, weight, bias, eps)[1][3][0]
#? y_first: y[0, 0, 0, 0]  = batch_norm_forward(x, weight, bias, eps)[0][0, 0, 0, 0]
#? dbias: dbias[0]  = batch_norm_backward(dy, batch_norm_forward(x, weight, bias, eps)[1])[2][0]
#? dweight: dweight[0]  = batch_norm_backward(dy, batch_norm_forward(x, weight, bias, eps)[1])[1][0]
#? dx_sum: the sum of all numbers of dx, in training  = 0
#? dx_first: dx[0, 0, 0, 0], in training  = batch_norm_backward(dy, batch_norm_forward(x, weight, bias, eps)[1])[0][0, 0, 0, 0]
