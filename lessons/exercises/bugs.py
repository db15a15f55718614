"""Five backward passes, each with one wrong line: find it."""

import numpy as np


def linear_backward(dy, cache):
    """y (N, O) = x (N, I) weight^T + bias, weight (O, I), bias (O,): dx, dweight and dbias for dy (N, O); cache = (x, weight)."""
    x, weight = cache
    dx = dy @ weight
    #~ linear: last picture without a gradient | dx = np.concatenate([dy[:-1] @ weight, 0 * x[-1:]])
    dweight = dy.T @ x
    #~ linear: averaged over the batch | dweight = dy.T @ x / len(x)
    #~ linear: descent in the gradient | dweight = -(dy.T @ x)
    #~ linear: weight reshaped for transposed | dweight = (x.T @ dy).reshape(weight.shape)
    dbias = dy.sum(axis=0)
    #~ linear: bias averaged over its length | dbias = dy.sum(axis=0) / dy.shape[1]
    #~ linear: bias from the last picture | dbias = dy[-1]
    return dx, dweight, dbias


def dropout_backward(dy, cache):
    """y = x / (1 - p) where x was kept, else 0: dx for dy of any shape; cache = (kept, p), kept true where x was kept."""
    kept, p = cache
    scale = 1 / (1 - p)
    #~ dropout: divided by p | scale = 1 / p
    #~ dropout: scaled as at test time | scale = 1 - p
    #~ dropout: not scaled | scale = 1
    #~ dropout: scaled by the share that was kept | scale = 1 / kept.mean()
    return np.where(kept, dy * scale, 0)
    #~ dropout: mask of what was dropped | return np.where(kept, 0, dy * scale)
    #~ dropout: mask of the first picture | return np.where(kept[:1], dy * scale, 0)
    #~ dropout: scale for gradient | return np.where(kept, scale, 0)


def avg_pool_backward(dy, cache):
    """y (N, C, OH, OW): the mean of each window of x (N, C, H, W) = shape. dx for dy; cache = (shape, kernel, stride)."""
    shape, kernel, stride = cache
    dx = np.zeros(shape, dy.dtype)
    for i in range(kernel):
        for j in range(kernel):
            rows, columns = slice(i, i + dy.shape[2] * stride, stride), slice(j, j + dy.shape[3] * stride, stride)
            dx[:, :, rows, columns] += dy / (kernel * kernel)
            #~ avg_pool: window not divided | dx[:, :, rows, columns] += dy
            #~ avg_pool: divided by the stride | dx[:, :, rows, columns] += dy / (stride * stride)
            #~ avg_pool: divided by one side | dx[:, :, rows, columns] += dy / kernel
            #~ avg_pool: later window overwrites | dx[:, :, rows, columns] = dy / (kernel * kernel)
    return dx


def global_avg_pool_backward(dy, cache):
    """y (N, C, 1, 1): the mean over each picture of x (N, C, H, W). dx for dy; cache = x's shape."""
    N, C, H, W = cache
    share = dy / (H * W)
    #~ global_avg_pool: picture not divided | share = dy
    #~ global_avg_pool: divided as a square | share = dy / (H * H)
    #~ global_avg_pool: divided by the batch too | share = dy / (N * H * W)
    #~ global_avg_pool: divided by one less | share = dy / (H * W - 1)
    return np.broadcast_to(share, (N, C, H, W)).copy()
    #~ global_avg_pool: tiled for repeated | return np.tile(share.ravel(), H * W).reshape(N, C, H, W)


def shortcut_a_backward(dy, cache):
    """y: every stride-th pixel of x (N, C, H, W) = shape, `front` zero channels before its C, others behind. dx; cache = (shape, stride, front)."""
    shape, stride, front = cache
    dx = np.zeros(shape, dy.dtype)
    kept = dy[:, front : front + shape[1]]
    #~ shortcut_a: channels in front forgotten | kept = dy[:, : shape[1]]
    dx[:, :, ::stride, ::stride] = kept
    #~ shortcut_a: stride forgotten | dx[:, :, : dy.shape[2], : dy.shape[3]] = kept
    #~ shortcut_a: divided by the skipped pixels | dx[:, :, ::stride, ::stride] = kept / stride**2
    #~ shortcut_a: stride forgotten in the columns | dx[:, :, ::stride, : dy.shape[3]] = kept
    return dx
