"""Convolution and pooling, backward

60 minutes. Needs lessons 01, 02.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="03 Convolution and pooling, backward")


@app.cell(hide_code=True)
def _():
    import inspect
    import textwrap

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.course.sketch import grid, number, products, sketch
    from tinyresnet.layers import conv, conv_loops, pool
    from tinyresnet_kernels import col2im, im2col, use

    return (
        BLUE,
        Figure,
        GREEN,
        GREY,
        ORANGE,
        ask,
        col2im,
        conv,
        conv_loops,
        grid,
        im2col,
        inspect,
        mo,
        np,
        number,
        pool,
        products,
        reveal,
        show,
        sketch,
        style,
        textwrap,
        tr,
        use,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 03 · Convolution and pooling, backward

    Forward, a window asks: *which pixels do I read?* Backward, a pixel asks: **which windows have read me, and with which weight?** Who
    can answer the second question can write the backward pass of any layer with windows.

    ## What you will be able to do

    - Compute any number of `dweight` and of `dx` on paper, with stride and padding.
    - Say why `dx` needs `+=`, and write col2im.
    - Take a gradient back through max pooling, overlapping windows and ties included, and through average pooling.
    - Say what a gradient is at a kink, and which claims are allowed there.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The idea in a picture

    Choose a pixel (green). The windows that read it are blue in `dy`; the weight that each of them used for this pixel is blue in
    `weight`. The pixel's gradient is the sum of the products. Go to a corner, then to the middle. Then set stride 2: why do some pixels
    get so little?
    """)
    return


@app.cell(hide_code=True)
def _(conv, np, use):
    X = np.array([[1, 0, 2, 3], [4, 1, 0, 1], [2, 3, 1, 0], [0, 1, 2, 4]], float)
    WEIGHT = np.array([[1, 0, -1], [2, 3, -2], [4, -3, 1]], float)
    DY = np.array([[2, -1, 0, 1], [1, 3, -2, 0], [0, 1, 1, -1], [-3, 0, 2, 1]], float)

    def backward(x, weight, dy, stride, pad):
        """dx (H, W) and dweight (KH, KW) of one channel, as the library's readable form computes them."""
        with use("reference"):
            _, cache = conv.conv2d_forward(x[None, None], weight[None, None], stride=stride, pad=pad)
            dx, dweight, _ = conv.conv2d_backward(dy[None, None], cache)
        return dx[0, 0], dweight[0, 0]

    def upstream(stride, pad):
        """The first rows and columns of DY: as many as there are windows."""
        count = (4 + 2 * pad - 3) // stride + 1
        return DY[:count, :count]

    return DY, WEIGHT, X, backward, upstream


@app.cell(hide_code=True)
def _(mo):
    row = mo.ui.slider(0, 3, value=1, label="pixel, row", show_value=True)
    column = mo.ui.slider(0, 3, value=2, label="column", show_value=True)
    stride = mo.ui.slider(1, 2, value=1, label="stride", show_value=True)
    pad = mo.ui.slider(0, 1, value=1, label="pad", show_value=True)
    mo.hstack([row, column, stride, pad], justify="start", gap=1, wrap=True)
    return column, pad, row, stride


@app.cell(hide_code=True)
def _(
    BLUE,
    GREEN,
    ORANGE,
    WEIGHT,
    X,
    backward,
    col2im,
    column,
    grid,
    mo,
    np,
    number,
    pad,
    products,
    row,
    show,
    sketch,
    stride,
    upstream,
):
    def readers(h, w, stride, pad, OH, OW):
        """The windows (oh, ow) that read pixel (h, w), each with the place (i, j) of the weight that it used."""
        found = []
        for oh in range(OH):
            for ow in range(OW):
                i, j = h + pad - oh * stride, w + pad - ow * stride
                if 0 <= i < 3 and 0 <= j < 3:
                    found.append(((oh, ow), (i, j)))
        return found

    for _s, _p in ((1, 0), (1, 1), (2, 0), (2, 1)):
        _dy = upstream(_s, _p)
        _dx = backward(X, WEIGHT, _dy, _s, _p)[0]
        for _h, _w in np.ndindex(4, 4):
            assert _dx[_h, _w] == sum(_dy[seen] * WEIGHT[used] for seen, used in readers(_h, _w, _s, _p, *_dy.shape))

    _h, _w, _s, _p = row.value, column.value, stride.value, pad.value
    _dy = upstream(_s, _p)
    _dx = backward(X, WEIGHT, _dy, _s, _p)[0]
    _found = readers(_h, _w, _s, _p, *_dy.shape)
    _size = 4 + 2 * _p
    _border = {(r, c) for r in range(_size) for c in range(_size) if _p and (r in (0, 5) or c in (0, 5))}
    _visits = col2im.reference(np.ones((1, 9, _dy.size)), (1, 1, 4, 4), (3, 3), (_s, _s), (_p, _p))[0, 0]
    _parts = [
        grid(np.pad(X, _p), (10, 34), title=f"x, padded by {_p}", faint=_border, marks={(_h + _p, _w + _p): GREEN}),
        grid(_dy, (215, 34), title="dy", marks={seen: BLUE for seen, _ in _found}),
        grid(WEIGHT, (360, 34), title="weight", marks={used: BLUE for _, used in _found}),
        grid(_dx, (475, 34), title="dx", marks={(_h, _w): ORANGE}),
        grid(_visits, (620, 34), title="windows that read it", marks={(_h, _w): GREEN}),
    ]
    _sum = products((_dy[seen], WEIGHT[used]) for seen, used in _found) if _found else "0, for no window read it"
    _places = ", ".join(f"dy{list(seen)}·weight{list(used)}" for seen, used in _found)
    mo.vstack(
        [
            show(
                sketch(765, 225, *_parts),
                alt=f"Pixel ({_h}, {_w}) of a 4 x 4 picture was read by so many windows: {len(_found)}. Their numbers in dy and the weights that they used are marked; the sum of the "
                f"products is dx[{_h}, {_w}] = {number(_dx[_h, _w])}.",
            ),
            mo.md(f"""dx[{_h}, {_w}] = {_sum} = **{number(_dx[_h, _w])}**. Windows: {len(_found)};
            {_places or "none"}."""),
        ]
    )
    return (readers,)


@app.cell(hide_code=True)
def _(ask):
    turned = ask(
        "As you go through the blue windows of `dy` from left to right, the weights they used run",
        ["from left to right too", "from right to left", "in no order"],
    )
    turned
    return (turned,)


@app.cell(hide_code=True)
def _(DY, WEIGHT, X, backward, conv, np, readers, reveal, turned, use):
    _used = [used for _, used in readers(1, 1, 1, 1, 4, 4)]
    assert _used == [(i, j) for i in (2, 1, 0) for j in (2, 1, 0)]
    _turned = WEIGHT[::-1, ::-1]
    with use("reference"):
        _one = conv.conv2d_forward(DY[None, None], _turned[None, None], pad=1)[0][0, 0]
        _spread = np.zeros((4, 4))
        _spread[::2, ::2] = DY[:2, :2]
        _two = conv.conv2d_forward(_spread[None, None], _turned[None, None], pad=1)[0][0, 0]
    assert np.array_equal(_one, backward(X, WEIGHT, DY, 1, 1)[0])
    assert np.array_equal(_two, backward(X, WEIGHT, DY[:2, :2], 2, 1)[0])
    reveal(
        turned,
        "from right to left",
        """And from bottom to top: a window further right has this pixel further left. So for stride 1 **dx is a convolution of dy with the kernel turned by 180°**, padded by
        KH − 1 − pad. For stride 2 write a zero between all numbers of dy first; then it is true as well. This cell compares both with the library, exactly.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    Start from one product of the forward pass. With $h = oh \cdot s + i - p$ and $w = ow \cdot s + j - p$,

    $$y_{n,o,oh,ow} \mathrel{+}= w_{o,c,i,j} \; x_{n,c,h,w}.$$

    Such a product has two factors, so it gives two contributions on the way back, and there is no more to it:

    $$dw_{o,c,i,j} \mathrel{+}= dy_{n,o,oh,ow} \; x_{n,c,h,w}, \qquad dx_{n,c,h,w} \mathrel{+}= dy_{n,o,oh,ow} \; w_{o,c,i,j}.$$

    Collect them by what stands on the left:

    - **One weight** met a pixel in *every window of every picture*: $dw_{o,c,i,j} = \sum_{n,oh,ow} dy_{n,o,oh,ow}\, x_{n,c,h,w}$. This
      is a correlation of $x$ with $dy$.
    - **One pixel** was read by a few windows, for every output channel: $dx_{n,c,h,w} = \sum_{o} \sum_{(oh,ow) \ni (h,w)} dy_{n,o,oh,ow}\, w_{o,c,i,j}$.
    - **One bias** was added everywhere: $db_o = \sum_{n,oh,ow} dy_{n,o,oh,ow}$.

    **As matrices.** Forward is $Y = \mathsf W \,\mathrm{cols}$. Lesson 01 knows the two other products (P = OH·OW outputs, K = C·KH·KW
    numbers in a window):

    | | product | shapes |
    |:--|:--|:--|
    | weight | $d\mathsf W = dY\, \mathrm{cols}^\top$, summed over the pictures | (O, P) @ (P, K) = (O, K) |
    | columns | $d\mathrm{cols} = \mathsf W^\top dY$ | (K, O) @ (O, P) = (K, P) |
    | pixels | $dx = \mathrm{col2im}(d\mathrm{cols})$ | (K, P) to (C, H, W) |

    im2col *copied* a pixel into several columns. A copy is a fork, and a fork sums on the way back. That sum is **col2im**: add every
    number of dcols to the pixel it came from, and drop what came from the padding. One calls it the *adjoint* of im2col: $\langle
    \mathrm{im2col}(x), r\rangle = \langle x, \mathrm{col2im}(r)\rangle$ for all $x$ and $r$.
    """)
    return


@app.cell(hide_code=True)
def _(col2im, im2col, mo, np):
    _rng = np.random.default_rng(0)
    _x = _rng.integers(-3, 4, (2, 3, 7, 6)).astype(float)
    _settings = ((3, 2), (2, 1), (1, 0), (1, 2))  # kernel, stride, pad, dilation
    _cols = im2col.reference(_x, *_settings)
    _r = _rng.integers(-3, 4, _cols.shape).astype(float)
    _there, _back = (_cols * _r).sum(), (_x * col2im.reference(_r, _x.shape, *_settings)).sum()
    assert _there == _back
    mo.md(f"""
    Measured with whole numbers, kernel (3, 2), stride (2, 1), pad (1, 0), dilation (1, 2): ⟨im2col(x), r⟩ = **{_there:g}**, ⟨x,
    col2im(r)⟩ = **{_back:g}**. For a linear function this *is* the gradient check, and it needs no step h: no rounding, no tolerance.

    ### The weight's side

    Choose a weight. In each window it met one pixel (green); `dweight` sums these pixels times `dy`. (Stride and pad are those of the
    sliders above.)
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    place = mo.ui.dropdown(
        {f"weight[{i}, {j}]": (i, j) for i in range(3) for j in range(3)}, value="weight[0, 0]", label="weight"
    )
    place
    return (place,)


@app.cell(hide_code=True)
def _(
    BLUE, GREEN, ORANGE, WEIGHT, X, backward, grid, mo, np, number, pad, place, products, show, sketch, stride, upstream
):
    (_i, _j), _s, _p = place.value, stride.value, pad.value
    _dy = upstream(_s, _p)
    _padded = np.pad(X, _p)
    _met = _padded[_i : _i + _s * len(_dy) : _s, _j : _j + _s * len(_dy) : _s]
    _dweight = backward(X, WEIGHT, _dy, _s, _p)[1]
    assert _dweight[_i, _j] == (_met * _dy).sum()
    _size = len(_padded)
    _border = {(r, c) for r in range(_size) for c in range(_size) if _p and (r in (0, 5) or c in (0, 5))}
    _marks = {(_i + _s * r, _j + _s * c): GREEN for r, c in np.ndindex(_dy.shape)}
    _parts = [
        grid(_padded, (10, 34), title=f"x, padded by {_p}", faint=_border - set(_marks), marks=_marks),
        grid(
            _met,
            (220, 34),
            title=f"pixels that weight[{_i}, {_j}] met",
            marks=dict.fromkeys(np.ndindex(_dy.shape), GREEN),
        ),
        grid(_dy, (430, 34), title="dy", marks=dict.fromkeys(np.ndindex(_dy.shape), BLUE)),
        grid(_dweight, (600, 34), title="dweight", marks={(_i, _j): ORANGE}),
    ]
    _sum = products((a, b) for a, b in zip(_met.ravel(), _dy.ravel(), strict=True) if a and b)
    mo.vstack(
        [
            show(
                sketch(710, 225, *_parts),
                alt=f"The pixels that weight ({_i}, {_j}) met, one in each window, beside dy. The sum of their products is dweight[{_i}, {_j}] = {number(_dweight[_i, _j])}.",
            ),
            mo.md(f"dweight[{_i}, {_j}] = {_sum} = **{number(_dweight[_i, _j])}** (products with a 0 left out)."),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The code

    *Six loops* is the definition: two lines more than forward. Then the two products, and col2im. In col2im, look at the loop over the
    kernel's places: for one place (i, j) no pixel occurs twice, so
    `+=` on a slice is safe.
    """)
    return


@app.cell(hide_code=True)
def _(col2im, conv, conv_loops, inspect, mo, pool):
    def _shown(*functions):
        source = "\n\n".join(inspect.getsource(function) for function in functions)
        return mo.md(f"```python\n{source}```")

    mo.ui.tabs(
        {
            "six loops": _shown(conv_loops.conv2d_backward_loops),
            "two products": _shown(conv.weight_gradient, conv.input_gradient),
            "col2im": _shown(col2im),
            "max pooling": _shown(pool.window_maxima_gradient),
            "average pooling": _shown(pool.window_means_gradient, pool.global_avg_pool_backward),
        }
    )
    return


@app.cell(hide_code=True)
def _(conv, conv_loops, mo, np, use):
    _rng = np.random.default_rng(0)
    _x, _weight = (_rng.integers(-3, 4, shape).astype(float) for shape in ((2, 4, 6, 7), (6, 2, 3, 2)))
    with use("reference"):
        _y, _cache = conv.conv2d_forward(_x, _weight, np.ones(6), stride=(1, 2), pad=(2, 1), dilation=(2, 1), groups=2)
        _dy = _rng.integers(-3, 4, _y.shape).astype(float)
        _products = conv.conv2d_backward(_dy, _cache)
    _loops = conv_loops.conv2d_backward_loops(_dy, _cache)
    assert all(np.array_equal(a, b) for a, b in zip(_products, _loops, strict=True))
    _count = sum(array.size for array in _loops)
    mo.md(
        f"Loops and products agree, exactly, in all {_count} numbers of dx, dweight and dbias, with stride (1, 2), pad (2, 1), dilation (2, 1) and 2 groups."
    )
    return


@app.cell(hide_code=True)
def _(ask):
    lost = ask(
        "NumPy: `dx = np.zeros(3)`, then `dx[[0, 1, 1, 2]] += [1, 1, 1, 1]`. What is dx[1]?",
        ["1", "2", "it depends"],
    )
    lost
    return (lost,)


@app.cell(hide_code=True)
def _(lost, np, reveal):
    _dx, _right = np.zeros(3), np.zeros(3)
    _dx[[0, 1, 1, 2]] += [1, 1, 1, 1]
    np.add.at(_right, [0, 1, 1, 2], [1, 1, 1, 1])
    assert (_dx[1], _right[1]) == (1, 2)
    reveal(
        lost,
        "1",
        f"""dx is {_dx.tolist()}. With a list of places NumPy reads all of them, adds, and writes all of them: of two additions to one place the last one wins. A col2im written like this
        is wrong wherever windows overlap, and *right where they do not* (a 2 x 2 kernel with stride 2). `np.add.at` counts every one: {_right.tolist()}.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### The mistake that everybody makes once

    Here is a convolution's backward with one character missing: `=` in the place of `+=`. The verifier compares it with measured slopes:
    """)
    return


@app.cell(hide_code=True)
def _(conv, inspect, mo, np, textwrap, tr, use):
    def overwriting_backward(dy, cache):
        _, dweight, _ = conv.conv2d_backward(dy, cache)
        (N, C, H, W), O = cache.x.shape, len(cache.weight)
        dcols = cache.weight.reshape(O, -1).T @ dy.reshape(N, O, -1)
        dcols = dcols.reshape(N, C, 3, 3, H, W)
        image = np.zeros((N, C, H + 2, W + 2))
        for i in range(3):
            for j in range(3):
                image[:, :, i : i + H, j : j + W] = dcols[:, :, i, j]
        return image[:, :, 1:-1, 1:-1], dweight

    _rng = np.random.default_rng(0)
    with use("reference"):
        _report = tr.gradcheck.check(
            conv.conv2d_forward,
            _rng.standard_normal((2, 2, 4, 5)),
            _rng.standard_normal((2, 2, 3, 3)),
            backward=overwriting_backward,
            pad=1,
            name="col2im with =",
        )
    assert _report.verdict == "wrong"
    assert _report.wrong == ("x",)
    _source = textwrap.dedent(inspect.getsource(overwriting_backward))
    mo.md(f"```python\n{_source}```\n\n```text\n{_report}\n```")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    dweight is right, and only dx is wrong. In the first layer of a network nobody needs dx: there this mistake has no effect at all.

    ## Numbers to change

    ### Max pooling: the winner takes it all

    Forward, each window keeps its largest number. Backward, the pixel that won gets the window's dy; who wins in several windows gets
    the sum; the others get 0. Predict dx before you look: first for kernel 2 and stride 2, then for overlapping windows (kernel 3,
    stride 1), then with ties.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    kernel = mo.ui.slider(2, 3, value=2, label="kernel", show_value=True)
    apart = mo.ui.slider(1, 3, value=2, label="stride", show_value=True)
    ties = mo.ui.switch(label="with ties")
    mo.hstack([kernel, apart, ties], justify="start", gap=2, wrap=True)
    return apart, kernel, ties


@app.cell(hide_code=True)
def _(BLUE, GREEN, ORANGE, apart, grid, kernel, mo, np, number, pool, show, sketch, ties, use):
    _x = np.array([[3, 1, 0, 2, 1], [0, 4, 6, 5, 0], [2, 7, 1, 3, 8], [5, 0, 9, 2, 4], [1, 6, 3, 0, 7]], float)
    _x = np.minimum(_x, 5) if ties.value else _x
    with use("reference"):
        _y, _cache = pool.max_pool_forward(_x[None, None], kernel=kernel.value, stride=apart.value)
        _count = _y.shape[2]
        _dy = np.arange(1.0, 17).reshape(4, 4)[:_count, :_count]
        _dx = pool.max_pool_backward(_dy[None, None], _cache)[0, 0]
    assert _dx.sum() == _dy.sum()
    _wins = {}
    for _oh, _ow in np.ndindex(_dy.shape):
        _i, _j = divmod(int(_cache.winner[0, 0, _oh, _ow]), kernel.value)
        _wins.setdefault((_oh * apart.value + _i, _ow * apart.value + _j), []).append((_oh, _ow))
    assert all(_dx[pixel] == sum(_dy[w] for w in windows) for pixel, windows in _wins.items())
    _parts = [
        grid(_x, (10, 34), title="x, winners green", marks=dict.fromkeys(_wins, GREEN)),
        grid(_y[0, 0], (190, 34), title="y"),
        grid(_dy, (340, 34), title="dy", marks=dict.fromkeys(np.ndindex(_dy.shape), BLUE)),
        grid(_dx, (490, 34), title="dx", marks=dict.fromkeys(_wins, ORANGE)),
    ]
    _most = max(_wins, key=lambda pixel: (len(_wins[pixel]), _dx[pixel]))
    _shares = " + ".join(number(_dy[window]) for window in _wins[_most]) + " = " if len(_wins[_most]) > 1 else ""
    mo.vstack(
        [
            show(
                sketch(650, 195, *_parts),
                alt=f"Max pooling of a 5 x 5 picture, kernel {kernel.value}, stride {apart.value}: windows: {_dy.size}, winners: {len(_wins)}. "
                f"The winner at {_most} gets {number(_dx[_most])}.",
            ),
            mo.md(f"""Windows: {_dy.size}; winners: {len(_wins)}. x{list(_most)} wins in {len(_wins[_most])} of them: its gradient is
            {_shares}**{number(_dx[_most])}**. The sum of dx is the sum of dy, {number(_dx.sum())}: nothing is lost, nothing added."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The cache needs the *places* of the winners, and not x: one whole number for each output. (To look for the maximum again in
    backward, comparing x with y, is the usual beginner's way. It costs x; and what does it do on ties?)

    ### Kinks: what is the slope of a maximum where two numbers tie?

    Take $y = \max(a, 1)$, with a slider for $a$. To the left of 1 the slope is 0, to the right it is 1. And *at* 1?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    a = mo.ui.slider(0, 2, step=0.05, value=1, label="a", show_value=True)
    a
    return (a,)


@app.cell(hide_code=True)
def _(BLUE, Figure, GREEN, ORANGE, a, mo, np, show, style):
    def sides(f, x, h=1e-6):
        """The slopes of f just left and just right of x."""
        return (f(x) - f(x - h)) / h, (f(x + h) - f(x)) / h

    def largest(value):
        return max(value, 1.0)

    assert np.allclose(sides(largest, 1.0), (0, 1))
    _left, _right = (round(slope, 3) + 0.0 for slope in sides(largest, a.value))
    _central = (largest(a.value + 1e-6) - largest(a.value - 1e-6)) / 2e-6
    _along = np.linspace(0, 2, 101)
    with style():
        _figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.plot(_along, np.maximum(_along, 1), color=BLUE, label="max(a, 1)")
        for _slope, _colour, _end, _name in (
            (_left, ORANGE, -0.6, "slope to the left"),
            (_right, GREEN, 0.6, "slope to the right"),
        ):
            _axes.plot(
                [a.value, a.value + _end],
                [largest(a.value), largest(a.value) + _slope * _end],
                "--",
                color=_colour,
                linewidth=3,
                label=f"{_name}: {_slope:g}",
            )
        _axes.plot([a.value], [largest(a.value)], "o", color=BLUE)
        _axes.set(xlabel="a", ylabel="y", ylim=(0.4, 2.6))
        _axes.legend(loc="upper left")
    _said = (
        f"Here is the kink: a central difference gives {_central:.3g}, *the mean of both sides*. It is the slope of nothing, and no layer returns it. A check that compares with it alone calls right code wrong."
        if _left != _right
        else f"Both sides agree, and a central difference gives {_central:.3g} too."
    )
    mo.vstack(
        [
            show(
                _figure,
                alt=f"max(a, 1) with its slopes at a = {a.value:g}: {_left:g} to the left, {_right:g} to the right.",
            ),
            mo.md(_said),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    At a tie there is no gradient. There is a *set* of answers that make sense, the **subgradients**: everything between both sides. The
    library takes one of them (the first maximum wins; ReLU'(0) = 0). A checker may ask only this: along a direction, does the claim lie
    *between the two one-sided slopes*?

    Three conventions for ties, on a picture full of them:
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    ruling = ask(
        "The first maximum gets all of dy · all maxima share dy equally · every maximum gets all of dy. Which of the three may a layer use?",
        ["the first only", "the first and the second", "all three"],
    )
    ruling
    return (ruling,)


@app.cell(hide_code=True)
def _(inspect, mo, np, pool, textwrap, tr, use):
    def pool_forward(x):
        y, cache = pool.max_pool_forward(x, kernel=2, stride=2)
        return y, (x, y, cache)

    def spread(values):
        return values.repeat(2, axis=2).repeat(2, axis=3)

    def first_wins(dy, cache):
        return pool.max_pool_backward(dy, cache[2])

    def they_share(dy, cache):
        x, y, _ = cache
        won = (x == spread(y)).astype(float)
        N, C, OH, OW = y.shape
        winners = won.reshape(N, C, OH, 2, OW, 2).sum(axis=(3, 5))
        return spread(dy / winners) * won

    def each_gets_all(dy, cache):
        x, y, _ = cache
        return spread(dy) * (x == spread(y))

    tied = np.random.default_rng(0).integers(0, 3, (1, 1, 4, 4)).astype(float)
    tied[0, 0, :2, :2] = [[1, 2], [1, 1]]  # one window without a tie
    rulings = {}
    with use("reference"):
        for _rule in (first_wins, they_share, each_gets_all):
            rulings[_rule.__name__] = tr.gradcheck.check(pool_forward, tied, backward=_rule, name=_rule.__name__)
    assert [report.verdict for report in rulings.values()] == ["correct", "correct", "wrong"]
    _source = "\n".join(
        textwrap.dedent(inspect.getsource(f)) for f in (pool_forward, spread, first_wins, they_share, each_gets_all)
    )
    mo.accordion({"The three backward passes": mo.md(f"```python\n{_source}```")})
    return rulings, tied


@app.cell(hide_code=True)
def _(mo, np, reveal, rulings, ruling, tied):
    def _one_sided(report):
        return next(c for c in report.tensors[0].comparisons if c.method == "one-sided")

    _rows = "\n".join(
        f"| `{name}` | {c.low:.4f} | {c.claimed:.4f} | {c.high:.4f} | {report.verdict} |"
        for name, report in rulings.items()
        for c in [_one_sided(report)]
    )
    _bounds = {(c.low, c.high) for c in map(_one_sided, rulings.values())}
    assert len(_bounds) == 1
    _ends = np.abs(np.array(next(iter(_bounds))) - _one_sided(rulings["first_wins"]).claimed)
    assert _ends.min() < 1e-9
    assert _one_sided(rulings["each_gets_all"]).away > 0.1
    assert all(_one_sided(rulings[name]).away < 1e-9 for name in ("first_wins", "they_share"))
    _picture = "; ".join("  ".join(f"{value:g}" for value in row) for row in tied[0, 0])
    mo.vstack(
        [
            reveal(
                ruling,
                "the first and the second",
                f"""The picture: {_picture} (rows). Along one random direction the verifier measured the slope on both sides, and compared:

| backward | smaller slope | claimed | larger slope | verdict |
|:--|--:|--:|--:|:--|
{_rows}

The first winner is one end of the set, sharing lies inside it, and both pass. If every maximum gets all, the claim lies outside:

```text
{rulings["each_gets_all"]}
```""",
            ),
            mo.md("Ties are not rare: after a ReLU, many windows hold zeros only."),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Average pooling: nobody wins

    Every pixel of a window gets the same share, $dy / (KH \cdot KW)$. Global average pooling has one window, the picture: every pixel gets $dy / (H \cdot W)$. An average is a convolution with
    equal weights, one for each channel alone. So you know its backward pass already. The numbers show it:
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    border = ask(
        "Average pooling, kernel 3, stride 1, pad 1, dy = 9 everywhere. Padding counts as zeros. What is dx in the corner, and in the middle?",
        ["9 and 9", "4 and 9", "1 and 1", "4 and 4"],
    )
    border
    return (border,)


@app.cell(hide_code=True)
def _(border, conv, np, pool, reveal, use):
    _dy = np.full((1, 1, 4, 4), 9.0)
    with use("reference"):
        _y, _cache = pool.avg_pool_forward(np.ones((1, 1, 4, 4)), kernel=3, stride=1, pad=1)
        _dx = pool.avg_pool_backward(_dy, _cache)[0, 0]
        _y2, _conv_cache = conv.conv2d_forward(np.ones((1, 1, 4, 4)), np.full((1, 1, 3, 3), 1 / 9), pad=1)
        _same = conv.conv2d_backward(_dy, _conv_cache)[0][0, 0]
        _whole = pool.global_avg_pool_backward(
            np.full((1, 1, 1, 1), 8.0), pool.global_avg_pool_forward(np.ones((1, 1, 4, 4)))[1]
        )
    assert np.allclose(_dx, _same)
    assert np.isclose(_dx[0, 0], 4)
    assert np.isclose(_dx[1, 1], 9)
    assert (_whole == 0.5).all()
    reveal(
        border,
        "4 and 9",
        f"""dx = {_dx[0, 0]:g} in the corner and {_dx[1, 1]:g} in the middle: each window gives 9/9 = 1, the corner is in 4 windows and the middle in 9. What the windows gave to the padding is
        dropped. A convolution with nine weights of 1/9 gives the same. (Global pooling of 4 x 4 pixels with dy = 8: every pixel gets {_whole[0, 0, 0, 0]:g}.)""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Who gets how much?

    The picture at the beginning had a table of visits. In one dimension you see the pattern better. With stride larger than the kernel, some pixels are read by no window: their gradient is exactly 0.
    With kernel 3 and stride 2 the visits alternate: dx has a checkerboard, which you can see in the input gradients of many networks.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    wide = mo.ui.slider(1, 7, value=3, label="kernel", show_value=True)
    hop = mo.ui.slider(1, 4, value=2, label="stride", show_value=True)
    rim = mo.ui.slider(0, 3, value=1, label="pad", show_value=True)
    mo.hstack([wide, hop, rim], justify="start", gap=2, wrap=True)
    return hop, rim, wide


@app.cell(hide_code=True)
def _(BLUE, Figure, col2im, hop, mo, np, rim, show, style, wide):
    def visits(kernel, stride, pad, size=16):
        """How many windows read each pixel of a row: col2im of ones."""
        OW = (size + 2 * pad - kernel) // stride + 1
        return col2im.reference(np.ones((1, kernel, OW)), (1, 1, 1, size), (1, kernel), (1, stride), (0, pad))[0, 0, 0]

    assert visits(3, 2, 1).tolist() == [1, 2] * 7 + [1, 1]
    assert visits(4, 2, 1)[1:-1].tolist() == [2] * 14
    assert (visits(1, 2, 0) == 0).mean() == 0.5
    _visits = visits(wide.value, hop.value, rim.value)
    with style():
        _figure = Figure(figsize=(6.4, 2.2), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.bar(range(16), _visits, color=BLUE)
        _axes.set(xlabel="pixel of a row", ylabel="windows", xticks=range(16), yticks=range(int(_visits.max()) + 1))
    mo.vstack(
        [
            show(
                _figure,
                alt=f"How many windows read each of 16 pixels, kernel {wide.value}, stride {hop.value}, pad {rim.value}: {', '.join(f'{v:g}' for v in _visits)}.",
            ),
            mo.md(
                f"Read by no window: **{int((_visits == 0).sum())}** of 16. Try kernel 4 with stride 2: a kernel that is a multiple of the stride gives an even pattern (the rim apart)."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### In the stepper

    A convolution inside a residual block, at its backward pass. Pick a cell of `dx`, predict it, and press Enter: the arithmetic shows which windows read that pixel.
    """)
    return


@app.cell(hide_code=True)
def _(mo, np):
    from tinyresnet.step.notebook import widget as _widget
    from tinyresnet.step.session import hand_session as _hand_session

    _session = _hand_session()
    _step = _session.trace["layer1.conv2", "backward"]
    assert np.isfinite(_step.tensors["dx"]).all()
    _stepper = _widget(_session)
    _stepper.step = _step.index
    mo.ui.anywidget(_stepper)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 03
    tinyresnet lesson check conv.py
    tinyresnet lesson check pool.py
    ```

    In `conv.py` you write col2im and a convolution's backward; in `pool.py` max pooling both ways. You get gaps to fill (rung b); `--rung a` asks
    for numbers, `--rung c` leaves nothing but the signatures. `check` names the first thing that is wrong and the likely mistake, with a hint;
    `--hint 2` gives the next one.

    On paper: (1) x is 5 x 5, kernel 3, stride 2, pad 0. Which pixel is read by four windows? (2) A layer has stride 2 and a 1 x 1 kernel. Which part of dx is zero? (3) y = max(a, a)
    of one and the same pixel, twice in a window (padding by reflection does this). What does it get?

    ## What to read

    - Goodfellow, Bengio, Courville, [Deep Learning](https://www.deeplearningbook.org/contents/convnets.html), section 9.5: equations 9.11 to 9.13 are dweight and dx with stride.
    - Dumoulin, Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285) (2016), section 4: the way back as a convolution of its own, with drawings of the
      zeros between the numbers.
    - Odena, Dumoulin, Olah, [Deconvolution and checkerboard artifacts](https://distill.pub/2016/deconv-checkerboard/) (Distill, 2016): what uneven visits do in networks that draw pictures.
    - Bolte, Pauwels, [Conservative set valued fields, automatic differentiation, stochastic gradient methods and deep learning](https://arxiv.org/abs/1909.10300) (2019): what backprop computes at kinks,
      as mathematics.
    - Bertoin, Bolte, Gerchinovitz, Pauwels, [Numerical influence of ReLU'(0) on backpropagation](https://arxiv.org/abs/2106.12915) (2021): the choice between 0 and 1 can
      change a training run, most of all in low precision.
    - In this project: `tinyresnet/layers/conv_loops.py`, `tinyresnet/layers/pool.py`, docs/gradcheck.md, and `tinyresnet step --at layer1.conv2 --backward`.
    """)
    return


if __name__ == "__main__":
    app.run()
