"""Right code for the exercises, written otherwise than the solutions: loops, other formulas, other calls of NumPy."""

ALTERNATIVES = {
    ("relu", "maximum"): """
import numpy as np
def relu_forward(x): return np.maximum(x, 0), x
def relu_backward(dy, x): return dy * (x > 0)
""",
    ("relu", "index"): """
def relu_forward(x):
    y = x.copy()
    y[y < 0] = 0
    return y, x
def relu_backward(dy, cache):
    dx = dy.copy()
    dx[cache <= 0] = 0
    return dx
""",
    ("loss", "loops"): """
import numpy as np
def softmax_loss_forward(logits, labels):
    p, loss = np.empty_like(logits), 0
    for n, row in enumerate(logits):
        powers = np.exp(row - row.max())
        p[n] = powers / powers.sum()
        loss = loss - np.log(p[n, labels[n]]) / len(logits)
    return loss, (p, labels)
def softmax_loss_backward(dloss, cache):
    p, labels = cache
    out = p.copy()
    for n, k in enumerate(labels): out[n, k] -= 1
    return out * (dloss / len(p))
""",
    ("conv", "six loops"): """
import numpy as np
def conv2d_backward(dy, cache):
    x, weight, bias, stride, pad = cache
    (N, C, H, W), (O, _, KH, KW), (_, _, OH, OW) = x.shape, weight.shape, dy.shape
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(bias)
    for o in range(O):
        for oh in range(OH):
            for ow in range(OW):
                dbias[o] += dy[:, o, oh, ow].sum()
                for i in range(KH):
                    for j in range(KW):
                        h, w = oh * stride + i - pad, ow * stride + j - pad
                        if 0 <= h < H and 0 <= w < W:
                            dweight[o, :, i, j] += dy[:, o, oh, ow] @ x[:, :, h, w]
                            dx[:, :, h, w] += np.outer(dy[:, o, oh, ow], weight[o, :, i, j])
    return dx, dweight, dbias
""",
    ("conv", "own col2im"): """
import numpy as np
def col2im(cols, shape, kernel, stride, pad):
    N, C, H, W = shape
    KH, KW = kernel
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    big = np.zeros((N, C, H + 2 * pad, W + 2 * pad), cols.dtype)
    parts = cols.reshape(N, C, KH, KW, OH, OW)
    for oh in range(OH):
        for ow in range(OW):
            big[:, :, oh * stride : oh * stride + KH, ow * stride : ow * stride + KW] += parts[..., oh, ow]
    return big[:, :, pad : pad + H, pad : pad + W].copy()
def conv2d_backward(dy, cache):
    x, weight, bias, stride, pad = cache
    N, O = dy.shape[:2]
    p = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    view = np.lib.stride_tricks.sliding_window_view(p, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    dweight = np.tensordot(dy, view, axes=([0, 2, 3], [0, 2, 3]))
    dcols = weight.reshape(O, -1).T @ dy.reshape(N, O, -1)
    return col2im(dcols, x.shape, weight.shape[2:], stride, pad), dweight, np.einsum('nohw->o', dy)
""",
    ("conv_forward", "windows"): """
import numpy as np
def conv2d_forward(x, weight, bias, stride, pad):
    p = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    view = np.lib.stride_tricks.sliding_window_view(p, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum('nchwij,ocij->nohw', view, weight) + bias.reshape(1, -1, 1, 1)
def im2col(x, kernel, stride, pad):
    p = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    view = np.lib.stride_tricks.sliding_window_view(p, kernel, axis=(2, 3))[:, :, ::stride, ::stride]
    return view.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), x.shape[1] * kernel[0] * kernel[1], -1)
def conv2d_from_columns(cols, weight, bias, size):
    y = np.tensordot(cols, weight.reshape(len(weight), -1), axes=(1, 1)).transpose(0, 2, 1)
    return np.reshape(y + bias[:, None], (len(cols), len(weight), *size))
""",
    ("pool", "add.at"): """
import numpy as np
def max_pool_forward(x, kernel, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    flat = view.reshape(*view.shape[:4], -1)
    return flat.max(-1), (x, flat.argmax(-1).astype(np.int32), kernel, stride)
def max_pool_backward(dy, cache):
    x, winner, kernel, stride = cache
    n, c, oh, ow = np.indices(dy.shape)
    dx = np.zeros_like(x)
    np.add.at(dx, (n, c, oh * stride + winner // kernel, ow * stride + winner % kernel), dy)
    return dx
""",
    ("batch_norm", "step by step"): """
import numpy as np
A = (0, 2, 3)
def batch_norm_forward(x, weight, bias, eps):
    M = x.size // x.shape[1]
    mean = x.sum(A) / M
    var = ((x - mean.reshape(1, -1, 1, 1)) ** 2).sum(A) / M
    y = (x - mean.reshape(1, -1, 1, 1)) * (weight / (var + eps) ** 0.5).reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)
    return y, (x, weight, mean, var, eps)
def batch_norm_backward(dy, cache):
    x, weight, mean, var, eps = cache
    M = x.size // x.shape[1]
    col = lambda v: v.reshape(1, -1, 1, 1)
    centred, root = x - col(mean), col((var + eps) ** 0.5)
    dxhat = dy * col(weight)
    dvar = (dxhat * centred).sum(A) * -0.5 * (var + eps) ** -1.5
    dmean = -(dxhat / root).sum(A) + dvar * (-2 * centred).mean(A)
    dx = dxhat / root + col(dvar) * 2 * centred / M + col(dmean) / M
    return dx, (dy * centred / root).sum(A), dy.sum(A)
def batch_norm_eval_forward(x, weight, bias, mean, var, eps):
    col = lambda v: v.reshape(1, -1, 1, 1)
    return (x - col(mean)) / col(np.sqrt(var + eps)) * col(weight) + col(bias), (x, weight, mean, var, eps)
def batch_norm_eval_backward(dy, cache):
    x, weight, mean, var, eps = cache
    s = (var + eps) ** -0.5
    return (dy * (weight * s)[None, :, None, None], ((x - mean[:, None, None]) * dy).sum(A) * s, dy.sum(A))
""",
    ("residual", "in words"): """
import numpy as np
def add_backward(dy): return dy.copy(), dy.copy()
def fork_backward(da, db): return np.sum([da, db], axis=0)
def block_forward(x, w1, w2):
    h = x @ w1
    h[h < 0] = 0
    z = x + h @ w2
    return np.where(z > 0, z, 0), (x, w1, w2, h, z)
def block_backward(dy, cache):
    x, w1, w2, h, z = cache
    dz = np.where(z > 0, dy, 0)
    dh = np.einsum('nd,ed->ne', dz, w2)
    dh[h == 0] = 0
    return dz + np.einsum('ne,de->nd', dh, w1), np.einsum('nd,ne->de', x, dh), np.einsum('ne,nd->ed', h, dz)
""",
    ("shortcut_b", "loops"): """
import numpy as np
def projection_forward(x, weight, stride):
    kept = x[:, :, ::stride, ::stride]
    y = np.tensordot(kept, weight, axes=(1, 1)).transpose(0, 3, 1, 2)
    return y, (x, weight, stride)
def projection_backward(dy, cache):
    x, weight, stride = cache
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for h in range(dy.shape[2]):
        for w in range(dy.shape[3]):
            dx[:, :, h * stride, w * stride] = dy[:, :, h, w] @ weight
            dweight += dy[:, :, h, w].T @ x[:, :, h * stride, w * stride]
    return dx, dweight
""",
    ("sgd", "regrouped"): """
def sgd_step(param, grad, velocity, lr, momentum, weight_decay):
    v = grad + momentum * velocity
    v = v + param * weight_decay
    return param - v * lr, v
def sgd_run(param, grads, lr, momentum, weight_decay):
    v = 0 * param
    p = param.copy()
    for g in grads:
        v *= momentum
        v += g + weight_decay * p
        p -= lr * v
    return p
""",
    ("pyramid", "loops"): """
import numpy as np
def upsample_nearest_forward(x, scale): return np.kron(x, np.ones((scale, scale), x.dtype)), scale
def upsample_nearest_backward(dy, cache):
    return sum(dy[:, :, i::cache, j::cache] for i in range(cache) for j in range(cache))
def merge_backward(dp_fine, dp_coarse, scale):
    back = dp_coarse.copy()
    for i, j in np.ndindex(scale, scale): back += dp_fine[:, :, i::scale, j::scale]
    return dp_fine.copy(), back
def pairwise_iou(a, b):
    out = np.zeros((len(a), len(b)), a.dtype)
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            w, h = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
            both = w * h if w > 0 and h > 0 else 0.0
            out[i, j] = both / ((p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - both)
    return out
""",
}
