"""Convolution, forward

45 minutes.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="02 Convolution, forward")


@app.cell(hide_code=True)
def _():
    import inspect

    import marimo as mo
    import numpy as np

    import tinyresnet as tr
    from tinyresnet.bench.timing import in_turn, median_ratio
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, show
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.course.sketch import grid, number, outline, products, sketch, words
    from tinyresnet.layers import conv, conv_loops
    from tinyresnet.threads import using_blas_threads
    from tinyresnet_kernels import im2col, output_size, use
    from tinyresnet_kernels.im2col import windows

    return (
        BLUE,
        GREEN,
        GREY,
        ORANGE,
        ask,
        conv,
        conv_loops,
        grid,
        im2col,
        in_turn,
        inspect,
        median_ratio,
        mo,
        np,
        number,
        outline,
        output_size,
        products,
        reveal,
        show,
        sketch,
        tr,
        use,
        using_blas_threads,
        windows,
        words,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 02 · Convolution, forward

    Nearly all the work of a residual network is convolution. Its definition is one line and six loops. Nobody runs it like that: the
    usual way copies every pixel up to nine times *on purpose*, and is hundreds of times faster. Why is wasting memory the fast way?

    ## What you will be able to do

    - Compute any number of a convolution's output by hand, with stride, padding and dilation.
    - Say how large the output is, and which pixels no window sees.
    - Draw the im2col matrix, and write a convolution as one matrix product.
    - Count multiply-adds and bytes of a layer, and say which of the two a way of computing wastes.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The idea in a picture

    Above: a window slides over the padded picture; each position gives one number of y. Below: the same numbers, but every window
    stands upright as a *column*. Then all outputs together are one product, a row of weights times a matrix. Move the window. Then look
    for the green pixel: how often is it there?
    """)
    return


@app.cell(hide_code=True)
def _(conv, np, use):
    X = np.array([[1, 0, 2, 3], [4, 1, 0, 1], [2, 3, 1, 0], [0, 1, 2, 4]], float)
    WEIGHT = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], float)

    def convolve(x, weight, **settings):
        """y of x and weight, each one channel (H, W), by the readable form: nothing has to be compiled."""
        with use("reference"):
            return conv.conv2d_forward(x[None, None], weight[None, None], **settings)[0][0, 0]

    return WEIGHT, X, convolve


@app.cell(hide_code=True)
def _(mo):
    window = mo.ui.slider(0, 15, value=6, label="window", show_value=True)
    pixel = mo.ui.dropdown(
        {f"x[{r}, {c}]": (r, c) for r in range(4) for c in range(4)}, value="x[1, 1]", label="green pixel"
    )
    mo.hstack([window, pixel], justify="start", gap=2)
    return pixel, window


@app.cell(hide_code=True)
def _(
    BLUE,
    GREEN,
    ORANGE,
    WEIGHT,
    X,
    convolve,
    grid,
    im2col,
    mo,
    np,
    number,
    outline,
    pixel,
    products,
    show,
    sketch,
    window,
    words,
):
    _oh, _ow = divmod(window.value, 4)
    _y = convolve(X, WEIGHT, pad=1)
    _padded = np.pad(X, 1)
    _border = {(r, c) for r in range(6) for c in range(6) if r in (0, 5) or c in (0, 5)}
    _cols = im2col.reference(X[None, None], (3, 3), pad=(1, 1))[0]
    _origin = im2col.reference(np.arange(1.0, 17).reshape(1, 1, 4, 4), (3, 3), pad=(1, 1))[
        0
    ]  # which pixel a cell is: from 1; 0 is padding
    _green = dict.fromkeys(map(tuple, np.argwhere(_origin == 1 + pixel.value[0] * 4 + pixel.value[1]).tolist()), GREEN)
    assert np.array_equal(WEIGHT.ravel() @ _cols, _y.ravel())
    _top = [
        grid(
            _padded,
            (10, 34),
            title="x, padded by 1",
            faint=_border,
            marks={(pixel.value[0] + 1, pixel.value[1] + 1): GREEN},
        ),
        outline((10 + 30 * _ow, 34 + 30 * _oh), 3, 3, BLUE),
        grid(WEIGHT, (280, 79), title="weight"),
        grid(_y, (460, 64), title="y", marks={(_oh, _ow): ORANGE}),
    ]
    _bottom = [
        grid(WEIGHT.reshape(1, 9), (10, 352), title="weight, as a row (1, 9)", cell=24),
        words("@", (240, 370)),
        grid(
            _cols,
            (264, 260),
            title="cols (9, 16): one window a column",
            cell=24,
            marks=_green,
            faint={tuple(p) for p in np.argwhere(_origin == 0).tolist()},
        ),
        outline((264 + 24 * window.value, 260), 9, 1, BLUE, cell=24),
        words("= y, as a row (1, 16)", (110, 517)),
        grid(_y.reshape(1, 16), (264, 500), cell=24, marks={(0, window.value): ORANGE}),
    ]
    _products = products((w, v) for w, v in zip(WEIGHT.ravel(), _cols[:, window.value], strict=True) if w)
    mo.vstack(
        [
            show(
                sketch(660, 535, *_top, *_bottom),
                alt=f"A 4 x 4 picture padded by zeros, a 3 x 3 weight and the 4 x 4 output. Window {window.value} gives y[{_oh}, {_ow}] = {number(_y[_oh, _ow])}. Below, "
                f"the 16 windows as columns of a 9 x 16 matrix; the green pixel stands in it {len(_green)} times. The weight as a row times this matrix is y as a row.",
            ),
            mo.md(
                f"y[{_oh}, {_ow}] = {_products} = **{number(_y[_oh, _ow])}** (products with a weight of 0 left out). "
                f"The green pixel stands in cols **{len(_green)}** times."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(ask):
    copies = ask(
        "A large picture, a 3 x 3 kernel with stride 1 and pad 1. How many times larger than x is cols? And with stride 2?",
        ["9 and 9", "9 and 4.5", "9 and 2.25", "3 and 1.5"],
    )
    copies
    return (copies,)


@app.cell(hide_code=True)
def _(copies, im2col, np, reveal):
    _x = np.zeros((1, 4, 32, 32), np.float32)
    _one, _two = (im2col.reference(_x, (3, 3), (s, s), (1, 1)).nbytes / _x.nbytes for s in (1, 2))
    _stem = np.zeros((1, 3, 224, 224), np.float32)
    _seven = im2col.reference(_stem, (7, 7), (2, 2), (3, 3)).nbytes / _stem.nbytes
    assert (_one, _two, _seven) == (9, 2.25, 12.25)
    reveal(
        copies,
        "9 and 2.25",
        f"""Measured on 32 x 32 pixels: **{_one:g}** times and **{_two:g}** times. There are KH·KW = 9 rows for each channel, and one column for each *output* pixel. With
        stride 2 there are a quarter as many outputs. (ResNet's first layer, 7 x 7 with stride 2: {_seven:g} times.)""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    x (N, C, H, W) are N pictures of C channels; weight (O, C, KH, KW) holds for each of O output channels one kernel *per input
    channel*; y is (N, O, OH, OW):

    $$y_{n,o,oh,ow} \;=\; b_o + \sum_{c=0}^{C-1} \sum_{i=0}^{KH-1} \sum_{j=0}^{KW-1} w_{o,c,i,j} \; x_{n,\,c,\;oh \cdot s + i \cdot d - p,\;\; ow \cdot s + j \cdot d - p}$$

    with stride $s$, dilation $d$ and padding $p$; outside the picture $x$ is 0. Count the indices: $n, o, oh, ow$ say *which* output,
    $c, i, j$ are summed.

    **The output's size.** A window reaches over $d(K-1)+1$ pixels. The first begins at $-p$, the last must end before $H + p$, and they
    are $s$ apart:

    $$OH = \left\lfloor \frac{H + 2p - d(K-1) - 1}{s} \right\rfloor + 1 .$$

    **As a matrix product.** Put window $(oh, ow)$ into column $oh \cdot OW + ow$ of cols (C·KH·KW, OH·OW), and kernel $o$ into row $o$
    of a matrix $\mathsf W$ (O, C·KH·KW). Then for each picture $Y = \mathsf W\,\mathrm{cols}$: (O, C·KH·KW) times (C·KH·KW, OH·OW) is
    (O, OH·OW).

    **The cost** is the same in every way of writing it: one multiply-add for each (n, o, oh, ow, c, i, j), in total
    $N\,O\,OH\,OW\,C\,KH\,KW$.

    A mathematician calls this *cross-correlation*: a convolution would turn the kernel by 180°. For learned weights it makes no difference.
    In lesson 03 the turned kernel will come by itself.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    doubled = ask(
        "You double the channels in and out, and halve height and width (as ResNet does from stage to stage). The multiply-adds of a 3 x 3 layer",
        ["halve", "stay the same", "double", "become four times as many"],
    )
    doubled
    return (doubled,)


@app.cell(hide_code=True)
def _(doubled, np, reveal, tr):
    _rng = np.random.default_rng(0)
    _first, _second = (
        tr.layers.Conv2d(C, C, 3, pad=1, rng=_rng).multiply_adds((1, C, size, size)) for C, size in ((16, 32), (32, 16))
    )
    assert _first == _second == 16 * 16 * 9 * 32 * 32
    reveal(
        doubled,
        "stay the same",
        f"""16 channels of 32 x 32: {_first:,}; 32 channels of 16 x 16: {_second:,}. C·O is four times as large, OH·OW a quarter. The *numbers* in x halve, though, and the
        weights become four times as many. That is the design rule of He et al. 2016, section 3.3.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The code

    Three tabs, one result. *Six loops* is the definition (the seventh, over n, is the batch); `products` yields the indices. *im2col*
    makes the columns: look at
    `windows`, which copies nothing. *One product* is what the library's layer calls.
    """)
    return


@app.cell(hide_code=True)
def _(conv, conv_loops, im2col, inspect, mo, windows):
    def _shown(*functions):
        source = "\n\n".join(inspect.getsource(function) for function in functions)
        return mo.md(f"```python\n{source}```")

    mo.ui.tabs(
        {
            "six loops": _shown(conv_loops.conv2d_forward_loops, conv_loops.products),
            "im2col": _shown(windows, im2col),
            "one product": _shown(conv.correlate, conv.conv2d_forward),
        }
    )
    return


@app.cell(hide_code=True)
def _(conv, conv_loops, im2col, mo, np, use, windows):
    _rng = np.random.default_rng(0)
    _x = _rng.integers(-3, 4, (2, 3, 7, 6)).astype(float)
    _weight = _rng.integers(-2, 3, (4, 3, 3, 2)).astype(float)
    _settings = {"stride": (2, 1), "pad": (1, 0), "dilation": (1, 2)}
    _loops = conv_loops.conv2d_forward_loops(_x, _weight, **_settings)[0]
    with use("reference"):
        _product = conv.correlate(_x, _weight, (2, 1), (1, 0), (1, 2), 1)
    assert np.array_equal(_loops, _product)

    _view = windows(_x, (3, 3), (1, 1), (1, 1))
    _cols = im2col.reference(_x, (3, 3))
    assert np.shares_memory(_view, _x)
    assert not np.shares_memory(_cols, _x)
    mo.md(f"""
    On two pictures of whole numbers, with stride (2, 1), pad (1, 0) and dilation (1, 2), the loops and the product agree in all
    {_loops.size} numbers, exactly.

    `windows` gives an array of shape {_view.shape}, which *looks* like {_view.nbytes:,} bytes. It is x's own memory ({_x.nbytes:,} bytes), read with other strides.
    The copy is made by the `reshape` in im2col, because a matrix product wants its numbers in rows: {_cols.nbytes:,} bytes.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### What each way costs

    All ways do the same multiply-adds. They differ in what happens *around* each of them. Choose a layer; the times are taken now, on
    your machine. To be fair, all ways run on one core and in turn, several rounds, so that a busy moment meets them alike; the table
    shows the best round: a busy machine only ever adds time.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    faster = ask(
        "4 channels in and out, 8 x 8 pixels, 3 x 3. How many times faster is im2col and one product than six Python loops?",
        ["about as fast", "about 10 times", "about 100 times or more"],
    )
    faster
    return (faster,)


@app.cell(hide_code=True)
def _(conv, conv_loops, im2col, in_turn, median_ratio, np, use, using_blas_threads):
    def ways(C, size, *, loops=True):
        """Seconds of each way for one picture: C channels in and out, size x size pixels, 3 x 3, pad 1, float32."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((1, C, size, size)).astype(np.float32)
        weight = rng.standard_normal((C, C, 3, 3)).astype(np.float32)
        cols = im2col.reference(x, (3, 3), pad=(1, 1))
        rows = weight.reshape(C, C * 9)
        functions = {
            "im2col alone": lambda: im2col.reference(x, (3, 3), pad=(1, 1)),
            "the product alone": lambda: rows @ cols,
            "im2col and product": lambda: conv.correlate(x, weight, (1, 1), (1, 1), (1, 1), 1),
        }
        if loops:
            functions = {"six loops": lambda: conv_loops.conv2d_forward_loops(x, weight, pad=1)} | functions
        with use("reference"), using_blas_threads(1):  # the forms that the tabs show, and one core for each way
            return in_turn(functions, repeat=5, seconds=0.5)

    small = ways(4, 8)
    ratio = median_ratio(small["six loops"], small["im2col and product"])
    assert ratio > 50  # hundreds, if the machine has nothing else to do
    loop_seconds = min(small["six loops"]) / (4 * 4 * 9 * 8 * 8)  # for one multiply-add
    return loop_seconds, ratio, ways


@app.cell(hide_code=True)
def _(faster, ratio, reveal):
    reveal(
        faster,
        "about 100 times or more",
        f"""Measured just now: **{ratio:,.0f} times**. A Python loop spends its time on indices and on number objects; the multiply-add itself is lost in it. The product
        runs in a compiled matrix multiplication that knows the registers and caches of your machine, and im2col is what brings the numbers into its form.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    layer = mo.ui.dropdown(
        {
            "4 channels, 8 x 8": (4, 8),
            "16 channels, 32 x 32 (ResNet-20, stage 1)": (16, 32),
            "32 channels, 16 x 16 (stage 2)": (32, 16),
            "64 channels, 8 x 8 (stage 3)": (64, 8),
            "64 channels, 56 x 56 (ResNet-50)": (64, 56),
        },
        value="4 channels, 8 x 8",
        label="layer",
    )
    layer
    return (layer,)


@app.cell(hide_code=True)
def _(layer, loop_seconds, mo, ways):
    _C, _size = layer.value
    _products = _C * _C * 9 * _size * _size
    _few = _products < 10_000  # more would be no pleasure to wait for
    _times = {way: min(seconds) for way, seconds in ways(_C, _size, loops=_few).items()}
    _x, _cols, _weights = (4 * count for count in (_C * _size * _size, 9 * _C * _size * _size, 9 * _C * _C))
    _bytes = {"six loops": 2 * _x + _weights, "im2col alone": _x + _cols, "the product alone": _cols + _weights + _x}
    _bytes["im2col and product"] = _bytes["im2col alone"] + _bytes["the product alone"]
    _rows = "\n".join(
        f"| {way} | {1e6 * seconds:,.0f} | {1e9 * seconds / _products:,.2f} | {_bytes[way] / 1024:,.0f} |"
        for way, seconds in _times.items()
    )
    _guess = (
        "" if _few else f"\n\nSix loops would take about {_products * loop_seconds:,.1f} seconds; they were left out."
    )
    mo.md(f"""
{_products:,} multiply-adds; x is {_x / 1024:,.0f} KiB, cols {_cols / 1024:,.0f} KiB, the weights {_weights / 1024:,.0f} KiB.

| way | microseconds | nanoseconds per multiply-add | KiB read and written, at least |
|:--|--:|--:|--:|
{_rows}{_guess}

Go from the first layer to the last. What happens to the *share* of im2col? Its cost grows with C; the product's grows with C·O. With few channels
the copying dominates. Lesson 09 gets rid of it: it makes the columns piece by piece, in cache, and never stores them.
""")
    return


@app.cell(hide_code=True)
def _(im2col, mo, np):
    _N = 128
    _layers = [
        ("ResNet-20, stage 1: 16 channels, 32 x 32, 3 x 3", 16, 32, 3, 1, 1),
        ("ResNet-20, into stage 2: 16 channels, 32 x 32, 3 x 3, stride 2", 16, 32, 3, 2, 1),
        ("ResNet-20, shortcut B: 16 channels, 32 x 32, 1 x 1, stride 2", 16, 32, 1, 2, 0),
        ("ResNet-50, first layer: 3 channels, 224 x 224, 7 x 7, stride 2", 3, 224, 7, 2, 3),
        ("ResNet-50, stage 1: 64 channels, 56 x 56, 3 x 3", 64, 56, 3, 1, 1),
    ]

    def _row(name, C, size, kernel, stride, pad):
        one = im2col.reference(np.zeros((1, C, size, size), np.float32), (kernel, kernel), (stride, stride), (pad, pad))
        x, cols = _N * C * size * size * 4, _N * one.nbytes
        return f"| {name} | {x / 2**20:,.0f} | {cols / 2**20:,.0f} | {cols / x:g} |"

    _rows = "\n".join(_row(*layer) for layer in _layers)
    mo.md(f"""
**Columns of a whole batch**, {_N} pictures in float32:

| layer | x, MiB | cols, MiB | times |
|:--|--:|--:|--:|
{_rows}

This is why the layer's cache keeps x and not cols: backward needs the columns again, and it is cheaper to make them twice than to keep
them for every layer.
""")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### Where the windows fall

    One axis is enough: height and width do not know of each other. Each row below is one window; its filled cells are the pixels that
    it reads. Pale pixels are padding, and orange ones are read by no window. Before you move anything: **with 8 pixels, kernel 3,
    stride 2, pad 1, how many windows are there, and is a pixel left out?**
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    size, kernel, stride, pad, dilation = sliders = [
        mo.ui.slider(4, 14, value=8, label="H", show_value=True),
        mo.ui.slider(1, 5, value=3, label="kernel", show_value=True),
        mo.ui.slider(1, 4, value=1, label="stride", show_value=True),
        mo.ui.slider(0, 3, value=0, label="pad", show_value=True),
        mo.ui.slider(1, 4, value=1, label="dilation", show_value=True),
    ]
    mo.hstack(sliders, justify="start", gap=1, wrap=True)
    return dilation, kernel, pad, size, stride


@app.cell(hide_code=True)
def _(
    BLUE,
    GREY,
    ORANGE,
    convolve,
    dilation,
    grid,
    kernel,
    mo,
    np,
    output_size,
    pad,
    show,
    size,
    sketch,
    stride,
    tr,
    words,
):
    def taps(H, K, s, p, d):
        """The pixels that each window reads, counted in the padded row: by trying, without the formula."""
        starts = range(0, H + 2 * p, s)
        return [[start + i * d for i in range(K)] for start in starts if start + (K - 1) * d < H + 2 * p]

    for _H in range(4, 15):
        for _K, _s, _p, _d in np.ndindex(5, 4, 4, 4):
            _tried = len(taps(_H, _K + 1, _s + 1, _p, _d + 1))
            assert _tried == max(0, output_size(_H, _K + 1, _s + 1, _p, _d + 1))

    _H, _K, _s, _p, _d = (slider.value for slider in (size, kernel, stride, pad, dilation))
    _windows = taps(_H, _K, _s, _p, _d)
    _seen = {tap for window in _windows for tap in window}
    _names = ["0"] * _p + [str(i) for i in range(_H)] + ["0"] * _p
    _unseen = [i for i in range(_p, _p + _H) if i not in _seen]
    _padding = {(0, i) for i in range(_H + 2 * _p) if not _p <= i < _p + _H}
    _cell = 26
    _parts = [
        words("pixel", (0, 29)),
        grid([_names], (84, 12), cell=_cell, faint=_padding, marks={(0, i): ORANGE for i in _unseen}),
    ]
    for _row, _window in enumerate(_windows):
        _marks = {(0, tap): GREY if (0, tap) in _padding else BLUE for tap in _window}
        _at = (84, 50 + _row * _cell)
        _parts += [
            words(f"window {_row}", (0, _at[1] + 18)),
            grid([[""] * (_H + 2 * _p)], _at, cell=_cell, marks=_marks),
        ]
    try:
        convolve(np.zeros((_H, _H)), np.zeros((_K, _K)), stride=_s, pad=_p, dilation=_d)
        _said = f"""OH = ⌊({_H} + 2·{_p} − {_d}·({_K} − 1) − 1) / {_s}⌋ + 1 = ⌊{_H + 2 * _p - _d * (_K - 1) - 1} / {_s}⌋ + 1 = **{len(_windows)}**.
        Pixels that no window reads: {", ".join(str(i - _p) for i in _unseen) or "none"}."""
    except tr.InputError as error:
        _said = f"The library says: *{error}*"
    mo.vstack(
        [
            show(
                sketch(max(420, 100 + len(_names) * _cell), 60 + max(1, len(_windows)) * _cell, *_parts),
                alt=f"A row of {_H} pixels with {_p} zeros on both sides, and {len(_windows)} windows of {_K} pixels, {_s} apart, with dilation {_d}.",
            ),
            mo.md(_said),
        ]
    )
    return (taps,)


@app.cell(hide_code=True)
def _(ask):
    lost = ask(
        "A 1 x 1 convolution with stride 2 (as in ResNet's shortcut B) reads a 32 x 32 picture. How many of its pixels does it read?",
        ["all", "half", "a quarter"],
    )
    lost
    return (lost,)


@app.cell(hide_code=True)
def _(lost, mo, output_size, reveal, taps):
    _read = len({tap for window in taps(32, 1, 2, 0, 1) for tap in window})
    assert _read == 16
    _cases = [
        ("3 x 3, stride 1, pad 1: keeps the size", (32, 3, 1, 1, 1)),
        ("3 x 3, stride 2, pad 1: halves an even size", (32, 3, 2, 1, 1)),
        ("1 x 1, stride 2: halves it too", (32, 1, 2, 0, 1)),
        ("7 x 7, stride 2, pad 3: ResNet-50's first layer", (224, 7, 2, 3, 1)),
        ("3 x 3, dilation 2, pad 2: keeps the size, sees 5 pixels wide", (32, 3, 1, 2, 2)),
        ("3 x 3, stride 2, pad 1, of an odd size", (7, 3, 2, 1, 1)),
    ]
    _rows = "\n".join(f"| {name} | {case[0]} | {output_size(*case)} |" for name, case in _cases)
    mo.vstack(
        [
            reveal(
                lost,
                "a quarter",
                f"""On one axis it reads {_read} of 32, so {_read**2} of {32**2} pixels: **{_read**2 / 32**2:.0%}**. The others reach the next stage through the
                branch's 3 x 3 kernel only. In lesson 03 you will see the same fact from the pixel's side: these pixels get no gradient.""",
            ),
            mo.md(f"""
The windows that residual networks use:

| window | H | OH |
|:--|--:|--:|
{_rows}

The formula was compared with plain counting for all settings of the sliders above (the cell would fail if one differed).
"""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### A kernel by hand

    What a kernel finds, you see best on a picture. This one is 24 x 24, a bright square and a slope from left to right. Predict which
    kernel answers to what, then choose.
    """)
    return


@app.cell(hide_code=True)
def _(mo, np):
    kernels = {
        "left minus right": np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], float) / 8,
        "above minus below": np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], float) / 8,
        "mean of nine": np.ones((3, 3)) / 9,
        "pixel minus its surroundings": (np.eye(9)[4].reshape(3, 3) * 9 - 1) / 9,
        "the pixel to the left": np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]], float),
    }
    chosen = mo.ui.dropdown(list(kernels), value="left minus right", label="kernel")
    chosen
    return chosen, kernels


@app.cell(hide_code=True)
def _(chosen, convolve, kernels, mo, np, show):
    from matplotlib.figure import Figure as _Figure

    from tinyresnet.course.figures import style as _style

    _x = np.tile(np.linspace(0, 1, 24), (24, 1))
    _x[7:16, 8:17] = 2
    _y = convolve(_x, kernels[chosen.value])
    _flat = convolve(np.ones((5, 5)), kernels["left minus right"])
    assert not _flat.any()
    with _style():
        _figure = _Figure(figsize=(6.4, 2.6), layout="constrained")
        _left, _right = _figure.subplots(1, 2)
        for _axes, _values, _title in ((_left, _x, "x (24, 24)"), (_right, _y, f"y {_y.shape}")):
            _figure.colorbar(_axes.imshow(_values), ax=_axes)
            _axes.set(title=_title, xticks=[], yticks=[])
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Left: a slope from dark to bright with a bright square. Right: its convolution with the kernel '{chosen.value}', from {_y.min():.2f} to {_y.max():.2f}.",
            ),
            mo.md(
                "A kernel whose weights sum to 0 is blind to brightness: on a flat picture it gives 0 everywhere. No padding here, so y is 22 x 22. "
                "In a network nobody chooses kernels; lesson 03 says how they are learned."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 02
    tinyresnet lesson check conv_forward.py
    ```

    In `conv_forward.py` you write a convolution by loops, then `im2col`, then the convolution as one product of columns. You get gaps to fill
    (rung b); `--rung a` asks for numbers only (use the picture above), `--rung c` leaves nothing but the signatures. `check` compares shapes and
    numbers, for strides and paddings that you did not choose.

    On paper: (1) Which rows of cols belong to channel 1, for C = 2 and a 3 x 3 kernel? (2) x is 5 x 5, kernel 3, stride 2, pad 0: how
    many columns, and which pixels occur in more than one? (3) A 1 x 1 convolution with stride 1: what does im2col do?

    ## What to read

    - Dumoulin, Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285) (2016): section 2,
      relationships 1 to 6, is our formula case by case, with drawings; section 5.1 has dilation.
    - Goodfellow, Bengio, Courville, [Deep Learning](https://www.deeplearningbook.org/contents/convnets.html): section 9.1, equation 9.6
      is cross-correlation; equation 9.8 adds the stride.
    - Chellapilla, Puri, Simard, [High performance convolutional neural networks for document
      processing](https://inria.hal.science/inria-00112631) (2006): an early paper that unrolls windows into a matrix; the idea that was
      later named im2col.
    - Chetlur et al., [cuDNN: efficient primitives for deep learning](https://arxiv.org/abs/1410.0759) (2014), section 3: the same
      product without ever storing the columns.
    - He et al., [Deep residual learning](https://arxiv.org/abs/1512.03385) (2016), section 3.3: same cost in every stage.
    - In this project: `tinyresnet/layers/conv_loops.py`, `tinyresnet/layers/conv.py`, `kernels/tinyresnet_kernels/im2col.py`.
    """)
    return


if __name__ == "__main__":
    app.run()
