"""Convolution, forward: as its definition reads, and as one matrix product.

x (N, C, H, W), weight (O, C, KH, KW), bias (O,), y (N, O, OH, OW) with OH = (H + 2 pad - KH) // stride + 1, and OW likewise.
y[n,o,oh,ow] = bias[o] + sum over c, i, j of weight[o,c,i,j] x[n, c, oh*stride + i - pad, ow*stride + j - pad]; outside the picture x is 0.
"""

import numpy as np


def conv2d_forward(x, weight, bias, stride, pad):
    """y (N, O, OH, OW), by loops: clarity first. Returns y alone."""
    #[ c: which rows and columns of the padded picture does output (oh, ow) see?
    (N, _, H, W), (O, _, KH, KW) = x.shape, weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    y = np.zeros((N, O, OH, OW), x.dtype)
    for oh in range(OH):
        for ow in range(OW):
            #[ b: make window (N, C, KH, KW): what output (oh, ow) sees of the padded pictures.
            top, left = oh * stride, ow * stride
            window = padded[:, :, top : top + KH, left : left + KW]
            #]
            for o in range(O):
                #[ b: set y[:, o, oh, ow]: a sum of products over c, i and j; the bias once.
                y[:, o, oh, ow] = (window * weight[o]).sum(axis=(1, 2, 3)) + bias[o]
                #]
    return y
    #]


def im2col(x, kernel, stride, pad):
    """Columns (N, C*KH*KW, OH*OW) of x (N, C, H, W); kernel = (KH, KW). Column p is window p = oh*OW + ow; rows run c, then i, then j."""
    #[ c: one way: make cols (N, C, KH, KW, OH, OW) first, one kernel place (i, j) at a time, and reshape at the end.
    (N, C), (KH, KW) = x.shape[:2], kernel
    image = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = (image.shape[2] - KH) // stride + 1, (image.shape[3] - KW) // stride + 1
    cols = np.zeros((N, C, KH, KW, rows, columns), x.dtype)
    for i in range(KH):
        for j in range(KW):
            #[ b: set cols[:, :, i, j], shape (N, C, rows, columns): pixel (i, j) of every window. A slice with a step does it.
            cols[:, :, i, j] = image[:, :, i : i + rows * stride : stride, j : j + columns * stride : stride]
            #]
    #[ b: return the columns in the shape that the docstring says.
    return cols.reshape(N, C * KH * KW, rows * columns)
    #]
    #]


def conv2d_from_columns(cols, weight, bias, size):
    """y (N, O, OH, OW) of cols (N, C*KH*KW, OH*OW), as `im2col` gives them; size = (OH, OW)."""
    #[ c: the weight as a matrix, and one product a picture.
    O = len(weight)
    #[ b: make product (N, O, OH*OW): the weight as a matrix (O, C*KH*KW), times cols.
    product = weight.reshape(O, -1) @ cols
    #]
    return product.reshape(len(cols), O, *size) + bias[:, None, None]
    #]


#! x = rng.integers(-2, 4, (1, 1, 4, 4)).astype(float)
#! weight = rng.integers(-1, 3, (1, 1, 3, 3)).astype(float)
#! bias = np.array([1.0])
#? rows_pad: OH for these sizes with stride 1 and pad 1  = conv2d_forward(x, weight, bias, 1, 1).shape[2]
#? rows_stride: OH with stride 2 and pad 1  = conv2d_forward(x, weight, bias, 2, 1).shape[2]
#? y_corner: y[0, 0, 0, 0] with stride 1 and pad 0  = conv2d_forward(x, weight, bias, 1, 0)[0, 0, 0, 0]
#? y_padded: y[0, 0, 0, 0] with stride 1 and pad 1: five of nine products meet padding  = conv2d_forward(x, weight, bias, 1, 1)[0, 0, 0, 0]
#? times: in how many columns of im2col(x, (3, 3), 1, 1) does the pixel x[0, 0, 1, 1] stand?  = (im2col(np.arange(1.0, 17).reshape(1, 1, 4, 4), (3, 3), 1, 1) == 6).sum()
