"""Backprop on paper

45 minutes.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="01 Backprop on paper")


@app.cell(hide_code=True)
def _():
    import inspect
    import textwrap

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, GREY, ORANGE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.course.sketch import arrow, box, number, sketch, words
    from tinyresnet.layers import Chain, Linear, ReLU, Residual, linear, relu, residual
    from tinyresnet_kernels import use

    return (
        BLUE,
        Chain,
        Figure,
        GREY,
        Linear,
        ORANGE,
        ReLU,
        Residual,
        arrow,
        ask,
        box,
        inspect,
        linear,
        mo,
        np,
        number,
        relu,
        residual,
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
def _(mo):
    mo.md(r"""
    # 01 · Backprop on paper

    A network has a million weights and one loss. Backprop answers one question for all of them at once: **if I turn this one number up
    a little, how much does the loss change?** In this lesson you answer it with a pencil, for a network with six parameters. Nothing in
    a large network is different.

    ## What you will be able to do

    - Say what `dy` is, which shape it has, and why a backward pass needs no other knowledge of the loss.
    - Take a gradient back through a linear layer, a ReLU, a softmax loss, an add and a fork, on paper.
    - Say why gradients are *added* (`+=`), in three situations.
    - Write a gradient check of ten lines, and say why it needs a random upstream.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The idea in a picture

    This is the whole network. A picture of two pixels, $x = (1, 2)$, is copied by a *fork*. One copy goes through a linear layer and a
    ReLU, the other goes straight on. The *add* joins both; its two numbers are the scores (*logits*) of two classes. The right class is
    class 0.

    $$W = \begin{pmatrix} \tfrac12 & \tfrac14 \\ 1 & -1 \end{pmatrix}, \qquad b = (0, 0)$$

    The numbers above each line flow forward. The numbers below flow back: each says how much the loss rises if the number above it
    rises by 1 (for a small rise, in proportion). Take your time with this picture; the rest of the lesson explains it.
    """)
    return


@app.cell(hide_code=True)
def _(Chain, Linear, ReLU, Residual, np, tr, use):
    X, LABELS = np.array([[1.0, 2.0]]), np.array([0])  # x (N, I), the right class of each picture
    PARAMS = {"weight": np.array([[0.5, 0.25], [1.0, -1.0]]), "bias": np.zeros(2)}  # (O, I) and (O,)

    def hand_network(params):
        """y = relu(x W^T + b) + x, out of the library's layers, in float64."""
        line = Linear(2, 2, rng=np.random.default_rng(0), dtype=np.float64)
        line.weight.data[...], line.bias.data[...] = params["weight"], params["bias"]
        return Residual(Chain({"linear": line, "relu1": ReLU()}))

    def walk(x, params):
        """One forward and one backward pass: the loss, and the trace with every number."""
        model = hand_network(params)
        with use("reference"), tr.trace(model) as steps:
            logits, cache = model.forward(x, train=True)
            loss, dlogits = steps.loss(logits, LABELS)
            model.backward(dlogits, cache)
        return loss, steps

    loss, steps = walk(X, PARAMS)
    back = {step.path: step.tensors for step in steps if step.direction == "backward"}
    there = {step.path: step.tensors for step in steps if step.direction == "forward"}
    assert there["linear"]["y"].tolist() == [[1, -1]]
    assert there["add"]["y"].tolist() == [[2, 2]]
    assert back["loss"]["dx"].tolist() == [[-0.5, 0.5]]
    assert back["linear"]["dweight"].tolist() == [[-0.5, -1], [0, 0]]
    assert back["linear"]["dx"].tolist() == [[-0.25, -0.125]]
    assert back["fork"]["dx"].tolist() == [[-0.75, 0.375]]
    assert abs(loss - np.log(2)) < 1e-12
    return LABELS, PARAMS, X, back, hand_network, loss, steps, there, walk


@app.cell(hide_code=True)
def _(BLUE, ORANGE, arrow, back, box, loss, number, show, sketch, there, words):
    def _way(start, end, forward, backward, *, at=None):
        """An arrow, what flows along it, and below it what flows back."""
        middle = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        pairs = [f"({', '.join(number(v) for v in values.ravel())})" for values in (forward, backward)]
        above = words(pairs[0], (middle[0], middle[1] - 8), colour=BLUE, anchor="middle")
        below = words(pairs[1], (middle[0], middle[1] + 20), colour=ORANGE, anchor="middle")
        return arrow(start, end) + above + below

    _parts = [
        _way((0, 75), (100, 75), there["fork"]["x"], back["fork"]["dx"]),
        box("fork", (130, 75), width=60),
        _way((160, 75), (255, 75), there["linear"]["x"], back["linear"]["dx"]),
        box("linear", (290, 75), width=70),
        _way((325, 75), (415, 75), there["relu1"]["x"], back["relu1"]["dx"]),
        box("ReLU", (445, 75), width=60),
        _way((475, 75), (560, 75), there["relu1"]["y"], back["relu1"]["dy"]),
        box("add", (590, 75), width=60),
        _way((620, 75), (705, 75), there["add"]["y"], back["add"]["dy"]),
        box("softmax loss", (760, 75), width=110),
        words(f"loss {number(loss)}", (760, 42), colour=BLUE, anchor="middle"),
        words("dloss 1", (760, 112), colour=ORANGE, anchor="middle"),
        arrow((130, 92), (130, 165)),
        _way((130, 165), (590, 165), there["fork"]["b"], back["add"]["db"]),
        arrow((590, 165), (590, 94)),
    ]
    show(
        sketch(820, 195, *_parts),
        alt="The network as a graph. x = (1, 2) is forked. Upper way: linear gives (1, −1), ReLU gives (1, 0). Lower way: (1, 2) unchanged. The add "
        "gives (2, 2), the loss is 0.6931. Back: the loss sends (−0.5, 0.5), the add copies it to both ways, the ReLU blocks the second number, the "
        "linear layer gives (−0.25, −0.125), and the fork sums to (−0.75, 0.375).",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    **What `dy` is.** Write $L$ for the loss, and $y$ for what some layer gave. Then `dy` is the array of all $\partial L / \partial y$:
    one number for each number of $y$, so **`dy` has the shape of `y`**. It holds everything that comes *after* the layer, the loss
    included. A layer's backward pass turns it into
    `dx`, of the shape of $x$, and into one gradient for each parameter, of that parameter's shape. The layer before takes this `dx` as its own `dy`.
    That hand-over is the whole algorithm.

    N pictures, I numbers in, O numbers out, K classes:

    | op | forward | backward | shapes |
    |:--|:--|:--|:--|
    | linear | $y = x W^\top + b$ | $dx = dy\,W$, $\;dW = dy^\top x$, $\;db = \sum_n dy_n$ | x (N, I), W (O, I), b (O,), y (N, O) |
    | ReLU | $y = \max(x, 0)$ | $dx = dy$ where $x > 0$, else 0 | x and y equal |
    | add | $y = a + b$ | $da = dy$, $\;db = dy$ | all equal |
    | fork | $a = x$, $\;b = x$ | $dx = da + db$ | all equal |
    | softmax loss | $p = \mathrm{softmax}(z)$, $\;L = -\tfrac1N \sum_n \log p_{n,\text{label}}$ | $dz = (p - t)/N$ | z, p, t (N, K), L a number |

    **Where the linear layer's rules come from.** One number of the forward pass is $y_{no} = \sum_i W_{oi}\, x_{ni} + b_o$. Ask of each
    letter: where does it occur, and what is its factor there?

    - $W_{oi}$ occurs in $y_{no}$ for *every picture* n, with factor $x_{ni}$. So $dW_{oi} = \sum_n dy_{no}\, x_{ni}$.
    - $x_{ni}$ occurs in $y_{no}$ for *every output* o, with factor $W_{oi}$. So $dx_{ni} = \sum_o dy_{no}\, W_{oi}$.
    - $b_o$ occurs in $y_{no}$ for every picture, with factor 1. So $db_o = \sum_n dy_{no}$.

    You need not remember where the transposes stand. The shapes leave only one place for them.

    **The softmax loss.** For one picture with label $l$: $L = -z_l + \log \sum_k e^{z_k}$. The slope in $z_k$ is $-1$ if $k = l$, plus
    $e^{z_k} / \sum_j e^{z_j} = p_k$. Together $dz = p - t$, where $t$ is 1 at the label and 0 elsewhere: *what the network said, minus what it should have said.*

    ### Your turn

    Cover the picture above. You know $dz = (-\tfrac12, \tfrac12)$, $x = (1, 2)$, and that the linear layer gave $(1, -1)$.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    paper = mo.ui.dictionary(
        {
            "dW[0, 0]": mo.ui.number(step=0.125, label="dW[0, 0]"),
            "dW[0, 1]": mo.ui.number(step=0.125, label="dW[0, 1]"),
            "dW[1, 0]": mo.ui.number(step=0.125, label="dW[1, 0]"),
            "dx[0]": mo.ui.number(step=0.125, label="dx[0], at the very beginning"),
        }
    )
    mo.hstack(list(paper.elements.values()), justify="start", wrap=True)
    return (paper,)


@app.cell(hide_code=True)
def _(back, mo, number, paper):
    _right = {
        "dW[0, 0]": (back["linear"]["dweight"][0, 0], "(−½) · 1: the ReLU let dz[0] pass; times x[0]."),
        "dW[0, 1]": (back["linear"]["dweight"][0, 1], "(−½) · 2: the same dz[0], times x[1]."),
        "dW[1, 0]": (
            back["linear"]["dweight"][1, 0],
            "the ReLU's input was −1, so nothing passes back: this weight is dead for this picture.",
        ),
        "dx[0]": (back["fork"]["dx"][0, 0], "(−½) · ½ by the linear layer, plus −½ by the shortcut: the fork sums."),
    }
    _hints = {
        "dW[0, 0]": "which dy reaches output 0, and which x does this weight multiply?",
        "dW[0, 1]": "the same dy as for dW[0, 0], another x",
        "dW[1, 0]": "what did the ReLU do with the second number, −1?",
        "dx[0]": "x[0] reaches the loss by two ways",
    }
    _typed = {name: value for name, value in paper.value.items() if value is not None}
    _rows = [
        f"- {name} = {number(float(value))}: "
        + (f"**right**, {_right[name][1]}" if value == _right[name][0] else f"not yet. {_hints[name]}")
        for name, value in _typed.items()
    ]
    _all = "\n".join(f"- {name} = **{number(float(value))}**: {why}" for name, (value, why) in _right.items())
    mo.vstack(
        [
            mo.md("\n".join(_rows) or "Type your numbers above: quarters and eighths are enough."),
            mo.Html(f"<details><summary>All four (type first)</summary>{mo.md(_all).text}</details>"),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Why `+=`

    The gradient of a number that is used in several places is the **sum** over these places. You meet this in three situations:

    1. **In a graph**: an array goes two ways, as at our fork.
    2. **In a batch**: every picture uses the same weight, and $dW$ sums over the pictures.
    3. **In time**: a layer runs twice before a step of the optimiser. So `backward` *adds* into `param.grad`, and somebody must set it
      to zero.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    twice = ask(
        "y = x + x (a fork, then an add), and dy = 3. What is dx? And what would it be with `dx = da; dx = db` in the place of `+=`?",
        ["3, and 3 without +=", "6, and 3 without +=", "6, and 6 without +=", "1.5, and 3 without +="],
    )
    twice
    return (twice,)


@app.cell(hide_code=True)
def _(np, residual, reveal, twice):
    _dy = np.array([3.0])
    _da, _db = residual.add_backward(_dy, None)
    _dx = residual.fork_backward((_da, _db), None)
    _measured = ((5.01 + 5.01) * 3 - (5 + 5) * 3) / 0.01  # x from 5 to 5.01, times the loss's slope 3
    assert _dx[0] == 6
    assert abs(_measured - 6) < 1e-9
    reveal(
        twice,
        "6, and 3 without +=",
        f"""The add copies: da = {_da[0]:g}, db = {_db[0]:g}. The fork sums: dx = **{_dx[0]:g}**, and a nudge of x agrees: {_measured:.3f}. With `=` the
        second way overwrites the first and {_db[0]:g} is left. If an array is used once, `=` and `+=` give the same; so this mistake
        sleeps in a
        plain network, and wakes up in a residual one.""",
    )
    return


@app.cell(hide_code=True)
def _(PARAMS, hand_network, mo, np, use):
    _pictures = np.array([[1.0, 2.0], [3.0, 1.0]])
    _dy = np.array([[-1.0, 2.0], [1.0, 1.0]])
    with use("reference"):
        _line = hand_network(PARAMS)["linear"]
        _, _cache = _line.forward(_pictures, train=True)
        _line.backward(_dy, _cache)
        _batch = _line.weight.grad.copy()
        _line.zero_grad()
        _each = []
        for _n in range(2):
            _, _cache = _line.forward(_pictures[_n : _n + 1], train=True)
            _before = _line.weight.grad.copy()
            _line.backward(_dy[_n : _n + 1], _cache)
            _each.append(_line.weight.grad - _before)
    assert np.array_equal(_batch, _each[0] + _each[1])
    assert np.array_equal(_line.weight.grad, _batch)
    mo.md(f"""
    The second and the third situation, measured on our linear layer with the pictures (1, 2) and (3, 1), and `dy` (−1, 2) and (1, 1):

    | | dW |
    |:--|:--|
    | first picture alone | {_each[0].tolist()} |
    | second picture alone | {_each[1].tolist()} |
    | both in one batch | {_batch.tolist()} |
    | one after the other, without `zero_grad()` between | {_line.weight.grad.tolist()} |

    The last two are equal, bit for bit. If memory is short, you may use this: two half batches, one step.
    (The *mean* over the batch comes from the loss, which divides by N; the layers only sum.)
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The code

    This is the library's own text. First read the last two lines of each function, then the checks above them. `@accelerated` means that a
    faster form may take the function's place; the text that you read is what it must compute.
    """)
    return


@app.cell(hide_code=True)
def _(inspect, linear, mo, relu, residual):
    from tinyresnet import loss as _loss

    def _shown(*functions):
        source = "\n\n".join(inspect.getsource(function) for function in functions)
        return mo.md(f"```python\n{source}```")

    mo.ui.tabs(
        {
            "linear": _shown(linear.linear_forward, linear.linear_backward),
            "ReLU": _shown(relu.relu_backward, relu.rectify, relu.gate),
            "add and fork": _shown(residual.add_backward, residual.fork_backward),
            "softmax loss": _shown(_loss.cross_entropy_rows, _loss.cross_entropy_gradient_rows),
            "+= in the layer": _shown(linear.Linear),
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Your own gradient check

    How do you know that a backward pass is right? Measure. Move one number of $x$ by $\pm h$, and see how much the output changes. But
    a backward pass does not give the slope of *one* number; it needs a `dy`. So choose any array $r$ of the shape of $y$, call it the
    **upstream**, and take the loss $L = \sum r\,y$. Its `dy` is just $r$:

    $$\frac{\partial L}{\partial x_i} \approx \frac{\sum r\, y(x + h e_i) - \sum r\, y(x - h e_i)}{2h}
    \qquad\text{must equal}\qquad \text{backward}(r)_i .$$

    Ten lines, and they check any layer:
    """)
    return


@app.cell(hide_code=True)
def _(np):
    def worst_error(forward, backward, x, upstream, h=1e-5):
        """The largest difference between backward's dx and measured slopes."""
        _, cache = forward(x)
        dx = backward(upstream, cache)
        worst = 0.0
        for i in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[i] = h
            change = forward(x + step)[0] - forward(x - step)[0]
            worst = max(worst, abs((upstream * change).sum() / (2 * h) - dx[i]))
        return worst

    return (worst_error,)


@app.cell(hide_code=True)
def _(inspect, mo, textwrap, worst_error):
    mo.md(f"```python\n{textwrap.dedent(inspect.getsource(worst_error))}```")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **Which upstream?** The shortest choice is all ones, $L = \sum y$. Many courses and many test suites use it. Here are a right
    backward pass of the linear layer and of a softmax (without the loss), and wrong ones. Before you look at the next answer: which
    upstream will catch which?
    """)
    return


@app.cell(hide_code=True)
def _(np):
    def softmax_forward(x):
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        return p, p

    def softmax_backward(dy, p):
        return p * (dy - (p * dy).sum(axis=1, keepdims=True))

    def softmax_forgets_p(dy, p):
        return dy - (p * dy).sum(axis=1, keepdims=True)

    def softmax_returns_zero(dy, p):
        return np.zeros_like(p)

    def linear_reversed(dy, cache):
        return dy[:, ::-1] @ cache.weight

    def linear_ignores_dy(dy, cache):
        return np.ones_like(dy) @ cache.weight

    return (
        linear_ignores_dy,
        linear_reversed,
        softmax_backward,
        softmax_forgets_p,
        softmax_forward,
        softmax_returns_zero,
    )


@app.cell(hide_code=True)
def _(
    inspect,
    linear,
    linear_ignores_dy,
    linear_reversed,
    mo,
    np,
    softmax_backward,
    softmax_forgets_p,
    softmax_forward,
    softmax_returns_zero,
    textwrap,
    use,
    worst_error,
):
    def _linear(x):
        weight = np.array([[0.5, 0.25], [1.0, -1.0], [2.0, 0.75]])
        return linear.linear_forward(x, weight, np.zeros(3))

    def _linear_right(dy, cache):
        return linear.linear_backward(dy, cache)[0]

    _rng = np.random.default_rng(1)
    _x = _rng.standard_normal((2, 2))
    pairs = {
        "linear: right": (_linear, _linear_right),
        "linear: dy reversed": (_linear, linear_reversed),
        "linear: never looks at dy": (_linear, linear_ignores_dy),
        "softmax: right": (softmax_forward, softmax_backward),
        "softmax: a factor p forgotten": (softmax_forward, softmax_forgets_p),
        "softmax: returns zeros": (softmax_forward, softmax_returns_zero),
    }
    errors = {}
    with use("reference"):
        for _name, (_forward, _backward) in pairs.items():
            _shape = _forward(_x)[0].shape
            _upstreams = {"ones": np.ones(_shape), "random": _rng.standard_normal(_shape)}
            errors[_name] = {kind: worst_error(_forward, _backward, _x, r) for kind, r in _upstreams.items()}
    for _name, _found in errors.items():
        assert _found["ones"] < 1e-9, _name
        assert (_found["random"] < 1e-9) == _name.endswith("right"), _name
    mistakes = "\n".join(
        textwrap.dedent(inspect.getsource(f))
        for f in (
            softmax_forward,
            softmax_backward,
            softmax_forgets_p,
            softmax_returns_zero,
            linear_reversed,
            linear_ignores_dy,
        )
    )
    mo.accordion({"The six functions": mo.md(f"```python\n{mistakes}```")})
    return (errors,)


@app.cell(hide_code=True)
def _(ask):
    blind = ask(
        "How many of the four wrong backward passes does the check with `upstream = ones` catch?",
        ["all four", "two", "one", "none"],
    )
    blind
    return (blind,)


@app.cell(hide_code=True)
def _(blind, errors, reveal):
    _rows = "\n".join(f"| {name} | {found['ones']:.1g} | {found['random']:.1g} |" for name, found in errors.items())
    _caught = sum(found["ones"] > 1e-6 for name, found in errors.items() if not name.endswith("right"))
    assert _caught == 0
    reveal(
        blind,
        "none",
        f"""The largest error that the check found:

| backward | upstream of ones | random upstream |
|:--|:--|:--|
{_rows}

A softmax's outputs sum to 1, whatever x is. So the loss $\\sum y$ is always 1 (for each picture), its gradient is 0, and a function
that returns zeros is "right". The linear layer's mistakes exchange or ignore numbers of `dy` which are all equal. Ones ask one question
that is too easy: batch norm, softmax and everything else that
*normalises* has the answer 0. A random upstream asks about every output at once, with different weights.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Lesson 05 goes on here: which step $h$, what to do at a kink, and what a good check says besides "wrong". The library's checker is
    `tr.gradcheck.check`.

    ## Numbers to change

    ### One parameter, one slider

    Choose a parameter. Its gradient is the slope of the loss *at the start*. Predict first, then move the slider: the straight line is
    what the gradient promises, the curve is what happens.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    knob = mo.ui.dropdown(
        ["weight[0, 0]", "weight[0, 1]", "weight[1, 0]", "weight[1, 1]", "bias[0]", "bias[1]"],
        value="weight[0, 1]",
        label="parameter",
    )
    knob
    return (knob,)


@app.cell(hide_code=True)
def _(ask, knob):
    sign = ask(f"You turn {knob.value} up a little. The loss", ["falls", "stays as it is", "rises"])
    sign
    return (sign,)


@app.cell(hide_code=True)
def _(PARAMS, X, back, knob, loss, np, reveal, sign, walk):
    def moved_loss(delta):
        """The loss with the chosen parameter moved by delta."""
        params = {name: array.copy() for name, array in PARAMS.items()}
        params[chosen][place] += delta
        return walk(X, params)[0]

    chosen, _at = knob.value.rstrip("]").split("[")
    place = tuple(int(i) for i in _at.split(","))
    slope = float(back["linear"][f"d{chosen}"][place])
    _small = moved_loss(0.01) - loss
    assert abs(_small - 0.01 * slope) < 1e-4
    _answer = "stays as it is" if slope == 0 else "rises" if slope > 0 else "falls"
    _why = (
        "Output 1 of the linear layer is −1, and the ReLU blocks it: a small step of this parameter reaches nothing."
        if slope == 0
        else ""
    )
    reveal(
        sign,
        _answer,
        f"""The gradient is **{slope:g}**. For a step of 0.01 it promises {0.01 * slope:+.5f}; measured: {np.round(_small, 5) + 0.0:+.5f}. {_why}""",
    )
    return moved_loss, slope


@app.cell(hide_code=True)
def _(knob, mo):
    step = mo.ui.slider(-2, 2.5, step=0.1, value=0.4, label=f"move {knob.value} by", show_value=True, debounce=False)
    step
    return (step,)


@app.cell(hide_code=True)
def _(BLUE, Figure, GREY, ORANGE, knob, loss, mo, moved_loss, np, show, slope, step, style):
    _along = np.linspace(-2, 2.5, 91)
    _real, _promised = moved_loss(step.value), loss + slope * step.value
    with style():
        _figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.plot(_along, [moved_loss(delta) for delta in _along], color=BLUE, label="the loss")
        _axes.plot(_along, loss + slope * _along, color=ORANGE, linestyle="--", label="what the gradient promises")
        _axes.vlines(step.value, *sorted((_real, _promised)), color=GREY, linestyle=":")
        _axes.plot([step.value], [_real], "o", color=BLUE)
        _axes.plot([step.value], [_promised], "s", color=ORANGE)
        _axes.set(xlabel=f"change of {knob.value}", ylabel="loss", ylim=(0, 2))
        _axes.legend()
    mo.vstack(
        [
            show(
                _figure,
                alt=f"The loss by the change of {knob.value}: a curve, and the straight line of slope {slope:g} that touches it at 0. At {step.value:g} the loss is "
                f"{_real:.3f}, and the line gives {_promised:.3f}.",
            ),
            mo.md(f"""Promised: {slope:g} × {step.value:g} = **{slope * step.value:+.3f}**. Real change: **{_real - loss:+.3f}**. Make the step ten times smaller, and the
            difference becomes about a hundred times smaller, until a ReLU switches: find the kink of weight[1, 0]. Where is it, and why?"""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(PARAMS, X, back, loss, mo, np, walk):
    _h = float(X[0] @ PARAMS["weight"][1])
    _kink = -_h / X[0, 0]
    assert np.isclose(_kink, 1.0)

    def _off(delta):
        """How far the promise for weight[0, 1] is off: of second order in the step."""
        weight = PARAMS["weight"] + delta * np.array([[0, 1], [0, 0]])
        return walk(X, PARAMS | {"weight": weight})[0] - loss - delta * back["linear"]["dweight"][0, 1]

    assert 80 < _off(0.1) / _off(0.01) < 120
    mo.accordion(
        {
            "Where the kink is": mo.md(
                f"Output 1 is {_h:g} + δ · x[0] = {_h:g} + δ. It becomes positive at δ = **{_kink:g}**: there the weight wakes up. Its gradient at δ = 0 "
                "says nothing about this. A gradient knows the slope here, and only here."
            )
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Every number of the walk

    Change $x$, choose a number, and see the sum of products that made it. `tr.trace` recorded the passes of the real layers;
    `tr.explain` finds the arithmetic.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    first = mo.ui.slider(-3, 3, step=0.5, value=1, label="x[0]", show_value=True)
    second = mo.ui.slider(-3, 3, step=0.5, value=2, label="x[1]", show_value=True)
    _cells = [
        ("linear", "forward", "y"),
        ("relu1", "forward", "y"),
        ("add", "forward", "y"),
        ("loss", "forward", "p"),
        ("loss", "backward", "dx"),
        ("add", "backward", "da"),
        ("relu1", "backward", "dx"),
        ("linear", "backward", "dweight"),
        ("linear", "backward", "dx"),
        ("fork", "backward", "dx"),
    ]
    looked = mo.ui.dropdown(
        {f"{path} {direction}: {name}": (path, direction, name) for path, direction, name in _cells},
        value="fork backward: dx",
        label="array",
    )
    mo.hstack([first, second, looked], justify="start", gap=2, wrap=True)
    return first, looked, second


@app.cell(hide_code=True)
def _(PARAMS, first, looked, mo, np, number, second, tr, walk):
    _path, _direction, _name = looked.value
    _loss, _steps = walk(np.array([[first.value, second.value]], float), PARAMS)
    _step = _steps[_path, _direction]
    _array = _step.tensors[_name]

    _closed = {
        step.path: step.tensors for step in walk(np.array([[-2.0, 1.0]]), PARAMS)[1] if step.direction == "backward"
    }
    assert not _closed["linear"]["dx"].any()
    assert _closed["fork"]["dx"].all()

    def _sum(at):
        found = tr.explain(_steps, _step.index, _name, at)
        assert np.isclose(found.computed, found.value)
        terms = " + ".join(" × ".join(f"{f.symbol} ({number(f.value)})" for f in term.factors) for term in found.terms)
        return f"| {_name}[{', '.join(map(str, at))}] | {number(found.value)} | {terms} | {found.rule} |"

    _rows = "\n".join(_sum(at) for at in np.ndindex(_array.shape))
    mo.md(f"""
| number | is | made of | rule |
|:--|:--|:--|:--|
{_rows}

The loss is {_loss:.4f}. With x = (−2, 1) both ReLUs are closed: what is dx then, and why is it not zero?
""")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### The stepper

    The same walk, in the library's stepper. Step back with the arrow keys, pick a cell, predict its number, press Enter.
    """)
    return


@app.cell(hide_code=True)
def _(mo, steps):
    from tinyresnet.step.notebook import widget as _widget

    _stepper = _widget(steps)
    _stepper.step = steps["loss", "backward"].index
    mo.ui.anywidget(_stepper)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 01
    tinyresnet lesson check relu.py
    tinyresnet lesson check loss.py
    ```

    The first command writes the files, with gaps to fill (rung b). With `--rung a` you predict numbers, with `--rung c` you write the functions
    from an empty page. Begin with the rung that you find slightly too hard. `check` measures slopes as you did above, and tells you the first
    thing that is wrong, with a hint; `--hint 2` gives the next one.

    On paper, before you type: (1) with $N = 2$ equal pictures, what is $dz$ for each row? (2) What does `softmax_loss_backward` need
    `dloss` for, if it is always 1? (3) $y = x \cdot x$, computed as a product of the two ends of a fork: what are da, db, and dx?

    ## What to read

    - Rumelhart, Hinton, Williams, [Learning representations by back-propagating errors](https://www.nature.com/articles/323533a0)
      (Nature 323, 1986): two pages of maths, and the same two rules.
    - Goodfellow, Bengio, Courville, [Deep Learning](https://www.deeplearningbook.org/contents/mlp.html), section 6.5: the chain rule on
      graphs, and where the sum comes from.
    - Baydin, Pearlmutter, Radul, Siskind, [Automatic differentiation in machine learning: a survey](https://arxiv.org/abs/1502.05767)
      (JMLR 2018), section 3: what frameworks do for you.
    - Stanford's [CS231n notes on backpropagation](https://cs231n.github.io/optimization-2/) teach by gates with numbers on the wires;
      the picture above owes its form to them.
    - In this project: `tinyresnet/layers/base.py` and `tinyresnet/layers/linear.py`. Next is lesson 06 on residual blocks, or 02 on
      convolution.
    """)
    return


if __name__ == "__main__":
    app.run()
