"""The residual add

45 minutes. Needs lessons 01, 04.
"""

import marimo

app = marimo.App(width="medium", app_title="06 The residual add")


@app.cell(hide_code=True)
def _():
    import inspect

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, GREEN, ORANGE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.layers import BatchNorm2d, Chain, Conv2d, Fork, ReLU, Residual
    from tinyresnet_kernels import use

    return (
        BLUE,
        BatchNorm2d,
        Chain,
        Conv2d,
        Figure,
        Fork,
        GREEN,
        ORANGE,
        ReLU,
        Residual,
        ask,
        inspect,
        mo,
        np,
        reveal,
        show,
        style,
        tr,
        use,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 06 · The residual add

    A student writes in an exam:

    > "In a residual block x goes two ways. On the way back two gradients meet at the fork, **and there they are averaged**."

    It sounds reasonable. Before you read on, decide. Take one number, $x = 3$. The branch computes $a = 2x$, the shortcut passes $b = x$,
    and the add gives $y = a + b$. The loss sends $dy = 4$ back, so the gradient that returns through the branch is $2 \cdot 4 = 8$, and
    the gradient that returns through the shortcut is $4$.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "What is $dx$, the gradient that leaves the fork?",
        ["6, the average", "12, the sum", "8, the larger one", "4, the shortcut's alone"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(opening, reveal):
    def _loss(x):
        return 4 * (2 * x + x)  # its slope in y is dy = 4

    _nudge = 0.001
    _before, _after = _loss(3), _loss(3 + _nudge)
    measured = (_after - _before) / _nudge
    assert abs(measured - 12) < 1e-6
    reveal(
        opening,
        "12, the sum",
        f"""No theory is needed: **measure it.** The loss whose slope in y is 4 is $L = 4y$. Move x from 3 to {3 + _nudge}: the loss goes from
        {_before} to {_after:.3f}. That is {_after - _before:.3f} for a step of {_nudge}, a slope of **{measured:.0f}** = 8 + 4. An average would
        be 6, half of what is true. The reason is one line long: x reaches the loss by *two ways*, and moving x moves *both*.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Say what an add and a fork do, forward and backward, and prove it with a nudge.
    - Take a gradient through a whole residual block on paper, and find the same numbers as the library.
    - Choose among the shortcuts A, B, C (and D), knowing their shapes, their parameters, and which pixels they leave without gradient.
    - See two wrong blocks (a fork that averages, a layer that writes in place) by their numbers, and say why such a network may still train.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The idea in a picture

    The numbers are those of the question above. Read the upper half from left to right, and the lower half from right to left.
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, ORANGE, np, show):
    def _arrow(*points, colour):
        """A line through the points with a head at the last, which it reaches horizontally or vertically."""
        (x0, y0), (x1, y1) = points[-2:]
        dx, dy = np.sign(x1 - x0), np.sign(y1 - y0)
        tip = f"{x1},{y1} {x1 - 9 * dx - 5 * dy},{y1 - 9 * dy - 5 * dx} {x1 - 9 * dx + 5 * dy},{y1 - 9 * dy + 5 * dx}"
        line = " ".join(f"{x},{y}" for x, y in [*points[:-1], (x1 - 8 * dx, y1 - 8 * dy)])
        return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/><polygon points="{tip}" fill="{colour}"/>'

    def _box(x, y, text, width=96):
        frame = f'<rect x="{x - width / 2}" y="{y - 17}" width="{width}" height="34" rx="6" fill="none" stroke="currentColor"/>'
        return frame + _word(x, y + 5, text)

    def _node(x, y, text):
        frame = f'<circle cx="{x}" cy="{y}" r="22" fill="none" stroke="currentColor"/>'
        return frame + (_word(x, y + 7, text, 22) if text == "+" else _word(x, y + 4, text, 13))

    def _word(x, y, text, size=14, anchor="middle", weight="normal"):
        style_ = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
        return f'<text x="{x}" y="{y}" {style_}>{text}</text>'

    def _half(y, colour, names, numbers, back):
        """The block once: fork, branch above, shortcut below, add; arrows from left to right, or back."""

        def way(*points):
            return _arrow(*(points[::-1] if back else points), colour=colour)

        outer, up, low, inner = names
        left, branch, shortcut, right, behind = numbers
        return "".join(
            [
                way((40, y), (128, y)),
                way((150, y - 22), (150, y - 55), (252, y - 55)),
                way((348, y - 55), (450, y - 55), (450, y - 22)),
                way((150, y + 22), (150, y + 48), (450, y + 48), (450, y + 22)),
                way((472, y), (560, y)),
                _node(150, y, outer),
                _node(450, y, inner),
                _box(300, y - 55, up),
                _word(300, y + 41, low, 13),
                _word(85, y - 9, left, weight="bold"),
                _word(200, y - 63, branch, weight="bold"),
                _word(200, y + 41, shortcut, weight="bold"),
                _word(515, y - 9, right, weight="bold"),
                _word(400, y - 63, behind, weight="bold"),
                _word(400, y + 41, shortcut, weight="bold"),
            ]
        )

    _svg = (
        '<svg viewBox="0 0 600 350" font-family="system-ui, sans-serif">'
        + _word(20, 20, "Forward: the fork copies, the add sums", 15, "start", "bold")
        + _half(108, BLUE, ("fork", "× 2", "shortcut", "+"), ("x = 3", "3", "3", "y = 9", "6"), back=False)
        + _word(20, 200, "Backward: the add copies, the fork sums", 15, "start", "bold")
        + _half(288, ORANGE, ("+", "× 2", "shortcut", "copy"), ("dx = 12", "8", "4", "dy = 4", "4"), back=True)
        + "</svg>"
    )
    show(
        _svg,
        alt="A residual block twice. Forward: x = 3 is copied to a branch that doubles it and to a shortcut; the add gives 6 + 3 = 9. "
        "Backward: dy = 4 is copied by the add to both ways; the branch gives 8, the shortcut 4, and the fork sums them to dx = 12.",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Each of the two is the other's backward pass. A copy going forward is a sum going back; a sum going forward is a copy going back.

    ## The maths, with the shapes

    A block computes $y = \mathrm{relu}(z)$ with $z = F(x) + S(x)$. Here $F$ is the *branch* (convolution, batch norm, ReLU, convolution, batch norm)
    and $S$ the *shortcut* (in most blocks $S(x) = x$).

    | | forward | shape | backward | shape |
    |:---|:---|:---|:---|:---|
    | fork | $a_0 = b_0 = x$ | (N, C, H, W) | $dx = da_0 + db_0$ | (N, C, H, W) |
    | branch | $a = F(a_0)$ | (N, O, OH, OW) | $da_0 = J_F^{\top}\, da$ | (N, C, H, W) |
    | shortcut | $b = S(b_0)$ | (N, O, OH, OW) | $db_0 = J_S^{\top}\, db$ | (N, C, H, W) |
    | add | $z = a + b$ | (N, O, OH, OW) | $da = db = dz$ | (N, O, OH, OW) |
    | ReLU | $y = \max(z, 0)$ | (N, O, OH, OW) | $dz = dy$ where $z > 0$, else 0 | (N, O, OH, OW) |

    **Why a sum?** It is the chain rule for a function of several variables. $L$ depends on $x$ through $a_0$ and through $b_0$, and both are equal to $x$:

    $$\frac{dL}{dx} = \frac{\partial L}{\partial a_0}\frac{da_0}{dx} + \frac{\partial L}{\partial b_0}\frac{db_0}{dx}
    = da_0 \cdot 1 + db_0 \cdot 1 .$$

    **Why a copy?** $z = a + b$ has $\partial z / \partial a = \partial z / \partial b = 1$. The gradient is *not divided* between the two ways.
    It is no amount of water at a junction; it is a slope: "how much does the loss change if I move this number?"

    **What the shortcut gives you.** With $S(x) = x$ the two lines together say $dx = dz + J_F^{\top} dz$. However small $J_F$ is, the first term is there.

    A fork is needed wherever an array is used twice. It is the same reason for which parameter gradients are *added into* `param.grad` (`+=`).
    """)
    return


@app.cell(hide_code=True)
def _(Residual, inspect, mo):
    from tinyresnet.layers import residual as _residual

    _parts = (_residual.fork_forward, _residual.fork_backward, _residual.add_forward, _residual.add_backward)
    _code = (
        "\n\n".join(inspect.getsource(part) for part in _parts)
        + "\n\n# class Residual\n"
        + inspect.getsource(Residual.backward)
    )
    mo.md(f"""
    ## The code

    This is the library's own text, `tinyresnet/layers/residual.py`. The four functions are the two pairs of the picture; the last is the whole block.

    ```python
    {_code}
    ```

    `add_backward` returns *the same array* twice. That costs nothing, and it is safe only because of a promise that every layer keeps:
    a backward pass never writes to the `dy` that it was given.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    in_place = ask(
        "Somebody saves memory: the branch's ReLU sets the blocked numbers of `dy` to 0 *in place*. What goes wrong?",
        ["nothing, they are zero anyway", "the branch's gradient is wrong", "the shortcut's gradient is wrong"],
    )
    in_place
    return (in_place,)


@app.cell(hide_code=True)
def _(in_place, np, reveal):
    _dy = np.array([1.0, 2.0, -1.0, 3.0])
    _open = np.array([False, True, False, False])  # where the branch's ReLU lets a gradient pass
    _right = _dy * _open + _dy
    _da = _db = _dy.copy()  # as the add gives them: one array, two names
    _da *= _open  # in place: this changes _db too
    _wrong = _da + _db
    assert _right.tolist() == [1, 4, -1, 3]
    assert _wrong.tolist() == [0, 4, 0, 0]
    reveal(
        in_place,
        "the shortcut's gradient is wrong",
        f"""The branch and the shortcut hold *the same array*. The branch's own gradient is right, but its zeros are now in the shortcut's
        gradient too. For dy = {_dy.tolist()} and a branch that is open at the second number alone, dx should be {_right.tolist()}; it became
        {_wrong.tolist()}. It still has a plausible size, and a network with this mistake still learns something. Only a check sees it.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### A block on paper

    Now a whole block, small enough for a pencil. One picture, one channel, 2 x 2 pixels. The branch is: times $w_1$, ReLU, times $w_2$ (two 1 x 1
    convolutions); the shortcut is the identity. Batch norm is left out here; it comes back in the stepper below.

    $$w_1 = -1, \quad w_2 = 2, \qquad
    x = \begin{pmatrix} 1 & -2 \\ 3 & 2 \end{pmatrix}, \qquad
    dy = \begin{pmatrix} 1 & 2 \\ -1 & 3 \end{pmatrix}.$$

    Go forward first ($h = w_1 x$, $r = \mathrm{relu}(h)$, $a = w_2 r$, $z = a + x$, $y = \mathrm{relu}(z)$), then back. Type the four numbers of $dx$:
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    paper = mo.ui.array([mo.ui.number(value=None, step=0.5, label=f"dx[{i}, {j}]") for i in (0, 1) for j in (0, 1)])
    mo.vstack([mo.hstack(paper[:2], justify="start"), mo.hstack(paper[2:], justify="start")])
    return (paper,)


@app.cell(hide_code=True)
def _(db, dh, dr, dw1, dw2, dx, mo, np, paper, w1):
    _mistakes = {  # what people get when they think otherwise
        "the average of the two ways: the fork sums": (w1 * dh + db) / 2,
        "the branch's gradient alone: the shortcut's is missing": w1 * dh,
        "the shortcut's gradient alone: the branch's is missing": db,
        "the branch's ReLU was forgotten: its gradient is 0 where h is not above 0": w1 * dr + db,
        "the sign of the branch is lost: it goes through w1 too": -w1 * dh + db,
        "the gradient was split: the add copies it, and halves nothing": w1 * dh / 2 + db / 2,
    }

    def _said(typed, at):
        if typed == dx[at]:
            return "right"
        return next(
            (name for name, wrong in _mistakes.items() if typed == wrong[at]), "wrong: go back one step at a time"
        )

    _typed = paper.value
    _places = [(i, j) for i in (0, 1) for j in (0, 1)]
    _rows = [
        f"- dx[{i}, {j}] = {t:g}: {_said(t, (i, j))}"
        for t, (i, j) in zip(_typed, _places, strict=True)
        if t is not None
    ]
    assert dx.tolist() == [[1, -2], [-1, 3]]
    assert (dw1, dw2) == (-8, 4)
    _solution = f"""From the branch comes {(w1 * dh).tolist()}: three of its four pixels are dead. From the shortcut comes {db.tolist()}. The fork
    sums: **dx = {dx.tolist()}**. On the way, dw1 = {dw1:g} and dw2 = {dw2:g}."""
    _all = len(_rows) == 4 and np.array_equal(np.array(_typed, float).reshape(2, 2), dx)
    (
        mo.callout(mo.md("\n".join(_rows) + f"\n\n{_solution}"), kind="success")
        if _all
        else mo.vstack(
            [
                mo.md("\n".join(_rows)),
                mo.Html(f"<details><summary>The answer (type first)</summary>{mo.md(_solution).text}</details>"),
            ]
        )
    )
    return


@app.cell(hide_code=True)
def _(mo, np):
    x = np.array([[1.0, -2.0], [3.0, 2.0]])
    dy = np.array([[1.0, 2.0], [-1.0, 3.0]])
    w1, w2 = -1.0, 2.0

    h = w1 * x
    r = np.maximum(h, 0)
    a = w2 * r
    z = a + x
    y = np.maximum(z, 0)

    dz = dy * (z > 0)  # through the last ReLU
    da = db = dz  # the add copies
    dw2 = (da * r).sum()
    dr = w2 * da
    dh = dr * (h > 0)
    dw1 = (dh * x).sum()
    dx = w1 * dh + db  # the fork sums: from the branch, and from the shortcut
    mo.show_code()
    return db, dh, dr, dw1, dw2, dx, dy, w1, w2, x, y


@app.cell(hide_code=True)
def _(
    Chain,
    Conv2d,
    ReLU,
    Residual,
    dw1,
    dw2,
    dx,
    dy,
    mo,
    np,
    tr,
    use,
    w1,
    w2,
    x,
    y,
):
    def tiny_block(first, second):
        """The paper's block out of the library's layers."""
        conv1, conv2 = (Conv2d(1, 1, 1, rng=np.random.default_rng(0), dtype=np.float64) for _ in range(2))
        conv1.weight.data[...], conv2.weight.data[...] = first, second
        return Residual(Chain({"conv1": conv1, "relu1": ReLU(), "conv2": conv2}), None, ReLU())

    _block = tiny_block(w1, w2)
    with use("reference"):  # the readable forms: nothing is compiled
        _y, _cache = _block.forward(x[None, None], train=True)
        _dx = _block.backward(dy[None, None], _cache)
    _grads = {name: param.grad.item() for name, param in _block.named_params()}
    assert np.array_equal(_y[0, 0], y)
    assert np.array_equal(_dx[0, 0], dx)
    assert (_grads["conv1.weight"], _grads["conv2.weight"]) == (dw1, dw2)
    with use("reference"):
        _report = tr.gradcheck.check(tiny_block(w1, w2), x[None, None])
    assert _report.verdict == "correct"
    mo.md(f"""
    The lines above are the whole of it in NumPy. The same block out of the library's layers (`Residual(Chain({{"conv1": ..., "relu1": ReLU(), "conv2": ...}}), None, ReLU())`) gives
    dx = {_dx[0, 0].tolist()}, dw1 = {_grads["conv1.weight"]:g}, dw2 = {_grads["conv2.weight"]:g}: equal, number for number. And measured slopes agree:

    ```text
    {_report!s}
    ```
    """)
    return (tiny_block,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### The same in the stepper

    Two residual blocks with batch norm, in hand numbers, at the step where the first block's fork sums. `da` came back through the branch,
    `db` through the shortcut. Pick a cell of `dx`, predict its number, press Enter. Then walk back (`[`) to `layer1.add`: its two outputs are one and the same.
    """)
    return


@app.cell(hide_code=True)
def _(mo, np):
    from tinyresnet.step.notebook import widget
    from tinyresnet.step.session import hand_session

    _session = hand_session()
    _fork = _session.trace["layer1.fork", "backward"]
    _add = _session.trace["layer1.add", "backward"]
    assert np.array_equal(_fork.tensors["dx"], _fork.tensors["da"] + _fork.tensors["db"])
    assert np.array_equal(_add.tensors["da"], _add.tensors["db"])
    _stepper = widget(_session)
    _stepper.step = _fork.index
    mo.ui.anywidget(_stepper)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### The block on paper

    Before you move a slider, say what will happen. Where does $dx$ get nothing at all? When does the block compute $|x|$?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    first = mo.ui.slider(-2, 2, step=0.5, value=-1, label="w1", show_value=True)
    second = mo.ui.slider(-3, 3, step=0.5, value=2, label="w2", show_value=True)
    mo.hstack([first, second], justify="start", gap=2)
    return first, second


@app.cell(hide_code=True)
def _(dy, first, mo, second, tiny_block, use, x):
    def _matrix(values):
        return (
            r"\begin{pmatrix}"
            + r" \\ ".join(" & ".join(f"{value:g}" for value in row) for row in values)
            + r"\end{pmatrix}"
        )

    _block = tiny_block(first.value, second.value)
    with use("reference"):
        _y, _cache = _block.forward(x[None, None], train=True)
        _dx = _block.backward(dy[None, None], _cache)[0, 0]
    _dz = dy * (_y[0, 0] > 0)
    mo.md(rf"""
    $$x = {_matrix(x)}, \quad y = {_matrix(_y[0, 0])}, \quad dy = {_matrix(dy)}$$

    $$dx = \underbrace{{{_matrix(_dx - _dz)}}}_{{\text{{from the branch}}}} + \underbrace{{{_matrix(_dz)}}}_{{\text{{from the shortcut}}}} = {_matrix(_dx)}$$
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### If forks did average

    The exam's answer, built: a fork whose backward pass halves. Stack blocks with batch norm and an identity shortcut, and look at the gradient that leaves
    each block on the way back to the input.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    halves = ask(
        "With 20 blocks: by which factor is the gradient at the input too small if every fork averages?",
        ["2", "20", "40", "about a million"],
    )
    halves
    return (halves,)


@app.cell(hide_code=True)
def _(
    BatchNorm2d,
    Chain,
    Conv2d,
    Fork,
    ReLU,
    Residual,
    halves,
    np,
    reveal,
    tiny_block,
    tr,
    use,
    w1,
    w2,
    x,
):
    class AveragingFork(Fork):
        """The exam's answer."""

        def backward(self, dy, cache):
            return super().backward(dy, cache) / 2

    def gradient_norms(count, *, averaging):
        """The norm of the gradient that leaves each block, the last block's first."""
        rng = np.random.default_rng(0)
        blocks = {}
        for i in range(count):
            conv1, conv2 = (Conv2d(4, 4, 3, pad=1, rng=rng, dtype=np.float64) for _ in range(2))
            norm1, norm2 = (BatchNorm2d(4, dtype=np.float64) for _ in range(2))
            branch = Chain({"conv1": conv1, "bn1": norm1, "relu1": ReLU(), "conv2": conv2, "bn2": norm2})
            blocks[str(i)] = Residual(branch, None, ReLU())
            if averaging:
                blocks[str(i)].fork = AveragingFork()
        model = Chain(blocks)
        norms = []
        with use("reference"):
            out, cache = model.forward(rng.standard_normal((4, 4, 6, 6)), train=True)
            gradient = rng.standard_normal(out.shape)
            for name, block in reversed(blocks.items()):
                gradient = block.backward(gradient, cache[name])
                norms.append(float(np.linalg.norm(gradient)))
        return norms

    _sum, _mean = (gradient_norms(20, averaging=wrong)[-1] for wrong in (False, True))
    too_small = _sum / _mean
    assert abs(too_small - 2**20) < 1
    _wrong = tiny_block(w1, w2)
    _wrong.fork = AveragingFork()
    with use("reference"):
        wrong_report = tr.gradcheck.check(_wrong, x[None, None])
    assert wrong_report.verdict == "wrong"
    reveal(
        halves,
        "about a million",
        f"""Measured: {_sum:.3g} with sums, {_mean:.3g} with averages. The factor is **{too_small:,.0f} = 2²⁰**: one half for each block, exactly,
        because a backward pass is linear in dy.""",
    )
    return gradient_norms, wrong_report


@app.cell(hide_code=True)
def _(mo):
    count = mo.ui.slider(1, 40, value=20, label="blocks", show_value=True)
    count
    return (count,)


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, count, gradient_norms, show, style):
    with style():
        _figure = Figure(figsize=(6.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        for _averaging, _label, _colour, _mark in (
            (False, "forks sum", BLUE, "o"),
            (True, "forks average", ORANGE, "s"),
        ):
            _norms = gradient_norms(count.value, averaging=_averaging)
            _axes.semilogy(range(count.value, 0, -1), _norms, marker=_mark, markersize=4, color=_colour, label=_label)
        _axes.set(xlabel="block, from the input on", ylabel="norm of dx")
        _ticks = range(1, count.value + 1)
        _axes.set_xticks(_ticks if count.value <= 10 else [1, *_ticks[4::5]])
        _axes.legend()
    show(
        _figure,
        alt=f"Norm of the gradient that leaves each of {count.value} blocks, on a logarithmic axis. With forks that sum it stays within "
        "about a factor of twenty; with forks that average it loses a factor of two at each block towards the input.",
    )
    return


@app.cell(hide_code=True)
def _(mo, wrong_report):
    mo.md(f"""
    The checker needs no such tower. On the paper's block with an averaging fork it says:

    ```text
    {wrong_report!s}
    ```

    The half is right. Its guess at the cause is not: *rows = 2* is a coincidence, as this picture has 2 rows. A checker knows sizes; that two
    ways meet in the fork, you know.

    Look at its second part: the weights' gradients *of this block* are right. The mistake hurts only the layers before it. And even there each
    layer's gradient points the same way as the right one: it is only too short, by a factor of 2 for each block behind it. So a network with this
    mistake may well train; its first layers learn more slowly. "It trains" proves nothing about a gradient.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Shortcuts A, B, C, D

    The add wants one shape. Where a stage begins, the branch has stride 2 and twice the channels, so $x$ must be brought to that shape:

    | option | $S(x)$ | parameters |
    |:---|:---|:---|
    | A | every second pixel, and zero channels for the missing ones | none |
    | B | a 1 x 1 convolution with stride 2, and a batch norm; identity elsewhere | $CO + 2O$ where the shape changes |
    | C | the same as B, in every block | $CO + 2O$ in each block |
    | D | average 2 x 2 pixels first, then project as in B | as B |
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    skipped = ask(
        "Shortcut B with stride 2: of the pixels of x, how many get a gradient *through the shortcut*?",
        ["all of them", "half of them", "a quarter of them", "none"],
    )
    skipped
    return (skipped,)


@app.cell(hide_code=True)
def _(np, reveal, skipped, tr, use):
    from tinyresnet.layers import shortcut as _shortcut

    def through_shortcut(option, *, stride, channels=(4, 8)):
        """How strongly each pixel of x gets a gradient through the shortcut (H, W), and the shortcut's parameters; None is the identity."""
        rng = np.random.default_rng(0)
        layer = _shortcut.shortcut(option, *channels, stride=stride, rng=rng, dtype=np.float64)
        pictures = rng.standard_normal((2, channels[0], 8, 8))
        if layer is None:
            return np.abs(rng.standard_normal(pictures.shape)).sum((0, 1)), 0
        with use("reference"):
            out, cache = layer.forward(pictures, train=True)
            gradient = layer.backward(rng.standard_normal(out.shape), cache)
        return np.abs(gradient).sum((0, 1)), sum(param.data.size for _, param in layer.named_params())

    shares = {option: float((through_shortcut(option, stride=2)[0] > 0).mean()) for option in "ABCD"}
    assert shares == {"A": 0.25, "B": 0.25, "C": 0.25, "D": 1.0}
    parameters = {}
    for _option in "ABCD":
        _model = tr.resnet20(num_classes=10, shortcut=_option, rng=np.random.default_rng(0))
        parameters[_option] = sum(param.data.size for _, param in _model.named_params())
    plain_parameters = sum(
        param.data.size for _, param in tr.plain20(num_classes=10, rng=np.random.default_rng(0)).named_params()
    )
    assert parameters == {"A": 269_722, "B": 272_474, "C": 283_962, "D": 272_474}
    assert plain_parameters == parameters["A"]
    reveal(
        skipped,
        "a quarter of them",
        f"""Counted: A {shares["A"]:.0%}, B {shares["B"]:.0%}, D {shares["D"]:.0%} of the pixels. A stride-2 window of one pixel skips three pixels of four;
        those get a gradient through the branch alone. D averages before it projects, so that every pixel has a part.""",
    )
    return parameters, plain_parameters, through_shortcut


@app.cell(hide_code=True)
def _(mo):
    option = mo.ui.dropdown(["A", "B", "C", "D"], value="B", label="shortcut")
    place = mo.ui.dropdown(
        {"a stage begins: 4 to 8 channels, stride 2": 2, "within a stage: 8 channels, stride 1": 1},
        value="a stage begins: 4 to 8 channels, stride 2",
        label="block",
    )
    mo.hstack([option, place], justify="start", gap=2, wrap=True)
    return option, place


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    mo,
    np,
    option,
    parameters,
    place,
    plain_parameters,
    show,
    style,
    through_shortcut,
):
    _map, _own = through_shortcut(option.value, stride=place.value, channels=(4, 8) if place.value == 2 else (8, 8))
    _reached = float((_map > 0).mean())
    with style():
        _figure = Figure(figsize=(7, 2.9), layout="constrained")
        _left, _right = _figure.subplots(1, 2, width_ratios=(1, 1.1))
        _image = _left.imshow(np.ma.masked_equal(_map, 0), vmin=0)
        _left.set(title="|dx| through the shortcut", xlabel="W", ylabel="H", xticks=[0, 7], yticks=[0, 7])
        _figure.colorbar(_image, ax=_left, shrink=0.8)
        _names = ["plain", *parameters]
        _counts = [plain_parameters, *parameters.values()]
        _colours = [GREEN if name == option.value else BLUE for name in _names]
        _bars = _right.barh(_names, _counts, color=_colours)
        _right.bar_label(_bars, labels=[f"{count:,}" for count in _counts], padding=4, fontsize=9)
        _right.set(
            title="parameters of ResNet-20",
            xlim=(0, 390_000),
            xticks=[0, 150_000, 300_000],
            xticklabels=["0", "150,000", "300,000"],
        )
        _right.invert_yaxis()
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Left: which pixels of an 8 x 8 picture get a gradient through shortcut {option.value}: {_reached:.0%} of them; empty cells get none. "
                f"Right: parameters of ResNet-20: plain and A {parameters['A']:,}, B and D {parameters['B']:,}, C {parameters['C']:,}.",
            ),
            mo.md(f"""Through this shortcut {_reached:.0%} of the pixels get a gradient; it has {_own} parameters. A whole ResNet-20 has
            {parameters["A"]:,} parameters with A, *as many as its plain twin*; B adds {parameters["B"] - parameters["A"]:,}, C adds
            {parameters["C"] - parameters["A"]:,}. With C, no gradient comes back unchanged: each passes a weight and a batch norm."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 06
    tinyresnet lesson check residual.py
    ```

    The first command writes two files, the residual block and shortcut B. With `--rung a` you predict numbers on paper; with `--rung b` (the default) you
    fill gaps, one of them in the fork; with `--rung c` you write it all. The second command checks your file against measured slopes: it
    tells you what is right, and the first thing that is not yet. `--hint 2` gives the next hint; the answer it never gives.

    On paper, for the viva: *a block has three ways (branch, shortcut, and a second branch). What does its fork do? What does its add do? And if the
    shortcut is scaled, y = F(x) + s x, what are dx and ds?*

    ## What to read

    - He, Zhang, Ren, Sun, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385) (CVPR 2016): equations 1 and 2 are the
      block with an identity and with a projection; section 3.3 describes options A and B, section 4.1 and table 3 compare A, B and C.
    - He, Zhang, Ren, Sun, [Identity mappings in deep residual networks](https://arxiv.org/abs/1603.05027) (ECCV 2016): equation 5 is the gradient
      through many blocks, a sum with a term 1; section 3 tries scaled, gated and convolutional shortcuts. It holds for blocks *without* a ReLU after the add.
    - Srivastava, Greff, Schmidhuber, [Highway networks](https://arxiv.org/abs/1505.00387) (2015): equations 2 and 3, gated shortcuts, before ResNet.
    - He, Zhang, Zhang, Zhang, Xie, Li, [Bag of tricks for image classification](https://arxiv.org/abs/1812.01187) (CVPR 2019): figure 2c is option D.
    - In this project: `tinyresnet/layers/residual.py`, `tinyresnet/layers/shortcut.py`, and `tinyresnet step --at layer1.fork --backward`.
    """)
    return


if __name__ == "__main__":
    app.run()
