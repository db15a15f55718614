"""Batch norm

50 minutes. Needs lesson 01.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="04 Batch norm")


@app.cell(hide_code=True)
def _():
    import inspect
    import textwrap

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.course.sketch import arrow, box, number, sketch, words
    from tinyresnet.layers import BatchNorm2d, Chain, Conv2d, Flatten, Linear, ReLU, norm
    from tinyresnet_kernels import use

    return (
        BLUE,
        BatchNorm2d,
        Chain,
        Conv2d,
        Figure,
        Flatten,
        GREEN,
        GREY,
        Linear,
        ORANGE,
        PURPLE,
        ReLU,
        arrow,
        ask,
        box,
        inspect,
        mo,
        norm,
        np,
        number,
        reveal,
        show,
        sketch,
        style,
        textwrap,
        tr,
        use,
        words,
    )


@app.cell(hide_code=True)
def _(inspect, mo, textwrap):
    def code(*functions):
        """The text of functions, as it runs."""
        source = "\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions)
        return mo.md(f"```python\n{source}\n```")

    mo.md(r"""
    # 04 · Batch norm

    A convolution, a ReLU, a pooling: what they make of one picture does not depend on the pictures beside it. Batch norm is different. It takes a mean and a
    variance over the *whole batch*. In the forward pass this is one short line. In the backward pass it makes two more ways back, and both are easily forgotten.

    Take 4 pictures of 2 channels and 2 x 2 pixels: 32 numbers go in, 32 come out. You move one number, `x[0, 0, 0, 0]`, by 1.
    """)
    return (code,)


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "In training, how many of the 32 outputs move?",
        ["1: its own", "4: its picture's channel", "16: its channel in all pictures", "32: all"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(norm, np, opening, reveal, use):
    def batch():
        """x (N, C, H, W) = (4, 2, 2, 2), each channel with a mean and a spread of its own."""
        rng = np.random.default_rng(4)
        return rng.standard_normal((4, 2, 2, 2)) * [[[1.5]], [[0.8]]] + [[[1.0]], [[-1.0]]]

    def two_outputs(by, train):
        """y before and after x[0, 0, 0, 0] moved; in evaluation with running statistics that are the batch's."""
        x, moved, parts = batch(), batch(), (np.ones(2), np.zeros(2))
        moved[0, 0, 0, 0] += by
        running = None if train else norm.moments(x)
        return tuple(norm.batch_norm_forward(array, *parts, running=running)[0] for array in (x, moved))

    with use("reference"):
        _before, _after = two_outputs(1, train=True)
        _still, _alone = two_outputs(1, train=False)
    moving = int((_before != _after).sum())
    assert moving == 16
    assert np.array_equal(_before[:, 1], _after[:, 1])
    assert (_still != _alone).sum() == 1
    reveal(
        opening,
        "16: its channel in all pictures",
        f"""Counted: **{moving}** outputs move, all those of its channel, in every picture; the other channel stands still. In *evaluation* the statistics are constants, and
        only {(_still != _alone).sum()} output moves. And in training the {moving} moves sum to {abs((_after - _before).sum()):.0e}: what one output wins, the others lose.""",
    )
    return (two_outputs,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Take batch norm of five numbers forward and back, on paper.
    - Derive its gradient in small steps, and say what comes back through the mean, and what through the variance.
    - Say what training and evaluation compute, where the running statistics come from, and what breaks when the batch is small.
    - Say which mistakes an upstream of ones cannot see in this layer, and why.

    ## The idea in a picture

    Move one number of channel 0, and look at all outputs. Switch to evaluation, and do it again.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    by = mo.ui.slider(-12, 12, step=0.5, value=6, label="move x[0, 0, 0, 0] by", show_value=True, debounce=False)
    mode = mo.ui.dropdown({"training": True, "evaluation": False}, value="training", label="mode")
    mo.hstack([by, mode], justify="start", gap=2, wrap=True)
    return by, mode


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREY,
    ORANGE,
    by,
    mo,
    mode,
    np,
    number,
    show,
    style,
    two_outputs,
    use,
):
    with use("reference"):
        _before, _after = two_outputs(by.value, mode.value)
    with style():
        _figure = Figure(figsize=(7.4, 3), layout="constrained")
        _panels = _figure.subplots(1, 2, sharey=True)
        for _channel, _panel in enumerate(_panels):
            _from, _to = _before[:, _channel].ravel(), _after[:, _channel].ravel()
            _panel.vlines(range(16), _from, _to, color=GREY, linewidth=2)
            _panel.plot(_from, "o", color=GREY, markerfacecolor="none", label="y before")
            _panel.plot(_to, "o", color=(BLUE, ORANGE)[_channel], markersize=5, label="y after")
            _panel.set(
                title=f"channel {_channel}",
                xlabel="picture",
                xticks=[1.5, 5.5, 9.5, 13.5],
                xticklabels=range(4),
                ylim=(-4.2, 4.2),
            )
            _panel.legend(loc="lower right", fontsize=9)
    mo.vstack(
        [
            show(
                _figure,
                alt=f"The 16 outputs of each channel before and after one input of channel 0 moved by {by.value:g}, in {'training' if mode.value else 'evaluation'}. "
                f"{(_before != _after)[:, 0].sum()} outputs of channel 0 move, none of channel 1.",
            ),
            mo.md(f"""{(_before != _after).sum()} outputs moved; their moves sum to {number(float(np.round((_after - _before).sum(), 12)) + 0.0)}. In training, move it far: the
            number that you pull takes the whole spread for itself, and the fifteen others are pressed together."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Why? Because $x$ reaches $y$ by **three ways**. Here is one channel with five numbers (think of five pictures of one pixel), chosen so that a pencil can follow: their mean is 4, their
    standard deviation is 2. The weight is 4 and the bias is 1; for the paper we leave $\epsilon$ out.
    """)
    return


@app.cell(hide_code=True)
def _(np):
    X, DY = np.array([1.0, 3, 4, 5, 7]), np.array([0.0, 0, 2, 2, 1])
    WEIGHT, BIAS = 4.0, 1.0

    def forward_in_steps(x, weight, bias):
        mean = x.mean()
        centred = x - mean
        var = (centred * centred).mean()
        std = np.sqrt(var)
        return weight * (centred / std) + bias, (mean, centred, var, std)

    Y, (MEAN, CENTRED, VAR, STD) = forward_in_steps(X, WEIGHT, BIAS)
    XHAT = CENTRED / STD
    assert (MEAN, VAR, STD) == (4, 4, 2)
    assert Y.tolist() == [-5, -1, 1, 3, 7]
    return (
        BIAS,
        CENTRED,
        DY,
        MEAN,
        STD,
        VAR,
        WEIGHT,
        X,
        XHAT,
        Y,
        forward_in_steps,
    )


@app.cell(hide_code=True)
def _(
    BLUE,
    CENTRED,
    GREEN,
    MEAN,
    ORANGE,
    STD,
    VAR,
    X,
    XHAT,
    Y,
    arrow,
    box,
    np,
    number,
    show,
    sketch,
    words,
):
    def row(values):
        """(1, 3, 4): numbers as a line of a sketch."""
        return (
            f"({', '.join(number(float(v) + 0.0) for v in np.ravel(values))})"
            if np.size(values) > 1
            else number(float(values))
        )

    def ways(below, colours):
        """The three ways from x to y; below: box -> what is written under it; colours: way -> its colour."""
        at = {
            "x": (60, 110),
            "mean": (190, 45),
            "centred": (325, 110),
            "var": (455, 180),
            "std": (590, 180),
            "xhat": (660, 110),
            "y": (800, 110),
        }
        lines = [
            ("mean", (84, 92), (155, 57)),
            ("mean", (225, 57), (286, 92)),
            ("direct", (92, 110), (281, 110)),
            ("variance", (352, 128), (416, 168)),
            ("variance", (487, 180), (555, 180)),
            ("variance", (608, 162), (638, 129)),
            ("direct", (369, 110), (623, 110)),
            ("out", (697, 110), (767, 110)),
        ]
        parts = [box(name, middle, width=88 if name == "centred" else 66) for name, middle in at.items()]
        parts += [arrow(start, end, colour=colours.get(way, "currentColor")) for way, start, end in lines]
        for name, (text, colour) in below.items():
            parts.append(
                words(
                    text,
                    (
                        at[name][0] + (6 if name == "centred" else 0),
                        at[name][1] + (-24 if name in ("mean", "centred", "xhat") else 34),
                    ),
                    colour=colour,
                    anchor="start" if name == "centred" else "middle",
                    size=13,
                )
            )
        return sketch(860, 232, *parts)

    _text = {
        name: (row(v), "currentColor")
        for name, v in (
            ("x", X),
            ("mean", MEAN),
            ("centred", CENTRED),
            ("var", VAR),
            ("std", STD),
            ("xhat", XHAT),
            ("y", Y),
        )
    }
    show(
        ways(_text, {"direct": BLUE, "mean": ORANGE, "variance": GREEN}),
        alt="Batch norm as a graph with numbers. x = (1, 3, 4, 5, 7) goes to centred directly, and through its mean 4. centred = (−3, −1, 0, 1, 3) goes to xhat "
        "directly, and through the variance 4 and the deviation 2. xhat = (−1.5, −0.5, 0, 0.5, 1.5), and y = 4 xhat + 1 = (−5, −1, 1, 3, 7).",
    )
    return row, ways


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Blue is the **direct way**, orange the way by the **mean**, green the way by the **variance**. There are two forks, at x and at centred. From lesson 01 you know what forks do on the way back: they
    **sum**. So $dx$ will be a sum of three terms.

    ## The maths, with the shapes

    $x$ has shape (N, C, H, W). Each channel is normalised alone, over its $M = N \cdot H \cdot W$ numbers:

    $$\mu = \tfrac1M \sum x, \qquad \sigma^2 = \tfrac1M \sum (x - \mu)^2, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad y = \gamma \hat x + \beta$$

    | | shape |
    |---|---|
    | x, xhat, y, dy, dx | (N, C, H, W) |
    | mean, var | (C,): one for each channel |
    | weight $\gamma$, bias $\beta$, dweight, dbias | (C,) |

    ### Forward: five lines
    """)
    return


@app.cell(hide_code=True)
def _(code, forward_in_steps):
    code(forward_in_steps)
    return


@app.cell(hide_code=True)
def _(DY, mo, row):
    mo.md(f"""
    Now back, line by line, the last line first. Each step is short; each uses only the two rules of lesson 01: multiply along a way, sum where ways meet. The upstream is
    `dy` = {row(DY)}.

    ### Back, step 1: weight and bias

    $y_i = \\gamma \\hat x_i + \\beta$, and $\\gamma$ and $\\beta$ are used $M$ times, so their gradients are sums.
    """)
    return


@app.cell(hide_code=True)
def _(DY, WEIGHT, XHAT, code):
    def step_1(dy, weight, xhat):
        dweight = (dy * xhat).sum()
        dbias = dy.sum()
        return weight * dy, dweight, dbias

    DXHAT, DWEIGHT, DBIAS = step_1(DY, WEIGHT, XHAT)
    assert (DWEIGHT, DBIAS) == (2.5, 5)
    code(step_1)
    return DBIAS, DWEIGHT, DXHAT, step_1


@app.cell(hide_code=True)
def _(DBIAS, DWEIGHT, DXHAT, mo, row):
    mo.md(f"""
    dweight = **{DWEIGHT:g}**, dbias = **{DBIAS:g}**, and dxhat = **{row(DXHAT)}** goes on.

    ### Step 2: the division

    $\\hat x_i = c_i / s$, with $c$ for `centred` and $s$ for `std`. In $c_i$ the factor is $1/s$. In $s$ the slope of $c_i / s$ is $-c_i / s^2$, and *all* $\\hat x_i$ use the same $s$: a sum.
    """)
    return


@app.cell(hide_code=True)
def _(CENTRED, DXHAT, STD, code):
    def step_2(dxhat, centred, std):
        direct = dxhat / std
        dstd = -(dxhat * centred).sum() / std**2
        return direct, dstd

    DIRECT, DSTD = step_2(DXHAT, CENTRED, STD)
    assert DSTD == -5
    code(step_2)
    return DIRECT, DSTD, step_2


@app.cell(hide_code=True)
def _(DIRECT, DSTD, mo, number, row):
    mo.md(f"""
    The direct way carries **{row(DIRECT)}**. The deviation gets **dstd = {number(DSTD)}**: one number. It is negative: here a larger deviation would make the loss smaller.

    ### Step 3: back through the variance

    $s = \\sqrt v$ has slope $1 / 2s$. And $v = \\frac1M \\sum c_i^2$, so each $c_i$ has its share $2 c_i / M$.
    """)
    return


@app.cell(hide_code=True)
def _(
    CENTRED,
    DSTD,
    DXHAT,
    GREEN,
    STD,
    XHAT,
    code,
    mo,
    number,
    row,
    show,
    ways,
):
    def step_3(dstd, centred, std):
        dvar = dstd / (2 * std)
        return dvar * 2 * centred / centred.size

    BY_VARIANCE = step_3(DSTD, CENTRED, STD)
    assert BY_VARIANCE.tolist() == [1.5, 0.5, 0, -0.5, -1.5]
    assert BY_VARIANCE.sum() == 0
    mo.vstack(
        [
            code(step_3),
            show(
                ways(
                    {
                        "xhat": (f"dxhat {row(DXHAT)}", GREEN),
                        "std": (f"dstd {number(DSTD)}", GREEN),
                        "var": (f"dvar {number(DSTD / 2 / STD)}", GREEN),
                        "centred": (row(BY_VARIANCE), GREEN),
                    },
                    {"variance": GREEN},
                ),
                alt=f"The way back by the variance: dxhat {row(DXHAT)}, dstd −5, dvar −1.25, and the shares {row(BY_VARIANCE)}, which are in proportion to centred.",
            ),
            mo.md(f"""(Read the coloured way against its arrows: gradients flow back.) The variance gives back **{row(BY_VARIANCE)}**. Look at its form: it is {number(BY_VARIANCE[-1] / XHAT[-1])} times xhat. **By the variance, each number gets in proportion to its own xhat**:
            those far from the mean get most, because they are most of the variance. The shares sum to {number(BY_VARIANCE.sum())}."""),
        ]
    )
    return BY_VARIANCE, step_3


@app.cell(hide_code=True)
def _(ask):
    by_mean_asked = ask(
        "Step 4, before you read it: centred = x − mean, and the mean is used five times. What does each x get back *through the mean*?",
        [
            "all the same: minus the mean of what reached centred",
            "all the same: minus the sum of what reached centred",
            "in proportion to x",
            "nothing: a mean is a constant",
        ],
    )
    by_mean_asked
    return (by_mean_asked,)


@app.cell(hide_code=True)
def _(BY_VARIANCE, DIRECT, by_mean_asked, np, number, reveal, row):
    def step_4(dcentred):
        dmean = -dcentred.sum()
        return np.full_like(dcentred, dmean / dcentred.size)

    BY_MEAN = step_4(DIRECT + BY_VARIANCE)
    assert BY_MEAN.tolist() == [-2] * 5
    assert np.array_equal(BY_MEAN, step_4(DIRECT))
    reveal(
        by_mean_asked,
        "all the same: minus the mean of what reached centred",
        f"""`centred` got {row(DIRECT)} by the direct way and {row(BY_VARIANCE)} by the variance. Each enters the mean with a minus: dmean = {number(-(DIRECT + BY_VARIANCE).sum())}. The mean is $\\frac15$ of each x,
        so each gets {number(BY_MEAN[0])}. (What came by the variance sums to 0, so it adds nothing here. In other words: moving all numbers together leaves the variance as it is.)""",
    )
    return BY_MEAN, step_4


@app.cell(hide_code=True)
def _(
    BY_MEAN,
    BY_VARIANCE,
    DIRECT,
    ORANGE,
    code,
    mo,
    number,
    row,
    show,
    step_4,
    ways,
):
    mo.vstack(
        [
            mo.md("### Step 4: back through the mean"),
            code(step_4),
            show(
                ways(
                    {
                        "centred": (f"{row(DIRECT)} + {row(BY_VARIANCE)}", ORANGE),
                        "mean": (f"dmean {number(-DIRECT.sum())}", ORANGE),
                        "x": (row(BY_MEAN), ORANGE),
                    },
                    {"mean": ORANGE},
                ),
                alt=f"The way back by the mean: what reached centred sums to 10, so dmean is −10, and each x gets {number(BY_MEAN[0])}.",
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Step 5: the sum, and is it true?

    Add the three. Then check in two ways. First against the library. Second by *measuring each way alone*: we give the forward pass **three copies of x**, one for each way, and move
    a number in one copy only, by ±0.0001.
    """)
    return


@app.cell(hide_code=True)
def _(
    BIAS,
    BY_MEAN,
    BY_VARIANCE,
    DBIAS,
    DIRECT,
    DWEIGHT,
    DY,
    WEIGHT,
    X,
    mo,
    norm,
    np,
    row,
    use,
):
    def loss_of_three(direct, in_mean, in_var):
        """sum(dy * y) where each way has a copy of x of its own."""
        xhat = (direct - in_mean.mean()) / np.sqrt(in_var.var())
        return (DY * (WEIGHT * xhat + BIAS)).sum()

    def measured(way, h=1e-4):
        """Slopes (5,) of the loss where x moves in the copies of these ways alone."""
        slopes = []
        for i in range(5):
            ends = [[X + sign * h * np.eye(5)[i] if copy in way else X for copy in range(3)] for sign in (1, -1)]
            slopes.append((loss_of_three(*ends[0]) - loss_of_three(*ends[1])) / (2 * h))
        return np.array(slopes)

    DX = DIRECT + BY_MEAN + BY_VARIANCE
    _cube = [a.reshape(5, 1, 1, 1) for a in (X, DY)]
    with use("reference"):
        _, _cache = norm.batch_norm_forward(_cube[0], np.array([WEIGHT]), np.array([BIAS]), eps=0.0)
        _library = norm.batch_norm_backward(_cube[1], _cache)
    _rows = {
        "direct": (DIRECT, measured([0])),
        "by the mean": (BY_MEAN, measured([1])),
        "by the variance": (BY_VARIANCE, measured([2])),
        "**dx, the sum**": (DX, measured([0, 1, 2])),
    }
    for _name, (_paper, _slopes) in _rows.items():
        assert np.allclose(_paper, _slopes, atol=1e-6), _name
    assert np.allclose(_library[0].ravel(), DX, atol=1e-12)
    assert (_library[1].item(), _library[2].item()) == (DWEIGHT, DBIAS)
    _lines = ["| way | on paper | measured |", "|:--|:--|:--|"]
    _lines += [f"| {name} | {row(paper)} | {row(np.round(slopes, 5))} |" for name, (paper, slopes) in _rows.items()]
    _lines += [f"| **dx, the library's** | {row(np.round(_library[0], 12))} | |"]
    _off = max(np.abs(paper - slopes).max() for paper, slopes in _rows.values())
    _text = f"All agree: with the measured slopes to {_off:.0e}, and with `batch_norm_backward` to {np.abs(_library[0].ravel() - DX).max():.0e}."
    mo.md("\n".join([*_lines, "", _text]))
    return (DX,)


@app.cell(hide_code=True)
def _(
    BLUE,
    BY_MEAN,
    BY_VARIANCE,
    DIRECT,
    DX,
    Figure,
    GREEN,
    ORANGE,
    PURPLE,
    np,
    row,
    show,
    style,
):
    def bars(parts, title=None):
        """The three terms and their sum, side by side, each (5,)."""
        with style():
            figure = Figure(figsize=(7.6, 2.5), layout="constrained")
            low, high = min(np.min(v) for v in parts.values()), max(np.max(v) for v in parts.values())
            for panel, (name, values), colour in zip(
                figure.subplots(1, 4, sharey=True), parts.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=True
            ):
                panel.bar(range(5), values, color=colour)
                panel.axhline(0, color="#7A7A7B", linewidth=0.8)
                panel.set(title=name, xticks=range(5), ylim=(min(low, -0.5) * 1.12, max(high, 0.5) * 1.12))
                panel.title.set_fontsize(11)
        return show(
            figure,
            alt="Bars of the terms of dx for five numbers. "
            + "; ".join(f"{name}: {row(np.round(v, 3) + 0.0)}" for name, v in parts.items()),
        )

    bars({"direct": DIRECT, "by the mean": BY_MEAN, "by the variance": BY_VARIANCE, "dx, the sum": DX})
    return (bars,)


@app.cell(hide_code=True)
def _(DX, DY, STD, WEIGHT, XHAT, mo, np):
    _short = WEIGHT / STD * (DY - DY.mean() - XHAT * (DY * XHAT).mean())
    assert np.allclose(_short, DX)
    assert abs(DX.sum()) < 1e-12
    assert abs((DX * XHAT).sum()) < 1e-12
    mo.md(f"""
    ### Gathered up

    Put the steps into each other, and you get one line (two means over the batch, and no `dstd`, `dvar`, `dmean` any more):

    $$dx = \\frac{{\\gamma}}{{\\sqrt{{\\sigma^2 + \\epsilon}}}} \\Big( \\underbrace{{dy}}_{{\\text{{direct}}}} - \\underbrace{{\\overline{{dy}}}}_{{\\text{{by the mean}}}} - \\underbrace{{\\hat x \\; \\overline{{dy\\, \\hat x}}}}_{{\\text{{by the variance}}}} \\Big)$$

    A bar is a mean over the channel's M numbers. Here: mean(dy) = {DY.mean():g} and mean(dy xhat) = {(DY * XHAT).mean():g}. Read it as a sentence: **batch norm takes away from dy whatever is constant, and whatever
    follows xhat.** So $dx$ always sums to {abs(DX.sum()):g}, and its product with xhat too sums to {abs((DX * XHAT).sum()):g}. No gradient can shift the whole channel or stretch it: the forward pass
    would undo that at once.

    ### Evaluation

    When the network is used, one picture's class must not depend on its neighbours. So `train=False` takes **running** statistics, which training collected:

    $$y = \\gamma\\, \\frac{{x - \\mu_{{run}}}}{{\\sqrt{{\\sigma^2_{{run}} + \\epsilon}}}} + \\beta, \\qquad dx = \\frac{{\\gamma}}{{\\sqrt{{\\sigma^2_{{run}} + \\epsilon}}}}\\, dy$$

    No x moves them: the orange and the green way are cut, and the direct term is all. The running statistics follow each training batch by a step of `momentum` = 0.1:
    $\\mu_{{run}} \\mathrel{{+}}= 0.1\\,(\\mu - \\mu_{{run}})$. The running *variance* follows $\\sigma^2 M / (M - 1)$, the unbiased one.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The code

    The library's own text. `batch_norm_backward` is the gathered line; find the three terms in `normalized_gradient`. Two details: the cache keeps x and not xhat (it is
    in memory anyway), and the running statistics move in the *layer*, not in the function.
    """)
    return


@app.cell(hide_code=True)
def _(code, mo, norm):
    mo.ui.tabs(
        {
            "forward": code(norm.batch_norm_forward, norm.moments),
            "backward": code(norm.batch_norm_backward, norm.normalized_gradient),
            "the layer": code(norm.BatchNorm2d),
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### Your own upstream

    Set the five numbers of `dy`. Can you find one that makes dx vanish altogether, other than zeros? There are two kinds.
    """)
    return


@app.cell(hide_code=True)
def _(DY, mo):
    upstream = mo.ui.array(
        [
            mo.ui.slider(-3, 3, step=0.5, value=float(v), label=f"dy[{i}]", show_value=True, debounce=False)
            for i, v in enumerate(DY)
        ]
    )
    mo.hstack(list(upstream.elements), justify="start", wrap=True)
    return (upstream,)


@app.cell(hide_code=True)
def _(
    CENTRED,
    STD,
    WEIGHT,
    XHAT,
    bars,
    mo,
    np,
    row,
    step_1,
    step_2,
    step_3,
    step_4,
    upstream,
):
    _dxhat, _, _ = step_1(np.array(upstream.value), WEIGHT, XHAT)
    _direct, _dstd = step_2(_dxhat, CENTRED, STD)
    _var = step_3(_dstd, CENTRED, STD)
    _mean = step_4(_direct + _var)
    for _null in (np.ones(5), XHAT, 2 - 3 * XHAT):
        assert np.allclose(WEIGHT / STD * (_null - _null.mean() - XHAT * (_null * XHAT).mean()), 0)
    mo.vstack(
        [
            bars(
                {
                    "direct": _direct,
                    "by the mean": _mean,
                    "by the variance": _var,
                    "dx, the sum": _direct + _mean + _var,
                }
            ),
            mo.accordion(
                {
                    "Upstreams that vanish": mo.md(
                        f"All equal, such as (1, 1, 1, 1, 1): the mean takes it. In proportion to xhat, such as {row(XHAT)}: the variance takes it. And every sum of the two."
                    )
                }
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### What an upstream of ones cannot see

    Many gradient checks take the loss $\sum y$, so `dy` is all ones. You want to know whether a batch norm's backward pass is right, and you write such a check.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    ones_asked = ask(
        "dy is all ones, in training. What is the true dx?",
        ["all ones", "weight / std everywhere", "0 everywhere", "it depends on x"],
    )
    ones_asked
    return (ones_asked,)


@app.cell(hide_code=True)
def _(BatchNorm2d, np, ones_asked, reveal, use):
    from tinyresnet.gradcheck.museum import MUSEUM

    def gradients(layer, x, dy):
        """dx, dweight and dbias by a backward pass in training."""
        layer.zero_grad()
        _, cache = layer.forward(x, train=True)
        return [layer.backward(dy.copy(), cache), layer.weight.grad.copy(), layer.bias.grad.copy()]

    def errors(bug, upstream_of):
        """The largest error of any gradient, for the upstream that this function makes of a shape."""
        rng = np.random.default_rng(0)
        wrong, x = bug.make(rng), bug.setting.inputs(rng)
        pair = zip(
            gradients(wrong, x, upstream_of(x.shape)),
            gradients(bug.setting.make(np.random.default_rng(0)), x, upstream_of(x.shape)),
            strict=True,
        )
        return max(float(np.abs(a - b).max()) for a, b in pair)

    rooms = [bug for bug in MUSEUM if bug.layer == "batch_norm" and bug.setting.train and bug.wrong]

    def random_upstream(shape):
        return np.random.default_rng(1).standard_normal(shape)

    with use("reference"):
        found = {bug.name: (bug, errors(bug, np.ones), errors(bug, random_upstream)) for bug in rooms}
        _x = np.random.default_rng(2).standard_normal((3, 4, 2, 5))
        _true = gradients(BatchNorm2d(4, dtype=np.float64), _x, np.ones(_x.shape))
    hidden = {name: row for name, row in found.items() if row[1] < 1e-9}
    assert np.abs(_true[0]).max() < 1e-12
    assert np.abs(_true[1]).max() < 1e-12
    assert min(random for _, _, random in found.values()) > 1e-9
    reveal(
        ones_asked,
        "0 everywhere",
        f"""Measured: the largest number of dx is {np.abs(_true[0]).max():.0e}. Whatever x is, the outputs of a channel sum to $M \\beta$: the loss $\\sum y$ **does not depend on x at all**. The weight's gradient, the sum
        of xhat, is 0 too. So a backward pass that returns zeros passes this check.""",
    )
    return found, hidden


@app.cell(hide_code=True)
def _(found, hidden, mo):
    _lines = ["| the mistake | ones | random |", "|:--|:--|:--|"]
    for _bug, _ones, _random in sorted(found.values(), key=lambda row: row[1]):
        _mistake = _bug.mistake.replace("|", "&#124;").replace("*", "&#42;")
        _lines.append(f"| {_mistake} | {'**unseen**' if _ones < 1e-9 else f'{_ones:.0e}'} | {_random:.0e} |")
    mo.vstack(
        [
            mo.md(f"""
    Every wrong backward pass of batch norm in training that hangs in the library's bug museum was run with both upstreams: {len(found)} pieces. Ones hide **{len(hidden)} of {len(found)}**;
    the random upstream hides {sum(random < 1e-9 for _, _, random in found.values())}.

    What they hide is not by chance. Where dy is constant, mean(dy xhat) is 0: *every mistake in the variance's way* is multiplied by 0. And dy − mean(dy) is 0: *every wrong factor in
    front* is multiplied by 0. The weight's gradient is 0 as well, and for dbias nobody has
    to look at dy at all. In dx, only who loses or bends the mean's way is caught.
    """),
            mo.accordion(
                {f"All {len(found)}, with the largest error that each upstream shows": mo.md("\n".join(_lines))}
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Running statistics

    True mean 1, true variance 4, one channel, pictures of one pixel. Each training batch moves the running statistics by `momentum`. Which settings follow fast? Which end quietly?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    momentum = mo.ui.slider(steps=[0.01, 0.03, 0.1, 0.3, 1.0], value=0.1, label="momentum", show_value=True)
    tracked = mo.ui.slider(steps=[2, 4, 8, 16, 32, 64, 128], value=16, label="N", show_value=True)
    mo.hstack([momentum, tracked], justify="start", gap=2, wrap=True)
    return momentum, tracked


@app.cell(hide_code=True)
def _(
    BLUE,
    BatchNorm2d,
    Figure,
    GREEN,
    GREY,
    mo,
    momentum,
    np,
    show,
    style,
    tracked,
    use,
):
    def track(momentum, N, steps=150):
        """The running mean and variance after each training batch, (steps + 1,) each."""
        rng, layer = np.random.default_rng(0), BatchNorm2d(1, momentum=momentum, dtype=np.float64)
        means, variances = [0.0], [1.0]
        for _ in range(steps):
            layer.forward(1 + 2 * rng.standard_normal((N, 1, 1, 1)), train=True)
            means.append(layer.running_mean.item())
            variances.append(layer.running_var.item())
        return means, variances

    with use("reference"):
        _first = track(0.1, 128, steps=1)[0][1]
        _means, _variances = track(momentum.value, tracked.value)
        _quiet, _restless = (np.std(track(m, 16)[0][75:]) for m in (0.01, 1.0))
    assert 0.05 < _first < 0.15
    assert _quiet < _restless
    with style():
        _figure = Figure(figsize=(7.4, 2.8), layout="constrained")
        for _panel, _values, _true, _colour, _name in zip(
            _figure.subplots(1, 2),
            (_means, _variances),
            (1, 4),
            (BLUE, GREEN),
            ("running mean", "running variance"),
            strict=True,
        ):
            _panel.axhline(_true, color=GREY, linestyle="--", label="true")
            _panel.plot(_values, color=_colour, label=_name)
            _panel.set(xlabel="training step", title=_name, ylim=(-1, 3) if _true == 1 else (0, 10))
            _panel.legend(fontsize=9)
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Running mean and variance over 150 training steps with momentum {momentum.value:g} and batches of {tracked.value}, beside the true values 1 and 4. "
                f"They end at {_means[-1]:.2f} and {_variances[-1]:.2f}.",
            ),
            mo.md(f"""After one step with momentum 0.1 the running mean is about a tenth of the way: {_first:.2f}. A network that was trained for a few steps only is therefore **wrong in evaluation**, though its
            weights may be fine. And `forward` in training *changes the layer*, though no optimiser has stepped."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### What breaks in small batches

    Everything hangs on $M = N H W$. Take a layer at the end of a network, where pictures have one pixel, so $M = N$.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    pair_asked = ask(
        "A batch of two: x = (3, 3.1). The weight is 1, the bias 0. What is y?",
        ["about (−1, 1)", "about (−0.05, 0.05)", "(3, 3.1)", "an error"],
    )
    pair_asked
    return (pair_asked,)


@app.cell(hide_code=True)
def _(norm, np, pair_asked, reveal, tr, use):
    def of_two(a, b):
        """y and dx of a batch of two numbers, for dy = (1, 2)."""
        y, cache = norm.batch_norm_forward(np.array([a, b], float).reshape(2, 1, 1, 1), np.ones(1), np.zeros(1))
        return y.ravel(), norm.batch_norm_backward(np.array([1.0, 2.0]).reshape(2, 1, 1, 1), cache)[0].ravel()

    with use("reference"):
        _near, _near_dx = of_two(3, 3.1)
        _far, _far_dx = of_two(3, 900)
        try:
            norm.batch_norm_forward(np.ones((1, 1, 1, 1)), np.ones(1), np.zeros(1))
            refusal = ""
        except tr.InputError as _error:
            refusal = str(_error)
    assert np.allclose(_near, [-1, 1], atol=0.003)
    assert np.allclose(_far, [-1, 1], atol=1e-6)
    assert np.abs(_near_dx).max() < 0.1
    assert "at least 2" in refusal
    reveal(
        pair_asked,
        "about (−1, 1)",
        f"""Computed: ({_near[0]:.4f}, {_near[1]:.4f}); and for x = (3, 900): ({_far[0]:.4f}, {_far[1]:.4f}). **A batch of two keeps one bit: which is larger.** How much larger is lost. The gradient knows this:
            for dy = (1, 2) dx is ({_near_dx[0]:.3f}, {_near_dx[1]:.3f}), and for (3, 900) it is ({_far_dx[0]:.0e}, {_far_dx[1]:.0e}). Only $\\epsilon$ keeps it from being 0. In the formula: two numbers that sum to 0
            and have no part of xhat = (−1, 1) must both be 0.

    With **one** number, xhat would be 0 whatever x is. The library refuses, rather than train a network that sees nothing:

    > `{refusal}`""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Between 2 and many, batch norm is a *noisy* layer: the same picture gets another y in each company. Here is one and the same number, x = 1.5, in 400 batches. Its companions are drawn from a normal distribution.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    company = mo.ui.slider(steps=[2, 3, 4, 8, 16, 32, 64, 128], value=4, label="N", show_value=True, debounce=False)
    company
    return (company,)


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, company, norm, np, show, style, use):
    def in_company(N, times=400):
        """y of x = 1.5 in so many batches of N, with other companions in each."""
        batches = np.random.default_rng(N).standard_normal((times, N))
        batches[:, 0] = 1.5
        # each batch is a channel of its own: (N, C, 1, 1)
        y, _ = norm.batch_norm_forward(batches.T[:, :, None, None].copy(), np.ones(times), np.zeros(times))
        return y[0].ravel()

    with use("reference"):
        spreads = {N: float(in_company(N).std()) for N in company.steps}
        _ys = in_company(company.value)
    assert spreads[128] < 0.15
    assert 1.7 < spreads[16] / spreads[64] < 2.3  # two, if it falls with the root of N
    assert all(in_company(N).max() <= np.sqrt(N - 1) for N in (2, 4))
    with style():
        _figure = Figure(figsize=(7.4, 3), layout="constrained")
        _left, _right = _figure.subplots(1, 2)
        _left.hist(_ys, bins=np.linspace(-1.5, 3.5, 41), color=BLUE)
        _left.axvline(1.5, color=ORANGE, linestyle="--", label="evaluation")
        _left.set(xlabel="y of x = 1.5", ylabel="batches", title=f"N = {company.value}")
        _left.legend(fontsize=9)
        _right.loglog(spreads.keys(), spreads.values(), "o-", color=BLUE)
        _right.plot([company.value], [spreads[company.value]], "s", color=ORANGE, markersize=9)
        _right.set(
            xlabel="N",
            title="spread of y over batches",
            xticks=list(spreads),
            xticklabels=list(spreads),
            yticks=[0.1, 0.2, 0.4],
            yticklabels=["0.1", "0.2", "0.4"],
        )
        _right.minorticks_off()
    show(
        _figure,
        alt=f"Left: a histogram of the output for the input 1.5 in 400 random batches of {company.value}. Right: the spread of that output by batch size: "
        f"{spreads[16]:.2f} for 16, {spreads[64]:.2f} for 64.",
    )
    return (spreads,)


@app.cell(hide_code=True)
def _(mo, np, spreads):
    mo.md(f"""
    The spread is {spreads[16]:.2f} at N = 16 and {spreads[64]:.2f} at N = 64: four times the batch, half the noise. (In the smallest batches y is also *cut off*: of N numbers none can lie further out than
    $\\sqrt{{N - 1}}$. That is {np.sqrt(3):.2f} at N = 4, whatever x is.) A little of such noise can serve as a regulariser. Too much drowns the picture. And evaluation, which has no noise, is then
    *another function* than the one that was trained.

    ### Live: the same small network in batches of 2, 4, 8 and 32

    Two rings of points, to be told apart; 1 x 1 convolution, batch norm, ReLU, linear; 150 steps each, the same first weights and learning rate. Right by chance is 50 %.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    train_asked = ask(
        "Batches of 2: what does the network reach, in evaluation?",
        ["much the same as with 32", "a little less than with 32", "chance, 50 %"],
    )
    train_asked
    return (train_asked,)


@app.cell(hide_code=True)
def _(
    BatchNorm2d,
    Chain,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    np,
    reveal,
    tr,
    train_asked,
    use,
):
    def rings(rng, N):
        """Points (N, 2, 1, 1) of an inner and an outer ring, and which (N,)."""
        ring, angle = rng.integers(0, 2, N), rng.uniform(0, 2 * np.pi, N)
        radius = 1 + ring + 0.2 * rng.standard_normal(N)
        return np.stack([3 + radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :, None, None], ring

    def accuracies(N, steps=150):
        """After training in batches of N: right in evaluation, and right in training mode in batches of N."""
        rng, kind = np.random.default_rng(0), {"rng": np.random.default_rng(0), "dtype": np.float64}
        model = Chain(
            {
                "conv1": Conv2d(2, 16, 1, **kind),
                "bn1": BatchNorm2d(16, dtype=np.float64),
                "relu1": ReLU(),
                "flatten": Flatten(),
                "fc": Linear(16, 2, **kind),
            }
        )
        optimiser = tr.SGD(model.named_params(), momentum=0.9)
        for _ in range(steps):
            x, ring = rings(rng, N)
            logits, cache = model.forward(x, train=True)
            model.backward(tr.softmax_cross_entropy(logits, ring)[1], cache)
            optimiser.step(lr=0.05)
            optimiser.zero_grad()
        x, ring = rings(np.random.default_rng(99), 512)
        evaluated = model.forward(x, train=False)[0].argmax(1)
        trained = np.concatenate([model.forward(x[i : i + N], train=True)[0].argmax(1) for i in range(0, 512, N)])
        return float((evaluated == ring).mean()), float((trained == ring).mean())

    with use("reference"):
        reached = {N: accuracies(N) for N in (2, 4, 8, 32)}
        _longer = accuracies(2, steps=600)[0]
    assert _longer < 0.7
    assert reached[2][0] < 0.6
    assert reached[32][0] > 0.9
    assert reached[32][0] > reached[8][0] > reached[2][0]
    _table = "\n".join(f"| {N} | {evaluated:.0%} | {trained:.0%} |" for N, (evaluated, trained) in reached.items())
    reveal(
        train_asked,
        "chance, 50 %",
        f"""Measured on 512 new points:

    | batch | evaluation | training mode, in batches of that size |
    |---|---|---|
    {_table}

    In batches of 2 each normalised number is ±1, by which of the two points is the larger: not enough to know a ring. (Larger batches also see more points in 150 steps. With 600 steps of 2, as many points as in batches of 8, it is {_longer:.0%}.)
    And where both columns differ much, the trained function and the used one are not the same.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    So: keep $M$ large, not N. A picture of 32 x 32 pixels gives M = 1,024 from a batch of *one*; early layers survive small batches, the last ones do not. If the batch must be small (large pictures,
    detection), take statistics that do not need it (group norm, layer norm), or freeze the running ones, as fine-tuning often does.

    ## The exercise

    ```
    tinyresnet lesson start 04
    tinyresnet lesson check batch_norm.py
    ```

    The first command writes the file. (a) Predict the numbers of a batch of four. (b) Fill the gaps, among them the two terms by the mean and by the variance. (c) Write both passes, in training and in evaluation,
    from an empty page. Go back in the steps of this lesson; gather up only when it works.

    On paper, for the viva: *(1) You add 100 to every pixel of every picture. What happens to y, in training and in evaluation? (2) The convolution before a batch norm has a bias. What is that bias's
    gradient, in training? (3) Layer norm takes its mean over the channels of one picture. Which of the three terms change?*

    ## What to read

    - Ioffe, Szegedy, [Batch normalization](https://arxiv.org/abs/1502.03167) (ICML 2015): algorithm 1 is the forward pass; the unnumbered equations of section 3 are our steps 1 to 5; algorithm 2 is evaluation.
    - Santurkar, Tsipras, Ilyas, Madry, [How does batch normalization help optimization?](https://arxiv.org/abs/1805.11604) (NeurIPS 2018): why it helps is *not* the "covariate shift" of its first paper.
    - Wu, He, [Group normalization](https://arxiv.org/abs/1803.08494) (ECCV 2018): figure 1 is batch norm's error by batch size, in large.
    - Ioffe, [Batch renormalization](https://arxiv.org/abs/1702.03275) (2017), and Wu, Johnson, [Rethinking "batch" in BatchNorm](https://arxiv.org/abs/2105.07576) (2021): training and evaluation as two functions.
    - Kratzert's [note on batch norm's backward pass](https://kratzert.github.io/2016/02/12/understanding-the-gradient-flow-through-the-batch-normalization-layer.html) (2016) goes back through the graph in small steps, as we did.
    - In this project: `tinyresnet/layers/norm.py`, and `tinyresnet step --at layer1.bn1 --backward`. Next is lesson 05: how do you *know* that such a gradient is right?
    """)
    return


if __name__ == "__main__":
    app.run()
