"""Convolution, backward: the gradients of x, weight and bias.

x (N, C, H, W), weight (O, C, KH, KW), bias (O,), y (N, O, OH, OW); the forward pass is
y[n,o,oh,ow] = bias[o] + sum over c, i, j of weight[o,c,i,j] x[n, c, oh*stride + i - pad, ow*stride + j - pad].
Every product of it is met again here: once seen from the weight, once seen from the pixel.
"""

import numpy as np


def col2im(cols, shape, kernel, stride, pad):
    """The way back of im2col: x (N, C, H, W) = shape, the sum of all that came from each pixel.

    cols (N, C*KH*KW, OH*OW), rows c, then i, then j; kernel = (KH, KW). What came from the padding is dropped.
    """
    #[ c: a pixel is in many windows. Work on a padded picture, and cut the border off at the end.
    (N, C, H, W), (KH, KW) = shape, kernel
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    places = cols.reshape(N, C, KH, KW, OH, OW)
    image = np.zeros((N, C, H + 2 * pad, W + 2 * pad), cols.dtype)
    for i in range(KH):
        for j in range(KW):
            #[ b: bring places[:, :, i, j] (N, C, OH, OW) to the pixels of `image` it came from. They may have got something already.
            image[:, :, i : i + OH * stride : stride, j : j + OW * stride : stride] += places[:, :, i, j]
            #]
    #[ b: return the picture without its padded border. Mind pad = 0.
    return image[:, :, pad : pad + H, pad : pad + W]
    #]
    #]


def conv2d_backward(dy, cache):
    """dx, dweight and dbias, of the shapes of x, weight and bias, for dy (N, O, OH, OW); cache = (x, weight, bias, stride, pad)."""
    #[ c: dbias is a sum. For the others: which dy meets weight[o,c,i,j], and with which pixel? It is one product for both.
    x, weight, _, stride, pad = cache
    (H, W), (KH, KW), (OH, OW) = x.shape[2:], weight.shape[2:], dy.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dweight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(KH):
        for j in range(KW):
            seen = np.s_[:, :, i : i + OH * stride : stride, j : j + OW * stride : stride]
            #[ b: set dweight[:, :, i, j] (O, C): dy (N, O, OH, OW) times padded[seen] (N, C, OH, OW), summed. Over which axes?
            dweight[:, :, i, j] = np.einsum("nohw,nchw->oc", dy, padded[seen])
            #]
            #[ b: add to dpadded[seen] (N, C, OH, OW) what these pixels get by weight[:, :, i, j] (O, C).
            dpadded[seen] += np.einsum("nohw,oc->nchw", dy, weight[:, :, i, j])
            #]
    #[ b: make dbias (O,): every pixel of every picture adds the bias once.
    dbias = dy.sum(axis=(0, 2, 3))
    #]
    dx = dpadded[:, :, pad : H + pad, pad : W + pad]
    return dx, dweight, dbias
    #]


#! x = rng.integers(-2, 4, (1, 1, 3, 3)).astype(float)
#! weight = rng.integers(1, 4, (1, 1, 2, 2)).astype(float)
#! dy = rng.integers(-2, 4, (1, 1, 2, 2)).astype(float)
#? dbias: dbias[0], for stride 1 and pad 0 (so for all questions)  = conv2d_backward(dy, (x, weight, np.zeros(1), 1, 0))[2][0]
#? dweight_first: dweight[0, 0, 0, 0]: which four pixels does weight[0, 0, 0, 0] meet?  = conv2d_backward(dy, (x, weight, np.zeros(1), 1, 0))[1][0, 0, 0, 0]
#? dx_corner: dx[0, 0, 0, 0]: this pixel is in one window only  = conv2d_backward(dy, (x, weight, np.zeros(1), 1, 0))[0][0, 0, 0, 0]
#? dx_middle: dx[0, 0, 1, 1]: this one is in all four  = conv2d_backward(dy, (x, weight, np.zeros(1), 1, 0))[0][0, 0, 1, 1]
#? shared: col2im of columns full of ones gives at each pixel the number of windows it is in. What is it in the middle?  = col2im(np.ones((1, 4, 4)), (1, 1, 3, 3), (2, 2), 1, 0)[0, 0, 1, 1]
