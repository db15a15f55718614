"""Is my gradient right?

60 minutes. Needs lessons 01, 04.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="05 Is my gradient right?")


@app.cell(hide_code=True)
def _():
    import ast
    import inspect
    import textwrap

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.gradcheck import check_subject, localise, probe, tensor
    from tinyresnet.gradcheck.museum import MUSEUM
    from tinyresnet.gradcheck.subject import of_layer
    from tinyresnet.layers import ReLU, norm
    from tinyresnet_kernels import use

    return (
        BLUE,
        Figure,
        GREEN,
        GREY,
        MUSEUM,
        ORANGE,
        PURPLE,
        ReLU,
        ask,
        ast,
        check_subject,
        inspect,
        localise,
        mo,
        norm,
        np,
        of_layer,
        probe,
        reveal,
        show,
        style,
        tensor,
        textwrap,
        tr,
        use,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 05 · Is my gradient right?

    You wrote a backward pass. You moved the input by $\pm h = \pm 0.00001$, measured the slope, and compared. The two numbers differ by **a few millionths** of their size.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "Is the gradient right?",
        ["Yes: that is close enough", "No: it should be 1e-7 or less", "From this alone nobody can say"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(norm, np, opening, reveal, use):
    def slope_and_claim(forward, backward, x, r, v, h=1e-5):
        """Along v (like x), with upstream r (like y): the slope that is measured, and the slope that backward claims."""
        _, cache = forward(x)
        claimed = (backward(r, cache) * v).sum()
        change = forward(x + h * v)[0] - forward(x - h * v)[0]
        return (r * change).sum() / (2 * h), claimed

    def off(slope, claimed):
        """How far apart the two are, relative to the larger."""
        return abs(slope - claimed) / max(abs(slope), abs(claimed), 1e-30)

    def normalise(x):
        """Batch norm of x (N, C, H, W), weight 1 and bias 0."""
        return norm.batch_norm_forward(x, np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype))

    def right_backward(dy, cache):
        return norm.batch_norm_backward(dy, cache)[0]

    def eps_forgotten(dy, cache):
        """Backward divides by sqrt(var), forward by sqrt(var + eps)."""
        return norm.batch_norm_backward(dy, cache._replace(eps=0.0))[0]

    _rng = np.random.default_rng(0)
    _x, _r, _v = _rng.standard_normal((3, 4, 3, 2, 2))
    with use("reference"):
        _wrong = off(*slope_and_claim(normalise, eps_forgotten, _x, _r, _v))
        _single = [a.astype(np.float32) for a in (_x, _r, _v)]
        _right = off(*slope_and_claim(normalise, right_backward, *_single))
    assert 1e-6 < _wrong < 1e-5
    assert _right > 10 * _wrong
    reveal(
        opening,
        "From this alone nobody can say",
        f"""Two measurements of a batch norm's gradient. In float64, a backward pass that **forgot eps** is off by {_wrong:.0e}: it is *wrong*. In float32, the **right** one is off by {_right:.0e}: there the measurement itself is
        no better. A difference means nothing until you know *how exact the measurement is*. This lesson is about that number, the error bar.""",
    )
    return normalise, off, right_backward, slope_and_claim


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Choose the step of a finite difference, and say how exact it is, in float64 and in float32.
    - Say what a random upstream and a random direction see, and what ones do not.
    - Say what a check sees at a kink, and what is right there.
    - Read the verdict of `tr.gradcheck.check`: the error bar, where, and what kind of mistake.

    ## The idea in a picture

    The slope of $f$ by a central difference, $(f(x + h) - f(x - h)) / 2h$. A smaller $h$ fits the curve better. So take $h$ as small as you can?
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    step_asked = ask("In float64, for f = sin at x = 1: which step is best?", ["1e-2", "1e-5", "1e-8", "1e-15"])
    step_asked
    return (step_asked,)


@app.cell(hide_code=True)
def _(np, reveal, step_asked):
    STEPS = 2.0 ** -np.arange(1, 53)  # powers of two: x + h is then exact for as long as it can be
    FUNCTIONS = {
        "sin x": (np.sin, np.cos(1.0), np.sin(1.0), -np.cos(1.0)),
        "exp x": (np.exp, np.e, np.e, np.e),
        "1000 + sin x": (lambda x: 1000 + np.sin(x), np.cos(1.0), 1000 + np.sin(1.0), -np.cos(1.0)),
        "exp(20 x)": (lambda x: np.exp(20 * x), 20 * np.exp(20.0), np.exp(20.0), 8000 * np.exp(20.0)),
    }

    def difference_errors(name, dtype, way="central"):
        """Relative error of the slope at x = 1 for every one of STEPS."""
        f, slope, *_ = FUNCTIONS[name]
        x, errors = dtype(1), []
        for h in STEPS.astype(dtype):
            if way == "central":
                found = (f(x + h) - f(x - h)) / (2 * h)
            elif way == "forward":
                found = (f(x + h) - f(x)) / h
            else:
                found = f(x + 1j * h).imag / h
            errors.append(abs(float(found) - slope) / abs(slope))
        return np.maximum(errors, 1e-17)  # an error of 0 has no place on a logarithmic axis

    best = {}
    for _dtype in (np.float64, np.float32):
        _errors = difference_errors("sin x", _dtype)
        best[_dtype] = (float(STEPS[_errors.argmin()]), float(_errors.min()))
    assert 1e-6 < best[np.float64][0] < 1e-4
    assert 1e-3 < best[np.float32][0] < 1e-1
    assert best[np.float64][1] < 1e-9 < 1e-7 < best[np.float32][1]
    _tiny = difference_errors("sin x", np.float64)[STEPS < 1e-15].min()
    reveal(
        step_asked,
        "1e-5",
        f"""Measured: the best step is {best[np.float64][0]:.0e}, with an error of {best[np.float64][1]:.0e}. At steps below 1e-15 the error is {_tiny:.0e} or more: hardly a digit is right.
        In float32 the best step is {best[np.float32][0]:.0e}, a thousand times larger, with an error of {best[np.float32][1]:.0e}.""",
    )
    return FUNCTIONS, STEPS, difference_errors


@app.cell(hide_code=True)
def _(FUNCTIONS, mo):
    which = mo.ui.dropdown(list(FUNCTIONS), value="sin x", label="f")
    power = mo.ui.slider(1, 52, value=17, label="h = 2 to the minus", show_value=True, debounce=False)
    mo.hstack([which, power], justify="start", gap=2, wrap=True)
    return power, which


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    STEPS,
    difference_errors,
    mo,
    np,
    power,
    show,
    style,
    which,
):
    _curves = {
        "float64, central": (np.float64, "central", BLUE, "-"),
        "float64, one-sided": (np.float64, "forward", GREEN, "-"),
        "float32, central": (np.float32, "central", ORANGE, "-"),
        "float64, complex step": (np.float64, "complex", PURPLE, "--"),
    }
    _h = float(STEPS[power.value - 1])
    _lines = [f"| way | error at h = {_h:.0e} | best h | its error |", "|:--|:--|:--|:--|"]
    with style(), np.errstate(all="ignore"):
        _figure = Figure(figsize=(7.4, 4), layout="constrained")
        _axes = _figure.add_subplot()
        for _name, (_dtype, _way, _colour, _line) in _curves.items():
            _errors = difference_errors(which.value, _dtype, _way)
            _least = int(_errors.argmin())
            _axes.loglog(STEPS, _errors, color=_colour, linestyle=_line, label=_name)
            if _way != "complex":
                _axes.plot(STEPS[_least], _errors[_least], "o", color=_colour, markersize=9)
            _lines.append(f"| {_name} | {_errors[power.value - 1]:.0e} | {STEPS[_least]:.0e} | {_errors[_least]:.0e} |")
        _axes.axvline(_h, color=GREY, linestyle=":")
        _axes.set(xlabel="step h", ylabel="relative error of the slope", ylim=(3e-18, 1e5))
        _axes.legend(fontsize=9, loc="upper center", ncols=2)
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Error of the slope of {which.value} by step, both axes logarithmic. Each difference makes a U: it falls with h, then rises again as rounding takes over. "
                "float32's U stands higher and further to the right. The complex step falls and never rises.",
            ),
            mo.md("\n".join(_lines)),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Every difference makes a **U**. On the right side the curve bends away from the straight line: *truncation*. On the left side two nearly equal numbers are subtracted, and their rounding is divided by a tiny
    $2h$. The round marks are the best steps. Try `1000 + sin x`: the slope is the same, the rounding a thousand times larger, and the best step moves. Try `exp(20 x)`, which bends strongly: it moves the
    other way. **There is no one right step.** (The dashed curve comes later.)

    ## The maths, with the shapes

    **The step.** Taylor's series of both sides, and a rounding of $u\,|f|$ in each value ($u$ = 1.1e-16 in float64, 6e-8 in float32):

    $$\text{error}(h) \;\approx\; \underbrace{\tfrac{h^2}{6}\,|f'''|}_{\text{truncation}} + \underbrace{\tfrac{u\,|f|}{h}}_{\text{rounding}}
    \qquad\Rightarrow\qquad h_{best} = \Big(\frac{3\,u\,|f|}{|f'''|}\Big)^{1/3}$$

    So $h$ goes with the *cube root* of the rounding: 1e-5 in float64, and a few 1e-3 in float32, and at the best step a third of the digits is lost.
    """)
    return


@app.cell(hide_code=True)
def _(FUNCTIONS, STEPS, difference_errors, mo, np):
    _lines = [
        "| f | best h by the formula, float64 | measured | by the formula, float32 | measured |",
        "|:--|:--|:--|:--|:--|",
    ]
    for _name, (_, _, _value, _third) in FUNCTIONS.items():
        _cells = []
        for _dtype in (np.float64, np.float32):
            _wanted = (3 * np.finfo(_dtype).eps / 2 * abs(_value) / abs(_third)) ** (1 / 3)
            _measured = STEPS[difference_errors(_name, _dtype).argmin()]
            assert 1 / 16 < _measured / _wanted < 16
            _cells += [f"{_wanted:.0e}", f"{_measured:.0e}"]
        _lines.append(f"| {_name} | {' | '.join(_cells)} |")
    mo.md(
        "\n".join(
            [
                *_lines,
                "",
                "The measured best is a matter of luck within a factor of ten or so: near the bottom of the U, rounding jumps about.",
            ]
        )
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **A layer.** $x$ has $n$ numbers, $y$ has $m$. The Jacobian $J$ (m, n) holds every $\partial y_j / \partial x_i$. Nobody wants to build it: a 3 x 3 convolution over 64 channels of 32 x 32 has four billion
    entries in it for one picture. But forward can measure $Jv$ for any direction $v$ (shape of $x$): how all outputs move along $v$. And backward claims $J^\top r$ for any upstream $r$ (shape of $y$). For both:

    $$\langle r,\; J v \rangle \;=\; \langle J^\top r,\; v \rangle$$

    **Two forward passes check all n numbers at once**, if $v$ is random. This is the whole check; it differs from lesson 01's by the direction:
    """)
    return


@app.cell(hide_code=True)
def _(inspect, mo, off, slope_and_claim, textwrap):
    def code(*functions):
        """The text of functions, as it runs."""
        source = "\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions)
        return mo.md(f"```python\n{source}\n```")

    assert (64 * 32 * 32) ** 2 > 4e9
    code(slope_and_claim, off)
    return (code,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **Which r, which v?** Let backward claim a wrong $J + E$. The check sees $\langle r, E v \rangle$. If $r$ is all ones, it sees only the *column sums* of $E$: whatever sums to 0 over the outputs is invisible. A random
    $r$ and $v$ make that number 0 with probability 0. (If E is *fixed*, that is: if backward is linear in dy. One that is not, you will write yourself.)

    Does it matter? The bug museum holds wrong backward passes that people really write. Here is the check above on every piece, once with ones and once with a random upstream. It accepts a difference of 1e-4.
    """)
    return


@app.cell(hide_code=True)
def _(MUSEUM, ask):
    museum_asked = ask(
        f"Of {len(MUSEUM)} wrong backward passes, how many does the check with *ones* catch?",
        ["nearly all", "about 7 of 10", "about half", "about 1 of 10"],
    )
    museum_asked
    return (museum_asked,)


@app.cell(hide_code=True)
def _(MUSEUM, np, of_layer, use):
    def difference(layer, x, upstream, *, train=True, h=1e-5):
        """A plain check of a layer's gradients, of inputs and parameters: the largest relative difference of slope and claim."""
        subject, rng, worst = of_layer(layer, x, train=train), np.random.default_rng(1), 0.0
        run = subject.forward(subject.inputs)
        dys = tuple(np.ones_like(y) if upstream == "ones" else rng.standard_normal(y.shape) for y in run.outputs)
        gradients = run.backward(tuple(dy.copy() for dy in dys))
        for name, array in subject.inputs.items():
            v = rng.standard_normal(array.shape)
            ends = [subject.forward(subject.at(**{name: array + sign * h * v})).outputs for sign in (1, -1)]
            slope = sum((dy * (a - b)).sum() for dy, a, b in zip(dys, *ends, strict=True)) / (2 * h)
            claimed = (gradients[name] * v).sum() if np.shape(gradients.get(name)) == array.shape else np.inf
            apart = abs(slope - claimed) / max(abs(slope), 1e-3)
            worst = max(worst, apart if np.isfinite(apart) else np.inf)
        return worst

    def tried(bug):
        """The wrong layer with ones, with a random upstream, and the right layer with a random upstream."""
        rng = np.random.default_rng(0)
        wrong, x, train = bug.make(rng), bug.setting.inputs(rng), bug.setting.train
        right = bug.setting.make(np.random.default_rng(0))
        return [
            difference(layer, x, kind, train=train)
            for layer, kind in ((wrong, "ones"), (wrong, "random"), (right, "random"))
        ]

    ACCEPTED = 1e-4
    with use("reference"), np.errstate(all="ignore"):
        plain = np.array([tried(bug) for bug in MUSEUM])
    by_ones, by_random, false_alarms = (int(n) for n in (plain > ACCEPTED).sum(0))
    return ACCEPTED, by_ones, by_random, difference, false_alarms, plain


@app.cell(hide_code=True)
def _(
    ACCEPTED,
    MUSEUM,
    by_ones,
    by_random,
    false_alarms,
    museum_asked,
    plain,
    reveal,
):
    _missed = plain[:, 1] <= ACCEPTED
    _manners = _missed & [not bug.wrong for bug in MUSEUM]
    _strict = (plain > 1e-8).sum(0)
    assert len(MUSEUM) == 508
    assert 0.65 < by_ones / len(MUSEUM) < 0.75 < by_random / len(MUSEUM) < 0.95
    assert _manners.sum() > 20
    assert _strict[2] > false_alarms > 0
    assert {bug.layer for bug, row in zip(MUSEUM, plain, strict=True) if row[2] > ACCEPTED} <= {"relu", "max_pool"}
    reveal(
        museum_asked,
        "about 7 of 10",
        f"""Measured, on your machine just now: ones **{by_ones}**, a random upstream **{by_random}** of {len(MUSEUM)}. And at the same inputs the check blames **{false_alarms} right layers**: those stand on *kinks*, the next
        section. What the random upstream misses: {_manners.sum()} pieces compute right numbers with bad manners (they write into dy, or keep an array that the next pass overwrites), and {_missed.sum() - _manners.sum()} are off by less
        than was accepted. So accept less? With 1e-8 it catches {_strict[1]}, and blames {_strict[2]} right ones.""",
    )
    return


@app.cell(hide_code=True)
def _(BLUE, Figure, GREEN, GREY, MUSEUM, ORANGE, np, plain, show, style):
    _accepted = 10.0 ** np.arange(-12, 0.01, 0.1)
    _counts = (plain[None] > _accepted[:, None, None]).sum(1)
    with style():
        _figure = Figure(figsize=(7.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        for _column, _name, _colour, _line in (
            (1, "wrong ones caught, random", BLUE, "-"),
            (0, "wrong ones caught, ones", GREEN, "-"),
            (2, "right ones blamed", ORANGE, "--"),
        ):
            _axes.semilogx(_accepted, _counts[:, _column], color=_colour, linestyle=_line, label=_name)
        _axes.axhline(len(MUSEUM), color=GREY, linestyle=":")
        _axes.set(xlabel="difference that is accepted", ylabel=f"of {len(MUSEUM)}", ylim=(0, 540))
        _axes.legend(fontsize=9, loc="center", bbox_to_anchor=(0.6, 0.36))
    show(
        _figure,
        alt=f"Pieces that a plain check blames, by the difference that it accepts. With a random upstream the wrong ones stay below {len(MUSEUM)} where anything sensible is accepted; "
        "the smaller the accepted difference, the more right layers are blamed. With ones, fewer wrong ones are caught everywhere.",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    **No tolerance is good.** Strict ones blame right layers, lax ones pass wrong ones: how exact a measurement is differs from layer to layer, and one number cannot know that.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Kinks

    A ReLU at 0 and a max pooling with a tie have no slope. Move $x$ and $h$: what does a central difference say?
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    kink_asked = ask(
        "ReLU exactly at x = 0; backward gives 0 there. What does a central difference measure, however small h is?",
        ["0", "1/2", "1", "it jumps about"],
    )
    kink_asked
    return (kink_asked,)


@app.cell(hide_code=True)
def _(ACCEPTED, ReLU, difference, kink_asked, np, reveal, tr, use):
    def secant(x, h):
        """The central difference of max(x, 0)."""
        return (max(x + h, 0) - max(x - h, 0)) / (2 * h)

    assert all(secant(0, h) == 0.5 for h in (0.5, 1e-3, 1e-9))
    _zeros = np.zeros((1, 1, 2, 2))
    with use("reference"):
        kink_report = tr.gradcheck.check(ReLU(), _zeros)
        _blamed = difference(ReLU(), _zeros, "random") > ACCEPTED
    assert _blamed
    assert kink_report.verdict == "correct"
    reveal(
        kink_asked,
        "1/2",
        f"""Measured: {secant(0, 1e-3):g} with h = 1e-3, and {secant(0, 1e-9):g} with h = 1e-9: half of it lies on each side. The backward pass says 0, which is right *by convention*: any number between the slope on the left (0) and on the right (1) is a
        subgradient. So a plain check calls a right ReLU **wrong** at 0. It does so too if a kink is nearer than h.""",
    )
    return kink_report, secant


@app.cell(hide_code=True)
def _(mo):
    at = mo.ui.slider(-1, 1, step=0.05, value=0.2, label="x", show_value=True, debounce=False)
    width = mo.ui.slider(steps=[0.05, 0.1, 0.2, 0.4, 0.8], value=0.4, label="h", show_value=True, debounce=False)
    mo.hstack([at, width], justify="start", gap=2)
    return at, width


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, at, mo, np, secant, show, style, width):
    _x, _h = at.value, width.value
    _ends = np.array([_x - _h, _x + _h])
    _right = 0.0 if _x <= 0 else 1.0
    with style():
        _figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.plot([-2, 0, 2], [0, 0, 2], color=BLUE, label="ReLU")
        _axes.plot(
            _ends, np.maximum(_ends, 0), "s--", color=ORANGE, label=f"central difference: slope {secant(_x, _h):.2f}"
        )
        _axes.plot([_x], [max(_x, 0)], "o", color=BLUE, markersize=9)
        _axes.set(xlabel="x", ylabel="y", xlim=(-2, 2), ylim=(-0.3, 2))
        _axes.legend(loc="upper left")
    mo.vstack(
        [
            show(
                _figure,
                alt=f"ReLU, and the straight line through its values at {_x:g} − {_h:g} and {_x:g} + {_h:g}: its slope is {secant(_x, _h):.2f}, where backward says {_right:g}.",
            ),
            mo.md(
                f"Measured {secant(_x, _h):.3f}, backward says {_right:g}: "
                + (
                    "they agree."
                    if np.isclose(secant(_x, _h), _right)
                    else "**a plain check raises an alarm**, and there is nothing wrong."
                )
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo, np, off, slope_and_claim, tr, use):
    def everyone_wins(x):
        """Max over rows of x (N, D), and a backward that gives the whole gradient to everyone who ties."""
        y = x.max(axis=1, keepdims=True)
        return y, x == y

    def everyone_wins_backward(dy, winners):
        return dy * winners

    _rng = np.random.default_rng(0)
    with use("reference"):
        _apart = [
            off(
                *slope_and_claim(
                    everyone_wins, everyone_wins_backward, *(_rng.standard_normal(s) for s in ((3, 4), (3, 1), (3, 4)))
                )
            )
            for _ in range(20)
        ]
        tie_report = tr.gradcheck.check(everyone_wins, _rng.standard_normal((3, 4)), backward=everyone_wins_backward)
    assert max(_apart) < 1e-6
    assert tie_report.verdict == "wrong"
    mo.md(f"""
    Many checkers therefore draw numbers *away* from kinks. Then there is no false alarm, and no mistake at a kink is ever seen. But after a ReLU, zeros are everywhere, and zeros tie. Here is a maximum over rows whose
    backward pass gives the gradient to **everyone who ties**. On random numbers nobody ties: in 20 plain checks it was off by at most {max(_apart):.0e}.

    What to do at a kink? *Measure both sides.* With few outputs on kinks, a right slope lies between the left and the right one. The library's verifier does that, and looks at every bent function twice more: where
    inputs tie and vanish, and a little beside. Of the maximum it says:
    """)
    return (tie_report,)


@app.cell(hide_code=True)
def _(kink_report, mo, tie_report):
    def said(report):
        """The verifier's report, as it prints."""
        return mo.md(f"```text\n{report}\n```")

    mo.vstack([said(tie_report), mo.md("And of the right ReLU, checked at zeros alone:"), said(kink_report)])
    return (said,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The code

    **The verifier** does what you just did, and keeps account of every error:

    1. *Manners first*: shapes, dtypes, the same bits twice, zero and linear in dy, nothing written that is not its own.
    2. *Slopes with error bars*: five steps in place of one; the differences between them (a Richardson table) and the measured rounding say how far off the slope may be. Nobody is asked for a step or a tolerance.
    3. *Verdict*: **wrong** if claim and slope differ by more than 10 error bars; **correct** if not, and then it says how small an error would have shown; **inconclusive** if the bars are too wide to say.
    4. *Where*: by halves, so that one wrong number among n is found in about $2 \log_2 n$ looks. *What*: the Jacobian of a small case is compared with those of known mistakes.

    `Comparison.off` and `TensorCheck.verdict` are the verdict; `complex_slopes` is the last section of this lesson.
    """)
    return


@app.cell(hide_code=True)
def _(code, localise, mo, probe, tensor):
    assert tensor.WRONG == 10
    mo.ui.tabs(
        {
            "the verdict": code(
                tensor.Comparison.away.fget, tensor.Comparison.off.fget, tensor.TensorCheck.verdict.fget
            ),
            "where": code(localise.wrong_elements),
            "complex step": code(probe.Probe.complex_slopes),
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### How small an error is seen?

    Batch norm of 60 numbers, and a backward pass that is right but for **one element**, which is too large by a factor $1 + \delta$. Make $\delta$ smaller, until the verifier cannot see it. It tells you beforehand where
    that is.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    delta = mo.ui.slider(-15, 0, step=1, value=-6, label="δ = 10 to the", show_value=True)
    delta
    return (delta,)


@app.cell(hide_code=True)
def _(normalise, np, right_backward, tr, use):
    def spoiled(power):
        """The verifier's report on a batch norm whose dx is wrong in one element, by 10^power of it."""

        def backward(dy, cache):
            dx = right_backward(dy, cache)
            dx[1, 2, 0, 1] *= 1 + 10.0**power
            return dx

        x = np.random.default_rng(3).standard_normal((5, 3, 2, 2))
        return tr.gradcheck.check(normalise, x, backward=backward)

    with use("reference"):
        _coarse, _fine = spoiled(-6), spoiled(-15)
    assert _coarse.verdict == "wrong"
    assert next(iter(_coarse.places.values())).elements[0].index == (1, 2, 0, 1)
    assert _fine.verdict == "correct"
    assert _fine.limit < 1e-9
    return (spoiled,)


@app.cell(hide_code=True)
def _(delta, said, spoiled, use):
    with use("reference"):
        _report = spoiled(delta.value)
    said(_report)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Five bugs to find

    Each of these hangs in the museum. Read it, find what is wrong, and say: **would a plain check see it**, on random numbers, with ones or with a random upstream? `cache` is what the right layer remembers. Pictures here are
    square, as in most tests.
    """)
    return


@app.cell(hide_code=True)
def _(
    ACCEPTED,
    MUSEUM,
    ast,
    difference,
    inspect,
    mo,
    np,
    reveal,
    said,
    textwrap,
    tr,
    use,
):
    from tinyresnet.gradcheck.museum import avg_pool as _avg_pool
    from tinyresnet.gradcheck.museum import linear as _linear
    from tinyresnet.gradcheck.museum import max_pool as _max_pool
    from tinyresnet.gradcheck.museum import norm as _norm
    from tinyresnet.gradcheck.museum import relu as _relu

    SEEN = ["both see it", "only the random upstream sees it", "neither sees it"]
    EXHIBITS = [
        ("linear: averaged over the batch", (5, 4), [_linear.averaged_over_the_batch]),
        (
            "batch_norm: variance taken for a constant",
            (3, 4, 2, 2),
            [_norm.variance_taken_for_a_constant, _norm.terms, _norm.scaled],
        ),
        ("max_pool: everyone who ties wins", (2, 2, 4, 4), [_max_pool.everyone_who_ties_wins, _max_pool._masked]),
        ("global_avg_pool: divided as a square", (2, 3, 4, 4), [_avg_pool.divided_as_a_square]),
        ("relu: upstream masked in place", (2, 2, 3, 3), [_relu.backward_upstream_masked_in_place]),
    ]

    def bare(function, name=None):
        """A function's text without decorators, comments and the docstring that gives it away."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        tree.decorator_list, tree.name, tree.returns = [], name or tree.name, None
        for argument in tree.args.args:
            argument.annotation = None
        if ast.get_docstring(tree):
            tree.body = tree.body[1:]
        return ast.unparse(tree)

    def exhibit(i):
        """The text of bug i, its name taken away."""
        name, shape, (function, *helpers) = EXHIBITS[i]
        text = "\n\n".join([bare(function, "backward"), *map(bare, helpers)])
        return mo.md(f"#### Bug {i + 1}: {name.split(':')[0]}, x {shape}\n\n```python\n{text}\n```")

    def bug_and_layer(i):
        name, shape, _ = EXHIBITS[i]
        bug = next(bug for bug in MUSEUM if bug.name == name)
        return bug, bug.make(np.random.default_rng(0)), np.random.default_rng(i).standard_normal(shape)

    verdicts, reports = [], []
    with use("reference"):
        for _i in range(len(EXHIBITS)):
            _bug, _layer, _x = bug_and_layer(_i)
            _seen = [difference(_layer, _x, kind) > ACCEPTED for kind in ("ones", "random")]
            verdicts.append(SEEN[2 - sum(_seen)] if _seen != [True, False] else "only ones see it")
            reports.append(tr.gradcheck.check(_layer, _x, name=_bug.layer))
    assert verdicts == [SEEN[0], SEEN[1], SEEN[2], SEEN[2], SEEN[2]]
    assert all(report.verdict == "wrong" for report in reports)

    def unveiled(i, asked):
        """What the plain checks see; and folded, the mistake and the verifier's report."""
        mistake = bug_and_layer(i)[0].mistake.replace("*", "&#42;")
        told = mo.accordion(
            {"Reveal the mistake": mo.vstack([mo.md(f"**{mistake}** The verifier says:"), said(reports[i])])}
        )
        return mo.vstack([reveal(asked, verdicts[i], f"Tried just now: {verdicts[i]}."), told])

    return EXHIBITS, SEEN, exhibit, unveiled


@app.cell(hide_code=True)
def _(EXHIBITS, SEEN, ask, exhibit, mo):
    guesses = [ask("A plain check on random numbers:", SEEN) for _ in EXHIBITS]
    guess_1, guess_2, guess_3, guess_4, guess_5 = guesses
    mo.vstack([exhibit(0), guess_1])
    return guess_1, guess_2, guess_3, guess_4, guess_5


@app.cell(hide_code=True)
def _(guess_1, unveiled):
    unveiled(0, guess_1)
    return


@app.cell(hide_code=True)
def _(exhibit, guess_2, mo):
    mo.vstack([exhibit(1), guess_2])
    return


@app.cell(hide_code=True)
def _(guess_2, unveiled):
    unveiled(1, guess_2)
    return


@app.cell(hide_code=True)
def _(exhibit, guess_3, mo):
    mo.vstack([exhibit(2), guess_3])
    return


@app.cell(hide_code=True)
def _(guess_3, unveiled):
    unveiled(2, guess_3)
    return


@app.cell(hide_code=True)
def _(exhibit, guess_4, mo):
    mo.vstack([exhibit(3), guess_4])
    return


@app.cell(hide_code=True)
def _(guess_4, unveiled):
    unveiled(3, guess_4)
    return


@app.cell(hide_code=True)
def _(exhibit, guess_5, mo):
    mo.vstack([exhibit(4), guess_5])
    return


@app.cell(hide_code=True)
def _(guess_5, unveiled):
    unveiled(4, guess_5)
    return


@app.cell(hide_code=True)
def _(MUSEUM, mo):
    mo.md(f"""
    One was seen by both, one by the random upstream alone, and three by neither: they need *ties*, *unequal sizes*, or *somebody who looks at dy afterwards*. Random numbers of one shape do not ask these questions.

    ### Any of the {len(MUSEUM)}
    """)
    return


@app.cell(hide_code=True)
def _(MUSEUM, mo):
    piece = mo.ui.dropdown(
        [bug.name for bug in MUSEUM], value="conv2d: weight decayed here too", label="piece", searchable=True
    )
    piece
    return (piece,)


@app.cell(hide_code=True)
def _(
    ACCEPTED,
    MUSEUM,
    check_subject,
    difference,
    mo,
    np,
    of_layer,
    piece,
    use,
):
    bug = next(bug for bug in MUSEUM if bug.name == piece.value)
    _rng = np.random.default_rng(0)
    wrong_layer, its_input = bug.make(_rng), bug.setting.inputs(_rng)
    with use("reference"), np.errstate(all="ignore"):
        _seen = {
            kind: difference(wrong_layer, its_input, kind, train=bug.setting.train) > ACCEPTED
            for kind in ("ones", "random")
        }
        _verdict = check_subject(of_layer(wrong_layer, its_input, train=bug.setting.train), locate=False).verdict
    assert _verdict == "wrong"
    _said = {kind: "sees it" if seen else "**blind**" for kind, seen in _seen.items()}
    full = mo.ui.run_button(label="Where, and what kind of mistake? (a few seconds)")
    mo.vstack(
        [
            mo.md(
                f"*{bug.mistake.replace('*', '&#42;')}*\n\nA plain check with ones: {_said['ones']}. With a random upstream: {_said['random']}. The verifier: **{_verdict}**."
            ),
            full,
        ]
    )
    return bug, full, its_input, wrong_layer


@app.cell(hide_code=True)
def _(bug, full, its_input, said, tr, use, wrong_layer):
    with use("reference"):
        _found = (
            said(tr.gradcheck.check(wrong_layer, its_input, train=bug.setting.train, name=bug.layer))
            if full.value
            else None
        )
    _found
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### The complex step

    The dashed curve of the first figure. If $f$ is made of sums, products, exponentials and the like, it takes complex numbers too. Step *sideways*, along $i$:

    $$f(x + i h) = f(x) + i h\, f'(x) - \tfrac{h^2}{2} f''(x) - \dots \qquad\Rightarrow\qquad f'(x) \approx \frac{\mathrm{Im}\, f(x + i h)}{h}$$

    Nothing is subtracted, so nothing is lost: $h$ may be 1e-100. It looks perfect. One line of a layer can spoil it: `np.var`, `abs`, `max`, a comparison. They do something else with complex numbers, *silently*.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    complex_asked = ask(
        "A batch norm that uses `x.var()`. What does the complex step measure?",
        ["the true slope, to 1e-16", "the slope as if the variance were a constant", "an error is raised", "NaN"],
    )
    complex_asked
    return (complex_asked,)


@app.cell(hide_code=True)
def _(complex_asked, norm, np, off, reveal, use):
    def with_np_var(x):
        """Batch norm of one channel of numbers (M,)."""
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    def with_squares(x):
        """The same; the variance written out."""
        centred = x - x.mean()
        return centred / np.sqrt((centred * centred).mean() + 1e-5)

    _rng = np.random.default_rng(0)
    _x, _r, _v = _rng.standard_normal((3, 12))
    _h = 1e-100
    _by_var, _by_squares = ((_r * f(_x + 1j * _h * _v).imag).sum() / _h for f in (with_np_var, with_squares))
    _, _cache = norm.batch_norm_forward(_x.reshape(12, 1, 1, 1), np.ones(1), np.zeros(1))
    with use("reference"):
        _true = (norm.batch_norm_backward(_r.reshape(12, 1, 1, 1), _cache)[0].ravel() * _v).sum()
    _constant = ((_r - _r.mean()) * _v).sum() / np.sqrt(_x.var() + 1e-5)
    assert np.array_equal(with_np_var(_x), with_squares(_x)) or np.allclose(
        with_np_var(_x), with_squares(_x), rtol=1e-14
    )
    assert off(_by_squares, _true) < 1e-12
    assert off(_by_var, _constant) < 1e-12
    assert off(_by_var, _true) > 0.01
    reveal(
        complex_asked,
        "the slope as if the variance were a constant",
        f"""Measured along one direction: **{_by_var:.6f}** with `x.var()`, **{_by_squares:.6f}** with the variance written out. The truth is {_true:.6f}; without the variance's way it would be {_constant:.6f}. Of complex numbers
        `np.var` takes $|x - \\mu|^2$, which has no part in $i$. So a right gradient would be called wrong, and the backward pass that forgets the variance's way *right*. The library's forward pass writes the squares out for this reason, and
        the verifier believes a complex step only where it agrees with the differences.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### For the strongest: fool the check

    $y = x \cdot w$, with x and y of shape (N, D) and w (D,), has $dx = dy \cdot w$. Write a **wrong** backward pass that an all-ones check calls right. Open this lesson with `tinyresnet lesson open 5 --edit`, change the next
    cell, and run it. The judge is below. Then go on: a wrong one that is also *linear in dy*. And one that is right for ones **and for every one-hot dy**, so that even a check that measures the whole Jacobian passes it.
    """)
    return


@app.function
def fooling_backward(dy, w):
    """dx (N, D) for dy (N, D) and w (D,). This one is right: spoil it."""
    return dy * w


@app.cell(hide_code=True)
def _(np, tr):
    def scale(x):
        """y = x * w, for a fixed w (D,)."""
        w = np.array([2.0, -1.0, 0.5])
        return x * w, w

    def judged(backward):
        """What each check says of a backward pass of `scale`: whether it passes."""
        rng, w = np.random.default_rng(0), scale(np.zeros((4, 3)))[1]
        hots = np.eye(12).reshape(12, 4, 3)
        a, b = rng.standard_normal((2, 4, 3))

        def passes(dy):
            return np.shape(backward(dy.copy(), w)) == dy.shape and np.allclose(
                backward(dy.copy(), w), dy * w, atol=1e-6
            )

        return {
            "ones": passes(np.ones((4, 3))),
            "every one-hot dy": all(passes(hot) for hot in hots),
            "a random upstream": passes(a),
            "linear in dy": np.allclose(backward(a + 2 * b, w), backward(a, w) + 2 * backward(b, w), atol=1e-6),
            "the verifier": tr.gradcheck.check(scale, rng.standard_normal((4, 3)), backward=backward).verdict
            == "correct",
        }

    def forgets_dy(dy, w):
        """The local slope alone. For a dy of ones it is the gradient."""
        return np.broadcast_to(w, dy.shape).copy()

    def wrong_picture(dy, w):
        """Each picture gets its neighbour's gradient. Linear in dy; with ones all neighbours are alike."""
        return np.roll(dy, 1, axis=0) * w

    _first, _second = judged(forgets_dy), judged(wrong_picture)
    assert [_first["ones"], _first["a random upstream"], _first["linear in dy"], _first["the verifier"]] == [
        True,
        False,
        False,
        False,
    ]
    assert [_second["ones"], _second["a random upstream"], _second["linear in dy"], _second["the verifier"]] == [
        True,
        False,
        True,
        False,
    ]
    return forgets_dy, judged, wrong_picture


@app.cell(hide_code=True)
def _(code, forgets_dy, judged, mo, wrong_picture):
    try:
        _marks = judged(fooling_backward)
        _lines = [
            "| check | your backward |",
            "|:--|:--|",
            *(f"| {name} | {'passes' if good else '**fails**'} |" for name, good in _marks.items()),
        ]
        if _marks["a random upstream"]:
            _level = "It is still right: a random upstream passes it."
        elif not _marks["ones"]:
            _level = "It is wrong, and ones see that. Wrong, but right for a dy of ones, is wanted."
        elif _marks["every one-hot dy"]:
            _level = "**All of it.** It fools ones and the whole Jacobian. Such a backward pass cannot be linear in dy: which is why the verifier tests just that, first of all."
        elif _marks["linear in dy"]:
            _level = "**Second level**: it fools ones, and it is linear in dy. One is left: right for every one-hot dy."
        else:
            _level = "**First level**: it fools ones. Can you make it linear in dy?"
        _shown = mo.md("\n".join([*_lines, "", _level]))
    except Exception as error:
        _shown = mo.callout(mo.md(f"It does not run: {type(error).__name__}: {error}"), kind="warn")
    mo.vstack(
        [code(fooling_backward), _shown, mo.accordion({"Two solutions (try first)": code(forgets_dy, wrong_picture)})]
    )
    return


@app.cell(hide_code=True)
def _(MUSEUM, by_ones, by_random, false_alarms, mo):
    mo.md(f"""
    ### How good is the verifier?

    A checker must be checked as well. These figures stand in `docs/gradcheck.md`, each with the command that makes it again:

    | what | figure | command |
    |:--|:--|:--|
    | wrong gradients caught: {len(MUSEUM)} pieces, 5 seeds each | 2,540 of 2,540 | `tinyresnet gradcheck --selftest --verdicts --seed 10000 --seeds 5 --right 3000` |
    | first diagnosis right (of 345 with a sign that has a name) | 93.3 % | `tinyresnet gradcheck --selftest` |
    | right layers drawn by chance that were blamed | 0 of 3,000 | `tinyresnet gradcheck --selftest --verdicts --seed 10000 --seeds 5 --right 3000` |
    | one element of 100,000 off by a millionth | seen and found, each time | `pytest tests/test_gradcheck.py -k one_wrong_element` |
    | checkers with one piece broken that fail their panel | 20 of 20 | `pytest tests/test_gradcheck_canaries.py` |

    Beside it, from above: the plain check caught {by_ones} of {len(MUSEUM)} with ones, {by_random} with a random upstream, and blamed {false_alarms} right layers. Read the figures with care: the diagnoses were written beside this museum. And
    what no check sees: an error below its limit; a mistake that needs a setting or shape which it was not given; anything in a function that is random in each pass.
    """)
    return


@app.cell(hide_code=True)
def _(MUSEUM, check_subject, mo, np, of_layer, use):
    def caught(bug):
        """Whether the verifier blames a piece; nothing is located or diagnosed, which is faster."""
        rng = np.random.default_rng(5)
        layer, x = bug.make(rng), bug.setting.inputs(rng)
        return check_subject(of_layer(layer, x, train=bug.setting.train), locate=False).verdict == "wrong"

    _drawn = np.random.default_rng(7).choice(len(MUSEUM), 12, replace=False)
    with use("reference"):
        _caught = sum(caught(MUSEUM[i]) for i in _drawn)
    assert _caught == len(_drawn)
    mo.md(f"Live, on {len(_drawn)} pieces drawn by chance: **{_caught} caught**.")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 05
    tinyresnet lesson check bugs.py
    tinyresnet lesson check fool.py
    ```

    The first command writes the files. In `bugs.py` five backward passes have one wrong line each: find and mend it. In `fool.py` you write wrong ones that an all-ones check calls right: for a ReLU, and for a normalisation.

    Your own code, in any project: `tinyresnet gradcheck mine.py:MyLayer`, or in a test `assert_gradients(forward, x, backward=backward)` from `tinyresnet.testing`.

    On paper, for the viva: *(1) A check in float32 uses h = 1e-5. What does it measure? (2) Your layer ends in a softmax. Why is the loss $\sum y$ a bad choice? (3) A test draws pictures of 4 x 4 alone. Name two mistakes that it cannot see.
    (4) Would you rather have a check that misses one bug in ten, or one that blames one right layer in ten?*

    ## What to read

    - Squire, Trapp, [Using complex variables to estimate derivatives of real functions](https://doi.org/10.1137/S003614459631241X) (SIAM Review 1998): three pages; the complex step.
    - Ridders, [Accurate computation of F'(x) and F'(x) F''(x)](https://doi.org/10.1016/S0141-1195(82)80057-0) (1982): several steps and an error estimate, in place of one step.
    - Moré, Wild, [Estimating derivatives of noisy functions](https://doi.org/10.1145/2168773.2168777) (ACM TOMS 2012): measure the noise, then choose the step.
    - Baydin, Pearlmutter, Radul, Siskind, [Automatic differentiation in machine learning: a survey](https://arxiv.org/abs/1502.05767) (JMLR 2018), section 2.1: the same U, and why frameworks do not differentiate by differences.
    - Stanford's [CS231n notes](https://cs231n.github.io/neural-networks-3/#gradcheck) list the practical traps of a gradient check, kinks among them.
    - In this project: `docs/gradcheck.md`, `tinyresnet/gradcheck/slopes.py`, and the museum in `tinyresnet/gradcheck/museum/`. Next is lesson 06: the residual add.
    """)
    return


if __name__ == "__main__":
    app.run()
