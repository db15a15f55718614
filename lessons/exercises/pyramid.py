"""From what to where: nearest upsampling both ways, one step of a feature pyramid backward, and how much boxes overlap.

      coarse -- fork -------------- p_coarse
                 | upsampled             p_fine = fine + upsampled coarse
      fine ---- add --------------- p_fine
"""

import numpy as np


def upsample_nearest_forward(x, scale):
    """y (N, C, H*scale, W*scale): every pixel of x (N, C, H, W) becomes a block of scale x scale; and cache = scale."""
    #[ c: which pixel of x does row i, column j of y show?
    #[ b: make y. np.repeat does one axis at a time.
    y = x.repeat(scale, axis=2).repeat(scale, axis=3)
    #]
    return y, scale
    #]


def upsample_nearest_backward(dy, cache):
    """dx (N, C, H, W) for dy (N, C, H*scale, W*scale)."""
    #[ c: a pixel of x is in scale*scale places of y.
    N, C, OH, OW = dy.shape
    blocks = dy.reshape(N, C, OH // cache, cache, OW // cache, cache)
    #[ b: return dx, of blocks (N, C, H, scale, W, scale): what does a pixel get from its block?
    return blocks.sum(axis=(3, 5))
    #]
    #]


def merge_backward(dp_fine, dp_coarse, scale):
    """dfine (N, C, H*scale, W*scale) and dcoarse (N, C, H, W), for the gradients of p_fine and of p_coarse, of these shapes."""
    #[ c: an add, an upsampling, a fork: what does each do on the way back?
    #[ b: make dfine: p_fine is a sum.
    dfine = dp_fine
    #]
    #[ b: make dcoarse: coarse went two ways.
    dcoarse = dp_coarse + upsample_nearest_backward(dp_fine, scale)
    #]
    return dfine, dcoarse
    #]


def pairwise_iou(a, b):
    """iou (A, B) of each of the boxes a (A, 4) with each of b (B, 4): x0 y0 x1 y1, where x1 - x0 is the width; none is empty."""
    #[ c: a[:, None] beside b gives all pairs. Boxes that are apart share nothing, however far.
    x0, y0 = np.maximum(a[:, None, 0], b[:, 0]), np.maximum(a[:, None, 1], b[:, 1])
    x1, y1 = np.minimum(a[:, None, 2], b[:, 2]), np.minimum(a[:, None, 3], b[:, 3])
    #[ b: make shared (A, B), the area of the intersection, of its corners x0 y0 x1 y1. What if it has none?
    shared = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    #]
    area_a, area_b = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (a, b))
    #[ b: return iou, of shared (A, B), area_a (A,) and area_b (B,).
    return shared / (area_a[:, None] + area_b - shared)
    #]
    #]


#! x = rng.permutation(4).reshape(1, 1, 2, 2).astype(float)
#! dy = rng.integers(1, 9, (1, 1, 4, 4)).astype(float)
#! coarse = rng.integers(1, 9, (1, 1, 2, 2)).astype(float)
#! a = np.array([[0.0, 0, 4, 4]])
#! b = np.array([[rng.integers(1, 4), rng.integers(0, 4), 6, 5]]).astype(float)
#! width = rng.integers(1, 4)
#? y_corner: y[0, 0, 1, 2], for scale 2 (so for all questions)  = upsample_nearest_forward(x, 2)[0][0, 0, 1, 2]
#? dx_first: dx[0, 0, 0, 0] of the upsampling  = upsample_nearest_backward(dy, 2)[0, 0, 0, 0]
#? dx_sum: the sum of all numbers of dx  = upsample_nearest_backward(dy, 2).sum()
#? dfine: dfine[0, 0, 3, 3], where dy comes back to p_fine and coarse to p_coarse  = merge_backward(dy, coarse, 2)[0][0, 0, 3, 3]
#? dcoarse: dcoarse[0, 0, 1, 1]  = merge_backward(dy, coarse, 2)[1][0, 0, 1, 1]
#? iou: the IoU of boxes a and b  = pairwise_iou(a, b)[0, 0]
