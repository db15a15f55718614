"""Training a real one

50 minutes. Needs lessons 01, 04, 07.
"""

import marimo

app = marimo.App(width="medium", app_title="08 Training a real one")


@app.cell(hide_code=True)
def _():
    import inspect
    import math
    from dataclasses import replace

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course import places
    from tinyresnet.course.experiments import ablations
    from tinyresnet.course.experiments.networks import Budget, train_one
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.data.augment import Augment
    from tinyresnet.schedule import SCHEDULES, learning_rate
    from tinyresnet.train import Settings

    return (
        Augment,
        BLUE,
        Budget,
        Figure,
        GREEN,
        GREY,
        ORANGE,
        SCHEDULES,
        Settings,
        ablations,
        ask,
        inspect,
        learning_rate,
        math,
        mo,
        np,
        places,
        replace,
        reveal,
        show,
        style,
        tr,
        train_one,
    )


@app.cell(hide_code=True)
def _(BLUE, Figure, GREY, ORANGE, ablations, mo, np, places, show, style):
    held = places.data("ablations")
    budget_was = held["settings"]
    seeds = len({row["seed"] for row in held["results"]})

    def group(name):
        """The base and the settings of a group by name, each with (mean, spread) of every figure."""
        return {row["name"]: row for row in ablations.summary(held["results"], name)}

    base = group("base")["base"]

    def error(row):
        """A row's test error in percent, for a sentence."""
        mean, spread = row["test_error"]
        return f"{100 * mean:.1f} ± {100 * spread:.1f} %"

    def gain(row):
        """By how many points a row is better than the base, for a sentence."""
        mean, spread = row["gain"]
        return f"{100 * mean:+.1f} ± {100 * spread:.1f}"

    def points(row):
        """By how many points a row is worse than the base (or better, where it is below 0), for a sentence."""
        mean, spread = row["gain"]
        return f"{-100 * mean:.1f} ± {100 * spread:.1f}"

    def chart(name, what, *, order=None, base_name="base"):
        """Training and test error of a group as points with error bars, beside a table of the same numbers."""
        rows = group(name)
        names = order or list(rows)
        with style():
            figure = Figure(figsize=(6.6, 1.2 + 0.36 * len(names)), layout="constrained")
            axes = figure.add_subplot()
            axes.axvline(100 * base["test_error"][0], color=GREY, linewidth=0.8, linestyle=":")
            for figure_name, label, colour, mark, shift in (
                ("train_error", "training", BLUE, "o", -0.12),
                ("test_error", "test", ORANGE, "s", 0.12),
            ):
                means, spreads = np.array([rows[n][figure_name] for n in names]).T * 100
                places_ = np.arange(len(names)) + shift
                axes.errorbar(
                    means, places_, xerr=spreads, fmt=mark, color=colour, capsize=3, markersize=5, label=label
                )
            axes.set_yticks(range(len(names)), [base_name if n == "base" else n for n in names], parse_math=False)
            axes.invert_yaxis()
            axes.set(xlabel=f"error, %: mean and spread of {seeds} seeds")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        said = "; ".join(f"{base_name if n == 'base' else n} {error(rows[n])}" for n in names)
        lines = ["| | training error | test error | better than the base by |", "|:---|---:|---:|---:|"]
        for n in names:
            train_mean, train_spread = rows[n]["train_error"]
            train = f"{100 * train_mean:.1f} ± {100 * train_spread:.1f} %"
            shown = base_name if n == "base" else n
            lines.append(f"| {shown} | {train} | {error(rows[n])} | {'' if n == 'base' else gain(rows[n])} |")
        return mo.vstack(
            [show(figure, alt=f"Training and test error by {what}. Test error: {said}."), mo.md("\n".join(lines))]
        )

    return base, budget_was, chart, error, gain, group, held, points, seeds


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 08 · Training a real one

    You have a network, and every gradient in it is right. Now it must *learn*. Between a right gradient and a good network stand a dozen choices:
    first weights, learning rate, its schedule, weight decay, augmentation, more data. Each has a folklore. In this lesson each is changed
    *alone*, with several seeds, and measured.

    Begin with the most important one. A ResNet-8 is trained with learning rate 2, ten times its usual one, held constant. It ends hardly better
    than guessing.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "The rate must stay at 2 at its peak. What rescues the run?",
        [
            "nothing: 2 is too high",
            "a warm-up alone: full recovery",
            "a rise and a fall to 0 (one cycle): almost full recovery",
        ],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(base, budget_was, error, group, opening, reveal, seeds):
    _schedule, _rate = group("schedule"), group("rate")
    _constant, _warm, _cycle = _schedule["constant, rate 2"], _schedule["constant, rate 2, warm-up"], _rate["2"]
    assert _constant["test_error"][0] > _warm["test_error"][0] > _cycle["test_error"][0]
    assert _constant["test_error"][0] > base["test_error"][0] + 0.1
    assert _cycle["test_error"][0] < base["test_error"][0] + 0.08
    reveal(
        opening,
        "a rise and a fall to 0 (one cycle): almost full recovery",
        f"""Test error ({seeds} seeds, {budget_was["epochs"]} epochs, guessing gives 90 %): constant {error(_constant)}; constant after a warm-up {error(_warm)};
        one cycle with the same peak **{error(_cycle)}**. The usual rate 0.2 with one cycle has {error(base)}. So "2 is too high" is a statement about a rate *and its
        schedule*.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Choose first weights, a learning rate and a schedule for a network that you have never trained, and say why.
    - Say what weight decay does in a network with batch norm, and when augmentation pays.
    - Read an ablation: what was changed, over how many seeds, and whether a difference is larger than chance.
    - Train a ResNet on CIFAR-10 with one command, and know what to expect.

    ## The idea in a picture

    Four schedules: the learning rate as a factor of its peak over a run. They are data, not code: `factor(done)` for the part of the run that is done.
    Move the warm-up, and see what it does to each.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    warm = mo.ui.slider(0, 50, step=5, value=0, label="warm-up, % of the updates", show_value=True)
    warm
    return (warm,)


@app.cell(hide_code=True)
def _(Figure, SCHEDULES, learning_rate, show, style, warm):
    with style():
        _figure = Figure(figsize=(6.6, 2.8), layout="constrained")
        _axes = _figure.add_subplot()
        for (_name, _schedule), _line in zip(SCHEDULES.items(), ("-", "--", "-.", ":"), strict=True):
            _rates = [learning_rate(_schedule, 1.0, step, 200, 2 * warm.value) for step in range(200)]
            _axes.plot([step / 2 for step in range(200)], _rates, _line, label=_name)
        _axes.set(xlabel="% of the updates", ylabel="rate / peak", ylim=(0, 1.05))
        _axes.legend()
    show(
        _figure,
        alt=f"Learning rate over a run for the schedules constant, multistep, cosine and onecycle, with a warm-up of {warm.value} %. "
        "Constant stays at 1, multistep falls by ten at half and at three quarters, cosine falls smoothly to 0, one cycle rises to 1 at 30 % and falls to 0.",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    Each parameter $w$ has a gradient $g$ and a velocity $v$ of its own shape. One update of SGD with momentum $\mu$, weight decay $\lambda$ and learning rate $\eta_t$:

    $$v \leftarrow \mu v + (g + \lambda w), \qquad w \leftarrow w - \eta_t\, v .$$

    - **Momentum.** If $g$ stays the same, $v$ grows to $g / (1 - \mu)$: with $\mu = 0.9$ each gradient counts ten times. A learning rate of 0.1 with momentum is one of 1 without.
    - **Why a rate can be too high.** Along a direction of curvature $h$ the loss is $\tfrac12 h w^2$ and $g = h w$. Without momentum $w \leftarrow (1 - \eta h) w$: it shrinks
      only while $\eta < 2 / h$; with momentum, $\eta < 2 (1 + \mu) / h$. The *steepest* direction sets the limit, the flat ones set the time.
    - **Warm-up.** At the start $h$ is largest; after some updates the network has moved to where it is smaller. A rate that would throw it out at once is fine later.
    - **Decay to 0.** A batch's $g$ is the true gradient plus noise, so at a constant rate $w$ keeps trembling with an amplitude that goes with $\eta$. Small steps at the end let it settle.
    - **First weights.** A convolution (O, C, KH, KW) sums $\text{fan} = C \cdot KH \cdot KW$ products. With weights of variance $2 / \text{fan}$ a ReLU layer keeps the variance (He et al. 2015, eq. 10).
    - **Weight decay under batch norm.** If a batch norm follows, $f(\alpha w) = f(w)$ for all $\alpha > 0$. So $\langle w, g \rangle = 0$, and $g$ is proportional to $1 / \lVert w \rVert$. A step along $-g$ makes
      $\lVert w \rVert$ grow, never shrink, and so lowers the *effective* rate $\eta / \lVert w \rVert^2$. Weight decay makes $w$ smaller again: here it regularises nothing directly, it *holds the effective rate up*.
    """)
    return


@app.cell(hide_code=True)
def _(mo, np, tr):
    _model = tr.resnet8(num_classes=10, width=8, rng=np.random.default_rng(0))
    _rng = np.random.default_rng(1)
    _x, _labels = _rng.standard_normal((16, 3, 16, 16)).astype(np.float32), np.arange(16) % 10

    def _run():
        _model.zero_grad()
        logits, cache = _model.forward(_x, train=True)
        loss, dlogits = tr.softmax_cross_entropy(logits, _labels)
        _model.backward(dlogits, cache)
        return float(loss)

    _weight = _model["layer2.0.conv1"].weight
    _before = _run()
    _norm, _inner = float(np.linalg.norm(_weight.grad)), float((_weight.data * _weight.grad).sum())
    _cosine = _inner / _norm / float(np.linalg.norm(_weight.data))
    _weight.data *= 10
    _after, _smaller = _run(), float(np.linalg.norm(_weight.grad))
    assert abs(_after - _before) < 1e-3
    assert abs(_norm / _smaller - 10) < 0.1
    assert abs(_cosine) < 0.01
    mo.md(f"""
    **Measured**, on one convolution of a ResNet-8: its weights times 10 change the loss from {_before:.4f} to {_after:.4f}, and its gradient's norm from {_norm:.4f} to {_smaller:.5f}: {_norm / _smaller:.1f} times
    smaller. The cosine of weight and gradient is {_cosine:.4f}. Multiplying the first weights by 10 is the same as dividing the learning rate of that layer by 100.
    """)
    return


@app.cell(hide_code=True)
def _(inspect, mo):
    from tinyresnet.layers.base import he_normal as _he_normal
    from tinyresnet.optim import sgd_update as _sgd_update
    from tinyresnet.schedule import OneCycle as _OneCycle
    from tinyresnet.schedule import learning_rate as _learning_rate

    _update = inspect.getsource(getattr(_sgd_update, "reference", _sgd_update))
    _code = "\n\n".join(inspect.getsource(part) for part in (_he_normal, _OneCycle, _learning_rate))
    mo.md(f"""
    ## The code

    The library's own text: `tinyresnet/layers/base.py`, `schedule.py`, `optim.py`. The update is the two formulas above, line by line.

    ```python
    {_code}

    {_update}
    ```
    """)
    return


@app.cell(hide_code=True)
def _(base, budget_was, error, held, mo, seeds):
    _steps = budget_was["epochs"] * (budget_was["train_size"] // budget_was["batch_size"])
    mo.md(f"""
    ## Numbers to change

    ### How the numbers of this lesson were made

    One *base*: a ResNet-8, {budget_was["width"]} channels wide, {budget_was["train_size"]:,} CIFAR-10 pictures of {budget_was["picture_size"]} x {budget_was["picture_size"]} pixels, {budget_was["epochs"]} epochs ({_steps} updates of {budget_was["batch_size"]}
    pictures), SGD with momentum 0.9, learning rate 0.2 with one cycle, weight decay 1e-4, no augmentation. Its test error is **{error(base)}** over {seeds} seeds.
    Every other row changes *one thing* and keeps the rest, the number of updates too. A seed draws first weights and batches. Made by

    ```
    {held["command"]}
    ```

    **This is a small budget.** A network that trains a hundred times longer meets other limits: there, regularisation and augmentation matter more. What
    you see here is what holds *here*.

    **How large must a difference be?** Two things are random: the seed (the ± in the tables), and the test set of {budget_was["test_size"]:,} pictures.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    pictures = mo.ui.slider(steps=[100, 300, 1000, 3000, 10000], value=1000, label="test pictures", show_value=True)
    wrong = mo.ui.slider(5, 95, step=5, value=50, label="test error, %", show_value=True)
    mo.hstack([pictures, wrong], justify="start", gap=2, wrap=True)
    return pictures, wrong


@app.cell(hide_code=True)
def _(math, mo, pictures, seeds, wrong):
    _p = wrong.value / 100
    _one = 100 * math.sqrt(_p * (1 - _p) / pictures.value)
    assert abs(100 * math.sqrt(0.25 / 1000) - 1.58) < 0.01
    mo.md(f"""
    With {pictures.value:,} test pictures an error of {wrong.value} % is known to ± {_one:.1f} points ($\\sqrt{{p(1-p)/n}}$). Two networks that see the *same* test pictures share most of
    this, so their difference is known better; therefore the tables give the gain over the base, seed by seed. With {seeds} seeds a gain is worth a word if it is about twice its ±.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Learning rate

    Predict: how wide is the range of rates that are about as good as 0.2? A factor of 2? Of 10?
    """)
    return


@app.cell(hide_code=True)
def _(chart, group):
    rates = group("rate")
    _order = sorted(rates, key=lambda name: 0.2 if name == "base" else float(name))
    assert rates["0.006"]["test_error"][0] > rates["base"]["test_error"][0] + 0.05
    assert rates["6"]["test_error"][0] > rates["base"]["test_error"][0] + 0.1
    chart("rate", "peak learning rate, with one cycle", order=_order, base_name="0.2 (base)")
    return (rates,)


@app.cell(hide_code=True)
def _(mo, rates, gain):
    mo.md(f"""
    A valley with a flat floor: from 0.06 to 2, a factor of 30, the error changes little ({gain(rates["0.06"])}, {gain(rates["0.6"])}, {gain(rates["2"])} points). Its walls differ: too low is *slow* (0.006: {gain(rates["0.006"])} points, and would get there
    with more updates), too high is *lost* (6: {gain(rates["6"])} points). "A higher rate learns faster" is true up to a point, and then false. So search rates by factors of 2 or 3, not by 10 %.

    **Find it in one run.** You need no grid: start with a tiny rate, multiply it at every update, and watch the loss (Smith 2017). Where it falls fast you are in the valley, where it
    shoots up you have left it. Live, on 50 pictures of the built-in shapes, all in every batch:
    """)
    return


@app.cell(hide_code=True)
def _(Budget, np, tr):
    few = Budget(train_size=50, test_size=50, batch_size=50)  # shapes, 16 x 16, 8 channels
    few_data = few.load()

    def range_test(seed, steps=60, low=1e-3, high=30.0):
        """Rates (steps,) from low to high, and the loss before each update with that rate."""
        from tinyresnet.data import train_batches

        model = few.network("residual", 8, seed, few_data[0])
        network, optimiser = tr.fuse(model), tr.SGD(model.named_params(), momentum=0.9)
        tried, losses = np.geomspace(low, high, steps), []
        for lr, batch in zip(tried, train_batches(few_data[0], batch_size=50, seed=seed, stop_step=steps), strict=True):
            optimiser.zero_grad()
            logits, cache = network.forward(batch.x, train=True)
            loss, dlogits = tr.softmax_cross_entropy(logits, batch.labels)
            network.backward(dlogits, cache)
            optimiser.step(lr)
            losses.append(float(loss))
        return tried, np.array(losses)

    return few, few_data, range_test


@app.cell(hide_code=True)
def _(mo):
    range_seed = mo.ui.slider(0, 9, value=0, label="seed", show_value=True)
    range_seed
    return (range_seed,)


@app.cell(hide_code=True)
def _(BLUE, Figure, GREY, mo, np, range_seed, range_test, show, style):
    _rates, _losses = range_test(range_seed.value)
    _lowest = np.minimum.accumulate(_losses)
    _broke = int(np.argmax(_losses > 1.5 * _lowest))  # the first loss that is half as high again as the lowest so far
    assert _losses[_broke] > 1.5 * _lowest[_broke]
    assert _lowest[_broke] < 0.7 * _losses[0]  # it learned something before
    _limit = float(_rates[_broke])
    with style():
        _figure = Figure(figsize=(6.6, 2.8), layout="constrained")
        _axes = _figure.add_subplot()
        _shown = slice(0, _broke + 2)  # behind that, the run tells nothing any more: one stops it there
        _axes.semilogx(_rates[_shown], _losses[_shown], color=BLUE, marker=".", markersize=5)
        _axes.axvline(_limit, color=GREY, linestyle=":")
        _axes.annotate("it breaks", (_limit, 2.9), xytext=(-6, 0), textcoords="offset points", ha="right", va="center")
        _axes.axvline(_limit / 3, color=GREY, linestyle="--")
        _axes.annotate(
            "a third", (_limit / 3, 2.9), xytext=(-6, 0), textcoords="offset points", ha="right", va="center"
        )
        _axes.set(xlabel="learning rate", ylabel="training loss", ylim=(0, 3.2), xlim=(8e-4, 3 * _limit))
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Training loss while the learning rate grows from 0.001 on: from {_losses[0]:.1f} it falls faster and faster to {_lowest[_broke]:.2g}, and shoots up at a rate of about {_limit:.2g}.",
            ),
            mo.md(f"""It breaks at about **{_limit:.2g}** (dotted line). The usual advice is a peak some factor of 3 below: about **{_limit / 3:.1g}**. Compare with the valley above: it was
            measured on other pictures, and is still a good place to start."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Schedule and warm-up

    All at a peak of 0.2, but for the last two.
    """)
    return


@app.cell(hide_code=True)
def _(chart):
    chart("schedule", "schedule", base_name="one cycle (base)")
    return


@app.cell(hide_code=True)
def _(group, mo, points):
    _rows = group("schedule")
    assert _rows["constant"]["gain"][0] < -0.02
    mo.md(f"""
    What matters is that the rate *ends small*: constant costs {points(_rows["constant"])} points, and {points(_rows["constant, warm-up"])} after a warm-up, which is clear; the three that fall to almost 0 lie within
    {100 * (max(_rows[n]["test_error"][0] for n in ("base", "multistep", "cosine")) - min(_rows[n]["test_error"][0] for n in ("base", "multistep", "cosine"))):.1f} points of each other. What the cycle's *rise* buys is safety: it begins
    with 4 % of the peak, which is a warm-up. At rate 2 that is the difference between learning and not learning.

    Try it yourself: a ResNet-8 that learns 50 pictures by heart in 40 updates. Find a rate at which `constant` fails and `onecycle` succeeds.
    """)
    return


@app.cell(hide_code=True)
def _(SCHEDULES, mo, np):
    my_rate = mo.ui.slider(
        steps=[float(f"{v:.2g}") for v in np.geomspace(0.01, 10, 16)], value=1.0, label="learning rate", show_value=True
    )
    my_schedule = mo.ui.dropdown(list(SCHEDULES), value="constant", label="schedule")
    my_warmup = mo.ui.slider(0, 20, step=5, value=0, label="warm-up, updates", show_value=True)
    mo.hstack([my_rate, my_schedule, my_warmup], justify="start", gap=2, wrap=True)
    return my_rate, my_schedule, my_warmup


@app.cell(hide_code=True)
def _(Settings, few, few_data, np, train_one):
    def learn(kind="residual", **settings):
        """The losses (40,) of a ResNet-8 that learns 50 pictures by heart; not finite where it overflowed."""
        model = few.network(kind, 8, 0, few_data[0])
        made = train_one(model, few_data, Settings(steps=40, batch_size=50, **settings))
        return np.array(made.losses + [np.inf] * (40 - len(made.losses)))

    return (learn,)


@app.cell(hide_code=True)
def _(BLUE, Figure, learn, mo, my_rate, my_schedule, my_warmup, np, show, style):
    _losses = learn(lr=my_rate.value, schedule=my_schedule.value, warmup=my_warmup.value)
    _last = float(np.mean(_losses[-5:]))
    with style():
        _figure = Figure(figsize=(6.6, 2.6), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.semilogy(range(1, 41), np.where(np.isfinite(_losses), _losses, np.nan), color=BLUE)
        _axes.axhline(np.log(10), color="#7A7A7B", linewidth=0.8, linestyle=":")
        _axes.set(xlabel="update", ylabel="training loss")
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Training loss over 40 updates with {my_schedule.value}, rate {my_rate.value:g}, warm-up {my_warmup.value}: {_last:.3g} at the end. Dotted: the loss of guessing, 2.3.",
            ),
            mo.md(f"Loss over the last five updates: **{_last:.3g}** (dotted: guessing, ln 10 = 2.3)."),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### First weights
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    tenth = ask(
        "All convolutions start ten times too small. A batch norm follows each. The test error rises by",
        ["less than 5 points", "about 10 points", "so much that nothing is learned"],
    )
    tenth
    return (tenth,)


@app.cell(hide_code=True)
def _(chart, error, group, mo, points, reveal, tenth):
    inits = group("init")
    assert abs(inits["He / 10"]["gain"][0]) < 0.05
    mo.vstack(
        [
            reveal(
                tenth,
                "less than 5 points",
                f"""It changes by {points(inits["He / 10"])} points. The batch norm divides the scale out again. What is different is the first updates: the gradients are ten times
                larger and the weights ten times smaller, so they are huge; after them the weights have grown, and all goes on as usual. Without batch norm: {error(inits["He, no batch norm"])} with He's weights,
                {error(inits["He / 10, no batch norm"])} with a tenth of them.""",
            ),
            chart("init", "first weights", base_name="He (base)"),
        ]
    )
    return (inits,)


@app.cell(hide_code=True)
def _(inits, mo, points):
    assert inits["He, no batch norm"]["gain"][0] < -0.04
    assert inits["blocks start as identity"]["gain"][0] < -0.01
    mo.md(f"""
    Batch norm itself is worth {points(inits["He, no batch norm"])} points here, with only 8 layers. First weights matter *where no batch norm stands behind them*, and the more the deeper: each layer that
    starts ten times too small takes a factor of ten. A ResNet-8 gets over that; in lesson 07's plain network of 56 layers without batch norm the gradient vanished by 22 powers of ten.

    "Blocks start as identity" sets the last batch norm's weight of each block to 0 (Goyal et al. 2017). It was made for large batches and deep networks; in this short run it costs
    {points(inits["blocks start as identity"])} points. A trick has a place where it helps. Ask for the place.

    ### Weight decay

    Predict: what happens without any?
    """)
    return


@app.cell(hide_code=True)
def _(chart):
    chart("decay", "weight decay", order=["0", "base", "0.001", "0.01"], base_name="0.0001 (base)")
    return


@app.cell(hide_code=True)
def _(budget_was, gain, group, learning_rate, math, mo, SCHEDULES):
    _rows = group("decay")
    _steps = budget_was["epochs"] * (budget_was["train_size"] // budget_was["batch_size"])
    _sum = sum(learning_rate(SCHEDULES["onecycle"], 0.2, step, _steps) for step in range(_steps))
    _left = {decay: math.exp(-10 * decay * _sum) for decay in (1e-4, 1e-3, 1e-2)}  # 10: momentum 0.9
    assert _left[1e-4] > 0.95
    assert abs(_rows["0"]["gain"][0]) < 0.04
    mo.md(f"""
    No decay at all: {gain(_rows["0"])} points, nothing to speak of. Why? Take a weight with no gradient of its own. Each update shrinks it by $\\eta_t \\lambda$, ten times that with momentum. Over the whole run,
    {_steps} updates with rates that sum to {_sum:.0f}, it keeps {_left[1e-4]:.0%} of its size with $\\lambda$ = 1e-4, {_left[1e-3]:.0%} with 1e-3 and {_left[1e-2]:.0%} with 1e-2. Weight decay takes *time*, about
    $1 / (10\\, \\eta \\lambda)$ updates. In a run of 64,000 updates 1e-4 matters; in this one it cannot.

    ### Augmentation

    Change the pictures so that the class stays. Choose one, and look at what the network gets:
    """)
    return


@app.cell(hide_code=True)
def _(Augment, mo):
    augments = {
        "none": Augment(),
        "flip": Augment(flip=True),
        "crop": Augment(crop=4),
        "crop and flip": Augment(crop=4, flip=True),
        "cutout": Augment(cutout=16),
        "mixup": Augment(mixup=1.0),
        "jitter": Augment(jitter=0.5),
    }
    augment_name = mo.ui.dropdown(list(augments), value="crop and flip", label="augmentation")
    augment_name
    return augment_name, augments


@app.cell(hide_code=True)
def _(Figure, augment_name, augments, np, show, style):
    from tinyresnet.data import load as _load
    from tinyresnet.data import train_batches as _train_batches

    _data = _load("shapes", train_size=8, test_size=1)[0]
    with style():
        _figure = Figure(figsize=(6.6, 1.9), layout="constrained")
        _panels = _figure.subplots(2, 8)
        for _row, _augment in zip(_panels, (augments["none"], augments[augment_name.value]), strict=True):
            _batch = next(_train_batches(_data, batch_size=8, seed=0, stop_step=1, augment=_augment))
            _mean, _std = (np.array(values)[:, None, None] for values in (_data.mean, _data.std))
            for _axes, _picture in zip(_row, _batch.x, strict=True):
                _axes.imshow(np.clip(_picture * _std + _mean, 0, 1).transpose(1, 2, 0))
                _axes.set_axis_off()
    show(
        _figure,
        alt=f"Eight pictures of shapes; above as they are, below with the augmentation “{augment_name.value}”.",
    )
    return


@app.cell(hide_code=True)
def _(ask):
    augmenting = ask(
        "In a short run, what does crop and flip do to the *training* error and to the *test* error?",
        [
            "both fall",
            "the training error rises, the test error falls far",
            "the training error rises far, the test error changes little",
        ],
    )
    augmenting
    return (augmenting,)


@app.cell(hide_code=True)
def _(augmenting, base, chart, group, mo, points, reveal):
    _row = group("augment")["crop and flip"]
    _rise = _row["train_error"][0] - base["train_error"][0]
    assert _rise > 0.05
    assert abs(_row["gain"][0]) < 0.05
    mo.vstack(
        [
            reveal(
                augmenting,
                "the training error rises far, the test error changes little",
                f"""The training error rises by {100 * _rise:.1f} points; the test error changes by {points(_row)}. The task became harder, and in so few updates there was little
                overfitting to cure.""",
            ),
            chart("augment", "augmentation"),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **And in a longer run?** Four times as many updates:
    """)
    return


@app.cell(hide_code=True)
def _(chart):
    chart("length", "length of the run and augmentation", base_name="1x (base)")
    return


@app.cell(hide_code=True)
def _(base, error, group, mo):
    _rows = group("length")
    _long, _both = _rows["4x"], _rows["4x, crop and flip"]
    assert _long["train_error"][0] < 0.6 * base["train_error"][0]
    assert _both["test_error"][0] < min(_long["test_error"][0], base["test_error"][0]) - 0.04
    mo.md(f"""
    Here it is the other way round. Without augmentation the longer run brings the *training* error down to {100 * _long["train_error"][0]:.1f} %, and the test error stays at {error(_long)} (base: {error(base)}): the network learns
    pictures by heart. With crop and flip the same updates give **{error(_both)}**. So "augmentation helps" is a statement about a *length of training*. First train until the
    training error is far below the test error; then augment.

    ### More data

    A part of the training pictures, but the *same number of updates*: with an eighth of the pictures each one is seen eight times as often.
    """)
    return


@app.cell(hide_code=True)
def _(chart):
    chart("data", "part of the training pictures", order=["1/8", "1/4", "1/2", "base"], base_name="all (base)")
    return


@app.cell(hide_code=True)
def _(group, mo, points):
    _rows = group("data")
    _test = [_rows[name]["test_error"][0] for name in ("1/8", "1/4", "1/2", "base")]
    _train = [_rows[name]["train_error"][0] for name in ("1/8", "1/4", "1/2", "base")]
    assert _test == sorted(_test, reverse=True)
    assert _train == sorted(_train)
    mo.md(f"""
    The clearest of all tables: a half, a quarter and an eighth of the pictures cost {points(_rows["1/2"])}, {points(_rows["1/4"])} and {points(_rows["1/8"])} points of test error, while the *training* error falls to
    {100 * _train[0]:.1f} %. With few pictures the network learns them by heart. So look at both errors before you choose what to do: if the training error is high, train longer or take a larger network; if it
    is low and the test error is not, get more pictures, or change those that you have.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### A real one

    Put together: He's weights, one cycle, weight decay 1e-4, crop and flip, enough epochs. On the whole of CIFAR-10 (downloaded once):

    ```
    tinyresnet train --data cifar10 --crop 4 --flip --epochs 30 --out runs/cifar
    tinyresnet eval --weights runs/cifar --data cifar10 --plot confusion.png
    ```

    What we measured: ResNet-20, the first 4,000 training pictures of 32 x 32 pixels alone, 30 epochs with crop and flip: 69.6 % of the first 1,000 test pictures, in less than three minutes on two cores (README,
    with the command). With all 50,000 pictures and 160 epochs the paper's ResNet-20 reaches 91.25 % (He et al. 2016, table 6).

    **The order in which to go** when you train something new:

    1. Look at the pictures as the network gets them, augmented and normalised.
    2. Learn 50 pictures by heart. If that fails, something is broken; no schedule will mend it.
    3. One range test; peak at a third of where it breaks; one cycle.
    4. Train longer until the test error stops falling. Only then augment, and decay more.
    5. Repeat with two more seeds before you believe a difference.

    ## The exercise

    ```
    tinyresnet lesson start 08
    tinyresnet lesson check sgd.py
    ```

    You write SGD with momentum and weight decay: (a) predict the numbers of some steps, (b) fill the gaps, (c) from an empty page. The check compares with measured runs and names the likely mistake.

    Then an experiment of your own, half a page: choose one row of one table above and double its seeds, or move the base (`--width 16`, twice the epochs). Which conclusion survives?

    ```
    python -m tinyresnet.course.experiments.ablations --data shapes --epochs 4 --seeds 2 --out mine.json
    ```

    ## What to read

    - He, Zhang, Ren, Sun, [Delving deep into rectifiers](https://arxiv.org/abs/1502.01852) (ICCV 2015): section 2.2, equation 10, the first weights.
    - Smith, [Cyclical learning rates](https://arxiv.org/abs/1506.01186) (WACV 2017): section 3.3 is the range test. Smith, Topin, [Super-convergence](https://arxiv.org/abs/1708.07120) (2018): one cycle.
    - Goyal and others, [Accurate, large minibatch SGD](https://arxiv.org/abs/1706.02677) (2017): section 2.2 is the warm-up; section 5.1 starts blocks as the identity.
    - Loshchilov, Hutter, [SGDR](https://arxiv.org/abs/1608.03983) (ICLR 2017): equation 5, the cosine. [Decoupled weight decay](https://arxiv.org/abs/1711.05101) (ICLR 2019): AdamW.
    - van Laarhoven, [L2 regularization versus batch and weight normalization](https://arxiv.org/abs/1706.05350) (2017): weight decay and the effective rate.
    - DeVries, Taylor, [Cutout](https://arxiv.org/abs/1708.04552) (2017); Zhang, Cisse, Dauphin, Lopez-Paz, [mixup](https://arxiv.org/abs/1710.09412) (ICLR 2018).
    - In this project: `tinyresnet/train.py`, `schedule.py`, `optim.py`, `data/augment.py`.
    """)
    return


if __name__ == "__main__":
    app.run()
