"""Why depth failed, and how residuals fixed it

60 minutes. Needs lessons 04, 06.
"""

import marimo

app = marimo.App(width="medium", app_title="07 Why depth failed, and how residuals fixed it")


@app.cell(hide_code=True)
def _():
    import inspect

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.course import places
    from tinyresnet.course.experiments import degradation, gradients, lesions, surface
    from tinyresnet.course.experiments.networks import Budget, train_one
    from tinyresnet.course.experiments.results import select
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.data import train_batches
    from tinyresnet.train import Settings

    return (
        BLUE,
        Budget,
        Figure,
        GREEN,
        GREY,
        ORANGE,
        PURPLE,
        Settings,
        ask,
        degradation,
        gradients,
        inspect,
        lesions,
        mo,
        np,
        places,
        reveal,
        select,
        show,
        style,
        surface,
        tr,
        train_batches,
        train_one,
    )


@app.cell(hide_code=True)
def _(degradation, places, select):
    measured = {
        "CIFAR-10 pictures": places.data("degradation_cifar"),
        "shapes (built in)": places.data("degradation_shapes"),
    }
    tables = {
        name: {(row["kind"], row["depth"]): row for row in degradation.summary(held["results"])}
        for name, held in measured.items()
    }
    cifar = tables["CIFAR-10 pictures"]
    runs = {name: select(held["results"], part="run") for name, held in measured.items()}

    def loss_of(kind, depth):
        """Mean training loss over the seeds, on the CIFAR pictures."""
        return cifar[kind, depth]["train_loss"][0]

    def percent(pair):
        """An error with its spread, in percent."""
        return f"{100 * pair[0]:.1f} ± {100 * pair[1]:.1f} %"

    return cifar, loss_of, measured, percent, runs, tables


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 07 · Why depth failed, and how residuals fixed it

    Here is an argument that cannot be wrong. Take a trained network of 20 layers. Put 36 more layers behind it, each the *identity*: it gives back
    what it gets. The new network has 56 layers and computes the same function. So the best network of 56 layers is at least as good
    as the best one of 20. Deeper can only help.

    Now somebody trains both, from random weights, with the same pictures, the same number of updates, and for each the learning rate that suits
    it best. They are *plain* networks: convolution, batch norm, ReLU, again and again, no shortcuts.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "The plain network of 56 layers against the one of 20: what happens to the error on the *training* pictures?",
        [
            "it is lower: more layers, more power",
            "it is equal: the extra layers become the identity",
            "it is higher",
        ],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(cifar, loss_of, opening, percent, reveal):
    _deep, _shallow = cifar["plain", 56], cifar["plain", 20]
    assert loss_of("plain", 56) > loss_of("plain", 20) + 0.2
    assert _deep["train_error"][0] > _shallow["train_error"][0] + 0.05
    reveal(
        opening,
        "it is higher",
        f"""Measured, on 4,000 CIFAR-10 pictures: training error {percent(_shallow["train_error"])} with 20 layers,
        **{percent(_deep["train_error"])}** with 56 (mean and standard deviation over {_deep["seeds"]} seeds). This is no overfitting, since it is the *training*
        error. The better solution is there (the argument above is right), but training does not find it. He and others named it the **degradation**
        problem, and the residual block is their answer to it.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Run the degradation experiment fairly, and say what it shows and what it does not.
    - Tell three explanations apart (vanishing gradients, exploding gradients, *shattered* gradients), each with a measurement.
    - Say what batch norm alone does for a deep network, and what the shortcut adds.
    - Look at a loss surface and at a network with missing blocks, and know what to be careful about.

    ## The idea in a picture

    Eight networks, 8 to 56 layers. A plain network and its residual twin have *equal first weights*, see the same pictures in the same
    order, and get the same number of updates. The only difference is the shortcut. Before you look: which of the eight curves will be the worst?
    """)
    return


@app.cell(hide_code=True)
def _(measured, mo):
    source = mo.ui.dropdown(list(measured), value="CIFAR-10 pictures", label="pictures")
    source
    return (source,)


@app.cell(hide_code=True)
def _(degradation, measured, mo, percent, runs, select, show, source, style, tables):
    _table, _held = tables[source.value], measured[source.value]
    _twins = [row for row in runs[source.value] if row["kind"] in ("plain", "residual")]
    with style():
        _figure = degradation.plot(_twins)
    _rows = [
        f"| {row['depth']} | {row['kind']} | {row['rate']:g} | {row['train_loss'][0]:.3f} ± {row['train_loss'][1]:.3f} "
        f"| {percent(row['train_error'])} | {percent(row['test_error'])} |"
        for row in _table.values()
        if row["kind"] != "preact"
    ]
    _head = "| layers | network | learning rate | training loss | training error | test error |\n|---:|:---|---:|---:|---:|---:|\n"
    _said = "; ".join(f"{row['kind']} {row['depth']}: {100 * row['train_error'][0]:.0f} %" for row in _table.values())
    _set = _held["settings"]
    _seeds = len({row["seed"] for row in select(_twins, kind="plain", depth=8)})
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Training loss during training for plain and residual networks of four depths, and the last training error against depth. {_said}.",
            ),
            mo.md(
                _head
                + "\n".join(_rows)
                + f"""

Training loss and error are means over the last epoch's batches; ± is the standard deviation over {_seeds} seeds. **The budget was small:**
{_set["train_size"]:,} training and {_set["test_size"]:,} test pictures of {_set["picture_size"]} x {_set["picture_size"]} pixels, first stage {_set["width"]} channels wide, {_set["epochs"]} epochs
({_set["epochs"] * (_set["train_size"] // _set["batch_size"])} updates with {_set["batch_size"]} pictures each), no augmentation. Made by

```
{_held["command"]}
```
"""
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **Was it fair?** A deep network may want another learning rate than a shallow one. So each network got its own, the best of this grid (training
    loss after a few epochs, seed 0; the chosen one is in bold):
    """)
    return


@app.cell(hide_code=True)
def _(measured, mo, select, source):
    _held = measured[source.value]
    _grid = select(_held["results"], part="grid")
    _rates = sorted({row["rate"] for row in _grid})
    _lines = [
        "| network | " + " | ".join(f"{rate:g}" for rate in _rates) + " |",
        "|:---|" + "---:|" * len(_rates),
    ]
    for _kind, _depth in dict.fromkeys((row["kind"], row["depth"]) for row in _grid):
        _losses = {row["rate"]: row["train_loss"] for row in select(_grid, kind=_kind, depth=_depth)}
        _best = min((loss, rate) for rate, loss in _losses.items() if loss is not None)[1]
        _cells = []
        for _rate in _rates:
            _loss = _losses.get(_rate)
            _text = "–" if _loss is None else f"{_loss:.2f}"
            _cells.append(f"**{_text}**" if _rate == _best else _text)
        _lines.append(f"| {_kind} {_depth} | " + " | ".join(_cells) + " |")
    mo.md(
        "\n".join(_lines)
        + f"\n\n{_held['settings']['grid_epochs']} epochs each. No rate of the grid saves the deep plain networks."
    )
    return


@app.cell(hide_code=True)
def _(mo, runs, source):
    _minutes = sum(row["seconds"] for row in runs[source.value]) / 60
    mo.md(f"""
    ### Now on your machine

    The runs of the table took {_minutes:.0f} minutes, one after the other on a busy machine. Here is their smallest version, run live: can a network learn **50 pictures by heart**? All 50 are in
    every batch; 50 updates; learning rate 0.1 for all.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    by_heart = ask(
        "Which of these learns 50 pictures by heart in 50 updates?",
        ["all but plain 32", "all four", "the two with 8 layers", "the two residual ones"],
    )
    by_heart
    return (by_heart,)


@app.cell(hide_code=True)
def _(Budget, Settings, np, train_one):
    small = Budget(train_size=50, test_size=50, batch_size=50)  # shapes, 16 x 16, 8 channels
    small_data = small.load()
    learned = {}
    for _depth in (8, 32):
        for _kind in ("plain", "residual"):
            _model = small.network(_kind, _depth, 0, small_data[0])
            learned[_kind, _depth] = train_one(_model, small_data, Settings(steps=50, lr=0.1, batch_size=50))
    last = {network: float(np.mean(made.losses[-5:])) for network, made in learned.items()}
    return last, learned, small, small_data


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, by_heart, last, learned, mo, reveal, show, style):
    assert last["plain", 32] > 1 > 0.2 > max(last["plain", 8], last["residual", 8], last["residual", 32])
    with style():
        _figure = Figure(figsize=(6.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        for (_kind, _depth), _made in learned.items():
            _axes.plot(
                range(1, 51),
                _made.losses,
                color=BLUE if _kind == "residual" else ORANGE,
                linestyle="-" if _depth == 32 else ":",
                label=f"{_kind} {_depth}",
            )
        _axes.set(xlabel="update", ylabel="training loss", ylim=(0, 3.5))
        _axes.legend()
    mo.vstack(
        [
            reveal(
                by_heart,
                "all but plain 32",
                "Training loss over the last five updates: "
                + ", ".join(f"{kind} {depth}: **{loss:.2f}**" for (kind, depth), loss in last.items())
                + ". Plain 32 has more than enough weights for 50 pictures. So has plain 8, with far fewer.",
            ),
            show(
                _figure,
                alt="Training loss over 50 updates. Plain 8, residual 8 and residual 32 come close to 0; plain 32 stays far above.",
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    Write $x_l$, (N, C, H, W), for what goes into block $l$ of $L$, and $F_l$ for the block's branch. Let $J_l = \partial F_l / \partial x_l$ be its Jacobian: for one picture a matrix
    (CHW, CHW). Leave the ReLU behind the add aside for a moment (the *pre-activation* block below has none).

    | | plain | residual |
    |:---|:---|:---|
    | one block | $x_{l+1} = F_l(x_l)$ | $x_{l+1} = x_l + F_l(x_l)$ |
    | all blocks | $x_L = F_{L-1}(\dots F_0(x_0))$ | $x_L = x_0 + \sum_{l} F_l(x_l)$ |
    | gradient of the loss | $dx_0 = J_0^{\top} J_1^{\top} \cdots J_{L-1}^{\top}\, dx_L$ | $dx_0 = (1 + J_0^{\top})(1 + J_1^{\top}) \cdots (1 + J_{L-1}^{\top})\, dx_L$ |
    | multiplied out | one product of $L$ matrices | $2^L$ products: one for each choice of blocks, the shortest is $dx_L$ itself |

    All arrays $dx_l$ have the shape of $x_l$. Three things can go wrong with a long product, and they are different things:

    1. It **vanishes**: each factor shrinks what it gets. Then the first layers hardly move.
    2. It **explodes**: each factor stretches. Then no learning rate suits all layers.
    3. It **shatters**: the length may be fine, but the *direction* changes wildly from one picture to its neighbour. Then what one batch teaches is worth nothing
       for the next.

    **Why it shatters** (Balduzzi et al. 2017). Two pictures take the same way through a ReLU network where both have the same ReLUs open. After each layer,
    about half of the ReLUs are open for each picture. Once two pictures have little in common, a ReLU is open for *both* with chance 1/4 and for *exactly one* with chance
    1/2. So in each plain layer the gradients lose about half of what they had in common: after $L$ layers, about $2^{-L}$. A shortcut
    carries the common part past the ReLUs.
    """)
    return


@app.cell(hide_code=True)
def _(gradients, inspect, lesions, mo, np, tr):
    import textwrap as _textwrap

    from tinyresnet.resnet import _Builder

    _plain, _residual = (make(rng=np.random.default_rng(0))["layer1.0"] for make in (tr.plain8, tr.resnet8))
    assert (type(_plain), type(_residual)) == (tr.Chain, tr.Residual)
    _block = _textwrap.dedent(inspect.getsource(_Builder.block))
    _code = "\n\n".join(inspect.getsource(part) for part in (gradients.input_gradient, lesions.without))
    mo.md(f"""
    ## The code

    Where the library decides between the twins (`tinyresnet/resnet.py`): a plain block is the branch and a ReLU in a `Chain`; a residual block is the *same branch* in a `Residual`.

    ```python
    {_block}
    ```

    And two of the instruments of this lesson (`tinyresnet/course/experiments/`): the gradient at the pixels, and a network without some of its blocks.

    ```python
    {_code}
    ```
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### Suspect 1 and 2: gradients that vanish or explode

    "Deep plain networks fail because the gradients vanish" is in many texts. Measure before you believe it. The network is *before its first
    update*, with batch norm and He's initialisation, as all networks above.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    vanishing = ask(
        "Plain, 56 layers, batch norm: the gradient that reaches the first block, compared with the one at the last block, is",
        ["far smaller", "about as large", "far larger"],
    )
    vanishing
    return (vanishing,)


@app.cell(hide_code=True)
def _(reveal, select, vanishing):
    from tinyresnet.step import depth_dial as _dial

    dial_rows, dial_caption = _dial.load()["rows"], _dial.caption

    def stretch(shortcut, norm, init, depth):
        """How many times larger the gradient is at the stem than at the last block; and the dial's row."""
        (row,) = select(dial_rows, shortcut=shortcut, norm=norm, init=init, depth=depth)
        return row["outputs"][0] / row["outputs"][-1], row

    _plain, _residual = stretch("plain", True, "he", 56)[0], stretch("residual", True, "he", 56)[0]
    _bare, _old = stretch("plain", False, "he", 56)[0], stretch("plain", False, "pytorch", 56)[0]
    assert _plain > 1000
    assert 5 < _residual < 100
    assert _old < 1e-15
    assert 0.05 < _bare < 1
    reveal(
        vanishing,
        "far larger",
        f"""**{_plain:,.0f} times larger.** With batch norm the gradient of a deep plain network *explodes* towards the input, and the
        shortcut tames it: {_residual:.0f} times in the residual twin. Vanishing is real too, but elsewhere: *without* batch norm and with PyTorch's default weights the
        gradient at the stem is {_old:.0e} of the last block's; with He's weights it is {_bare:.2f} of it, even without batch norm. So "shortcuts cure vanishing gradients"
        is half true: in these networks, initialisation and batch norm had cured that before.""",
    )
    return dial_caption, stretch


@app.cell(hide_code=True)
def _(mo):
    dial_norm = mo.ui.dropdown({"batch norm": True, "no batch norm": False}, value="batch norm", label="norm")
    dial_init = mo.ui.dropdown({"He": "he", "PyTorch's default": "pytorch"}, value="He", label="first weights")
    dial_depth = mo.ui.dropdown({"8": 8, "20": 20, "56": 56}, value="56", label="layers")
    mo.hstack([dial_norm, dial_init, dial_depth], justify="start", gap=2, wrap=True)
    return dial_depth, dial_init, dial_norm


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, dial_caption, dial_depth, dial_init, dial_norm, mo, show, stretch, style):
    with style():
        _figure = Figure(figsize=(6.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        _words = []
        for _shortcut, _colour, _mark in (("plain", ORANGE, "s"), ("residual", BLUE, "o")):
            _ratio, _row = stretch(_shortcut, dial_norm.value, dial_init.value, dial_depth.value)
            _axes.semilogy(_row["outputs"], color=_colour, marker=_mark, markersize=4, label=_shortcut)
            _words.append(
                f"{_shortcut}: **{dial_caption(_row)[0]}**, {_ratio:{',.0f' if _ratio >= 10 else '.2g'}} times as large at the stem as at the last block"
            )
        _axes.set(xlabel="block, from the stem on", ylabel="norm of d loss / d output")
        _axes.xaxis.get_major_locator().set_params(integer=True)
        _axes.legend()
    mo.vstack(
        [
            show(
                _figure,
                alt="Norm of the gradient at every block's output before training, logarithmic. "
                + "; ".join(_words).replace("*", "")
                + ".",
            ),
            mo.md(
                "; ".join(_words)
                + ". (Median over 5 seeds; `python -m tinyresnet.step.depth_dial --out FILE` measures it again. “neither”: a factor below 100.)"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo, select, runs, np):
    _rows = runs["CIFAR-10 pictures"]

    def _spread(kind, when):
        """Largest over smallest gradient norm of the 55 convolutions: the median over seeds."""
        return float(np.median([max(row[when]) / min(row[when]) for row in select(_rows, kind=kind, depth=56)]))

    spreads = {
        (kind, when): _spread(kind, when)
        for kind in ("plain", "residual")
        for when in ("first_grad_norms", "last_grad_norms")
    }
    assert spreads["plain", "first_grad_norms"] > 10 * spreads["residual", "first_grad_norms"]
    mo.md(f"""
    **And is that the reason?** It is a part. In the first update of plain 56, one convolution's gradient is {spreads["plain", "first_grad_norms"]:,.0f} times as large as another's
    (residual 56: {spreads["residual", "first_grad_norms"]:,.0f} times), so no single learning rate suits all. But a few hundred updates later it is {spreads["plain", "last_grad_norms"]:.0f} times (residual:
    {spreads["residual", "last_grad_norms"]:.0f}): batch norm makes weights with large gradients grow, and that makes their gradients smaller. The network *still* does not learn.
    Something else must be wrong with these gradients.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Suspect 3: gradients that shatter

    Take a picture $x$ and add a little noise, 3 % of the pixels' spread. You would not see it. Compute for both the gradient at the pixels,
    $g(x) = d\langle r, \text{logits}\rangle / dx$, for the same random direction $r$. Both are arrays (3, 16, 16). The cosine between them is 1 if they point the same way,
    and near 0 if they have nothing in common.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    shattered = ask(
        "Plain 56, before training: the cosine of the gradients at a picture and at its slightly noisy copy is about",
        ["1.0", "0.9", "0.5", "0.0"],
    )
    shattered
    return (shattered,)


@app.cell(hide_code=True)
def _(Budget, gradients, np, reveal, shattered, train_batches):
    look = Budget(train_size=64, test_size=10)
    look_data = look.load()[0]
    batch = next(train_batches(look_data, batch_size=64, seed=0, stop_step=1))

    def look_network(kind, depth, seed=0):
        """A network before its first update."""
        return look.network(kind, depth, seed, look_data)

    def ready(kind, depth, seed):
        """The same with batch norm statistics of the batch; a direction; a generator."""
        rng = np.random.default_rng(seed)
        model = look_network(kind, depth, seed)
        gradients.settle_statistics(model, batch.x)
        return model, rng.standard_normal(10).astype(np.float32), rng

    def alike(kind, depth, sigma, seed=0):
        """The mean cosine of 24 pictures' gradients with and without noise."""
        model, direction, rng = ready(kind, depth, seed)
        return float(gradients.cosines_under_noise(model, batch.x[:24], direction, sigma, rng).mean())

    cosine = {(kind, depth): alike(kind, depth, 0.03) for kind in ("plain", "residual") for depth in (8, 20, 56)}
    assert abs(cosine["plain", 56]) < 0.1
    assert cosine["residual", 56] > cosine["plain", 56] + 0.25
    assert cosine["plain", 8] > 0.7
    reveal(
        shattered,
        "0.0",
        f"""Measured just now: plain 8: {cosine["plain", 8]:.2f}, plain 20: {cosine["plain", 20]:.2f}, plain 56: **{cosine["plain", 56]:.2f}**. Residual 8:
        {cosine["residual", 8]:.2f}, residual 20: {cosine["residual", 20]:.2f}, residual 56: **{cosine["residual", 56]:.2f}**. In plain 56 the gradient
        of a picture says nothing about its neighbour a hair away. Following such gradients is like walking down a mountain with a compass that is
        thrown anew at each step.""",
    )
    return batch, look_network, ready


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The same along a line. Walk from one picture to another in 128 steps, and at each step note the slope of $\langle r, \text{logits}\rangle$ along the way. Where the slope wanders, its
    neighbours know of each other (*brown noise*). Where it jumps, they do not (*white noise*). Choose a depth and a seed.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    line_depth = mo.ui.dropdown({"8": 8, "20": 20, "32": 32, "56": 56}, value="56", label="layers")
    line_seed = mo.ui.slider(0, 9, value=0, label="seed", show_value=True)
    mo.hstack([line_depth, line_seed], justify="start", gap=2, wrap=True)
    return line_depth, line_seed


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, batch, gradients, line_depth, line_seed, mo, np, ready, show, style):
    _said = {}
    with style():
        _figure = Figure(figsize=(7.6, 3), layout="constrained")
        _panels = _figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
        for _axes, _kind, _colour in zip(_panels, ("plain", "residual"), (ORANGE, BLUE), strict=False):
            _model, _direction, _ = ready(_kind, line_depth.value, line_seed.value)
            _slopes = gradients.slopes_along(_model, batch.x[0], batch.x[1], _direction, 128)
            _correlation = gradients.autocorrelation(_slopes, 20)
            _said[_kind] = float(_correlation[1])
            _axes.plot(_slopes / np.abs(_slopes).max(), color=_colour, linewidth=1)
            _axes.set(title=f"{_kind} {line_depth.value}", xlabel="step along the way", ylim=(-1.1, 1.1))
            _panels[2].plot(_correlation, color=_colour, label=_kind)
        _panels[0].set(ylabel="slope / largest slope")
        _panels[2].axhline(0, color="#7A7A7B", linewidth=0.8)
        _panels[2].set(title="autocorrelation", xlabel="steps apart", ylim=(-0.5, 1.05))
        _panels[2].legend()
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Slope of the output along a line of pictures for a plain and a residual network of {line_depth.value} layers, and the autocorrelation of both. "
                f"Correlation of neighbours: plain {_said['plain']:.2f}, residual {_said['residual']:.2f}.",
            ),
            mo.md(
                f"Correlation of neighbouring slopes: plain **{_said['plain']:.2f}**, residual **{_said['residual']:.2f}**."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What batch norm alone does.** All networks here have batch norm. It keeps the *forward* numbers in range at any depth and for any scale of weights.
    Going back it does not help a plain network: it stretches the gradient (suspect 2), and it does nothing about shattering, for it keeps half of the ReLUs open in every layer.
    In a *residual* block it does one more thing. The branch's output has the same size in every block, while the sum on the shortcut grows
    with each block. So deep blocks change their input by less and less: a block that is close to the identity. That is why batch norm *and* shortcut together make depth trainable
    (De and Smith 2020).

    ### The loss surface

    Another way to look: what does training see around the weights where it ended? Take two random directions $u$, $v$ in the space of all weights, and plot the loss at
    $w + a u + b v$. One trap: a convolution before a batch norm can be scaled without changing the function, so a step of length 1 is huge for small weights and nothing for large ones. Li and others
    give each *filter* of a direction the norm of the network's own filter, $u_f \leftarrow u_f \, \lVert w_f \rVert / \lVert u_f \rVert$ with $u_f$ (C, KH, KW). Then pictures of different networks can be compared.
    """)
    return


@app.cell(hide_code=True)
def _(Figure, GREY, ORANGE, mo, np, places, select, show, style, surface):
    surfaces_held = places.data("surface")
    _rows = surfaces_held["results"]
    _grids = {}
    for _network in surface.NETWORKS:
        (_row,) = select(_rows, kind=_network[0], depth=_network[1])
        _grids[_network] = np.array([[np.nan if v is None else v for v in line] for line in _row["loss"]])
    bumps = {network: surface.share_of_bumps(loss) for network, loss in _grids.items()}
    lowest = {network: float(np.nanmin(loss)) for network, loss in _grids.items()}
    highest = {network: float(np.nanmax(loss)) for network, loss in _grids.items()}
    _levels = np.geomspace(0.95 * min(lowest.values()), 1.05 * max(highest.values()), 15)  # one scale for all four
    _steps = np.linspace(-_row["half"], _row["half"], len(_row["loss"]))
    with style():
        _figure = Figure(figsize=(7.2, 6), layout="constrained")
        _panels = _figure.subplots(2, 2)
        for _axes, (_network, _loss) in zip(_panels.flat, _grids.items(), strict=True):
            _drawn = _axes.contourf(_steps, _steps, np.log(_loss), levels=np.log(_levels))
            _axes.contour(_drawn, colors=GREY, linewidths=0.6, linestyles="solid")
            _axes.plot(0, 0, "+", color=ORANGE, markersize=10, markeredgewidth=2)
            _axes.set(title=f"{_network[0]} {_network[1]}", aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        _bar = _figure.colorbar(_drawn, ax=_panels, label="training loss", shrink=0.8)
        _shown = [v for v in (0.5, 1, 1.5, 2, 3, 4, 6) if _levels[0] < v < _levels[-1]]
        _bar.set_ticks(np.log(_shown).tolist(), labels=[f"{v:g}" for v in _shown])
    _set = surfaces_held["settings"]
    mo.vstack(
        [
            show(
                _figure,
                alt="Contours of the training loss around four trained networks, along two filter-normalised random directions: plain and residual, 20 and 56 layers. "
                + "; ".join(f"{kind} {depth}: lowest loss {low:.2f}" for (kind, depth), low in lowest.items())
                + ".",
            ),
            mo.md(
                "\n".join(
                    [
                        f"""The cross is where training ended; a and b go from -1 to 1. Each loss is over {_set["pictures"]} training pictures ({_set["points"]} x {_set["points"]} points; one scale of colours). Made by
                        `{surfaces_held["command"]}`.""".replace("\n", " "),
                        "",
                        "| | " + " | ".join(f"{kind} {depth}" for kind, depth in bumps) + " |",
                        "|:---|" + "---:|" * len(bumps),
                        "| lowest loss | " + " | ".join(f"{loss:.2f}" for loss in lowest.values()) + " |",
                        "| highest loss | " + " | ".join(f"{loss:.2f}" for loss in highest.values()) + " |",
                        "| bends the wrong way | " + " | ".join(f"{share:.0%}" for share in bumps.values()) + " |",
                        "",
                        """The last line counts, along rows and columns, the three neighbours whose middle lies above the mean of the outer two. A convex bowl has none.""",
                    ]
                )
            ),
        ]
    )
    return bumps, highest, lowest


@app.cell(hide_code=True)
def _(bumps, highest, learned, lowest, mo):
    _count = sum(param.data.size for _, param in learned["plain", 32].model.named_params())
    assert max(bumps, key=bumps.get) == ("plain", 56)
    assert abs(bumps["plain", 20] - bumps["residual", 20]) < 0.1
    assert highest["plain", 56] - lowest["plain", 56] < 0.5 * (highest["residual", 56] - lowest["residual", 56])
    mo.md(f"""
    **What to see.** At 20 layers both networks lie in a bowl, and the plain one is not rougher ({bumps["plain", 20]:.0%} and {bumps["residual", 20]:.0%} of the bends). At 56 layers the plain network lies on a
    plateau: a whole filter length in any direction of the picture changes the loss only between {lowest["plain", 56]:.2f} and {highest["plain", 56]:.2f} (guessing: 2.30), and it is the roughest of the four
    ({bumps["plain", 56]:.0%}). The residual network of 56 layers has its bowl.

    **What to be careful about.** These are two directions of tens of thousands (plain 32 alone has {_count:,} parameters). A smooth slice does not prove a smooth space, and what looks like the cause may be the effect:
    the plain network lies on a plateau *because* it did not get anywhere.

    Live, with the two networks that tried to learn 50 pictures by heart: one direction, 25 points. Another direction is one click away.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    way = mo.ui.slider(0, 9, value=0, label="direction (seed)", show_value=True)
    way
    return (way,)


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, learned, np, show, small_data, style, surface, train_batches, way):
    _batch = next(train_batches(small_data[0], batch_size=50, seed=0, stop_step=1))
    _steps = np.linspace(-1, 1, 25)
    with style():
        _figure = Figure(figsize=(6.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        for _kind, _colour in (("plain", ORANGE), ("residual", BLUE)):
            _loss = surface.line(learned[_kind, 32].model, _batch, np.random.default_rng(way.value), points=25)
            _axes.plot(_steps, _loss, color=_colour, marker="o", markersize=3, label=f"{_kind} 32")
        _axes.set(xlabel="step along the direction, in lengths of each filter", ylabel="training loss")
        _axes.legend()
    show(
        _figure,
        alt="Training loss along one filter-normalised direction through the weights of plain 32 and residual 32 after learning 50 pictures. "
        "The residual network lies in a deep valley; the plain one on a high plain.",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Take a block out

    Multiplied out, a residual network is a sum over $2^L$ paths. If that picture is right, then taking one block out of a *trained* network should hurt little: half of the paths
    go, the other half stays. In a plain network there is one path, and each block is on it.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    lesion = ask(
        "A trained plain 20 loses one block of two convolutions in the middle. Its test error becomes",
        ["about the same", "some points worse", "about that of guessing (90 %)"],
    )
    lesion
    return (lesion,)


@app.cell(hide_code=True)
def _(BLUE, Figure, GREEN, ORANGE, lesion, mo, np, places, reveal, select, show, style):
    lesions_held = places.data("lesions")
    _networks = {("plain", 20): (ORANGE, "s"), ("residual", 20): (BLUE, "o"), ("residual", 56): (GREEN, "^")}
    whole, alone = {}, {}
    with style():
        _figure = Figure(figsize=(7.6, 3.2), layout="constrained")
        _left, _right = _figure.subplots(1, 2)
        for (_kind, _depth), (_colour, _mark) in _networks.items():
            _rows = select(lesions_held["results"], kind=_kind, depth=_depth)
            (_whole,) = select(_rows, count=0)
            whole[_kind, _depth] = _whole["test_error"]
            alone[_kind, _depth] = [row["test_error"] for row in select(_rows, count=1)]
            _places = np.linspace(0, 1, len(alone[_kind, _depth]))
            _label = f"{_kind} {_depth}"
            _left.plot(
                _places, [100 * e for e in alone[_kind, _depth]], _mark, color=_colour, markersize=5, label=_label
            )
            _left.axhline(100 * _whole["test_error"], color=_colour, linewidth=0.8, linestyle=":")
            _counts = sorted({row["count"] for row in _rows})
            _blocks = len(alone[_kind, _depth])
            _means = [100 * np.mean([row["test_error"] for row in select(_rows, count=n)]) for n in _counts]
            _right.plot([n / _blocks for n in _counts], _means, color=_colour, marker=_mark, markersize=4, label=_label)
        _left.set(title="one block out", xlabel="where: first block 0, last 1", ylabel="test error, %", ylim=(40, 100))
        _right.set(title="several random blocks out", xlabel="share of the blocks", ylim=(40, 100))
        _right.legend()
    median = {network: float(np.median(errors)) for network, errors in alone.items()}
    assert median["plain", 20] > 0.8
    assert median["residual", 20] < whole["residual", 20] + 0.15
    assert median["residual", 56] < whole["residual", 56] + 0.05
    assert alone["residual", 56][0] == max(alone["residual", 56])
    mo.vstack(
        [
            reveal(
                lesion,
                "about that of guessing (90 %)",
                f"""Measured, the median over all single blocks: plain 20 goes from {whole["plain", 20]:.1%} to **{median["plain", 20]:.1%}**: it guesses. Residual 20 goes
                from {whole["residual", 20]:.1%} to {median["residual", 20]:.1%}, residual 56 from {whole["residual", 56]:.1%} to **{median["residual", 56]:.1%}**: of {len(alone["residual", 56])} blocks
                most can go alone, and hardly anything happens. The exception is the very first block. Take out several at once, and the error grows step by step.""",
            ),
            show(
                _figure,
                alt="Test error after taking blocks out of trained networks. Whole and median with one block out: "
                + "; ".join(
                    f"{kind} {depth}: {whole[kind, depth]:.0%}, {middle:.0%}"
                    for (kind, depth), middle in median.items()
                )
                + ".",
            ),
            mo.md(
                f"""Dotted lines: the whole network. Plain blocks that change the shape cannot be taken out, so plain 20 has {len(alone["plain", 20])} points. Made by `{lesions_held["command"]}`."""
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Your turn, with the networks that learned 50 pictures. Which block can go, and which one must not?
    """)
    return


@app.cell(hide_code=True)
def _(learned, lesions, mo):
    gone = mo.ui.dropdown(
        ["none", *lesions.blocks_that_can_go(learned["residual", 32].model)],
        value="none",
        label="take out of residual 32",
    )
    gone
    return (gone,)


@app.cell(hide_code=True)
def _(gone, learned, lesions, mo, small_data):
    _model = learned["residual", 32].model
    with lesions.without(_model, [] if gone.value == "none" else [gone.value]):
        _found = lesions.measured(_model, small_data[0])
    _which = "whole" if gone.value == "none" else f"without {gone.value}"
    mo.md(f"Residual 32, {_which}: it knows **{round(50 * _found.top1)} of the 50** pictures.")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Pre-activation: the clean way

    In the first ResNet a ReLU stands behind each add, on the way that should be free. He and others (2016b) moved it: batch norm and ReLU stand *before* each convolution of the branch, and nothing stands behind the add:
    $x_{l+1} = x_l + F(\mathrm{relu}(\mathrm{bn}(x_l)))$. Now the two formulas of the table above hold exactly: $x_L = x_l + \sum F$, and $dx_l$ contains $dx_L$ unchanged.
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, Figure, GREEN, ORANGE, batch, gradients, look_network, mo, show, style):
    _stretch = {}
    with style():
        _figure = Figure(figsize=(6.4, 3), layout="constrained")
        _axes = _figure.add_subplot()
        for _kind, _colour, _mark in (("plain", ORANGE, "s"), ("residual", BLUE, "o"), ("preact", GREEN, "^")):
            _norms = list(gradients.block_gradients(look_network(_kind, 56), batch.x, batch.labels).values())
            _stretch[_kind] = _norms[0] / _norms[-1]
            _axes.semilogy(_norms, color=_colour, marker=_mark, markersize=4, label=f"{_kind} 56")
        _axes.set(xlabel="block", ylabel="norm of d loss / d input")
        _axes.xaxis.get_major_locator().set_params(integer=True)
        _axes.legend()
    assert _stretch["plain"] > 20 * max(_stretch["residual"], _stretch["preact"])
    mo.vstack(
        [
            show(
                _figure,
                alt="Norm of the gradient that goes into each of 27 blocks before training, for plain, residual and pre-activation networks of 56 layers. First over last: "
                + ", ".join(f"{kind} {ratio:,.0f}" for kind, ratio in _stretch.items())
                + ".",
            ),
            mo.md(
                "First block over last: "
                + ", ".join(f"{kind} **{ratio:,.0f}**" for kind, ratio in _stretch.items())
                + ". So at 56 layers pre-activation changes little *here*; it is the shortcut that counts. He and others needed it for networks of 1,001 layers, where a ReLU on each of 500 shortcuts "
                "blocks too much (their section 4.2)."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(cifar, loss_of, measured, mo):
    _updates = measured["CIFAR-10 pictures"]["settings"]
    _count = _updates["epochs"] * (_updates["train_size"] // _updates["batch_size"])
    _gap = {depth: loss_of("plain", depth) - loss_of("residual", depth) for depth in (8, 20, 32, 56)}
    assert _gap[8] < _gap[20] < _gap[32]
    assert loss_of("residual", 56) > loss_of("residual", 20)
    mo.md(f"""
    ### What this shows, and what it does not

    - **Shown:** without shortcuts more layers made training *worse* ({loss_of("plain", 8):.2f}, {loss_of("plain", 20):.2f}, {loss_of("plain", 32):.2f}, {loss_of("plain", 56):.2f} for 8, 20, 32, 56 layers). With shortcuts, 20 and 32 layers beat 8
      ({loss_of("residual", 8):.2f}, {loss_of("residual", 20):.2f}, {loss_of("residual", 32):.2f}). The gap between the twins grows with depth: {_gap[8]:.2f} at 8 layers, {_gap[32]:.2f} at 32.
    - **Not shown:** that depth without end helps. In {_count} updates residual 56 reaches {loss_of("residual", 56):.2f} and *loses* to residual 20. In the paper, after 64,000 updates on 50,000 pictures, ResNet-56
      is better than ResNet-20 (test error 6.97 % against 8.75 %, table 6). A small budget favours small networks.
    - **Not shown:** that residual networks generalise better. Their *test* error is lower here because they train better
      (20 layers: {100 * cifar["residual", 20]["test_error"][0]:.0f} % against {100 * cifar["plain", 20]["test_error"][0]:.0f} %). The gap between training and test error is *wider* than the plain network's
      ({100 * (cifar["residual", 20]["test_error"][0] - cifar["residual", 20]["train_error"][0]):.0f} points against {100 * (cifar["plain", 20]["test_error"][0] - cifar["plain", 20]["train_error"][0]):.0f}).
    - **A weak spot:** the rates come from a grid of {_updates["grid_epochs"]} epochs with one seed. What is best after {_updates["grid_epochs"]} epochs need not be best after {_updates["epochs"]}.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    This lesson's exercise is an experiment of your own. No file is to be filled in; what counts is that your comparison is fair.

    ```
    python -m tinyresnet.course.experiments.degradation --epochs 4 --seeds 2 --depths 8,20 --rates 0.05,0.1,0.2 --out mine.json --plot mine.png
    ```

    Run it, then change *one* thing, and write half a page:

    1. **Predict first.** Write down what you expect, in numbers.
    2. **Change one thing**: `--kinds plain,residual,preact`; or `--width 16`; or a finer grid of rates for the deep plain network (does any rate save it?).
    3. **Report** mean and spread over seeds. Is the difference larger than the spread? What did you *not* show?

    On paper, for the viva: *why does it matter that the training error is higher, and not only the test error? Which of the three suspects does batch norm help with?
    Why must the directions of a loss surface be normalised by filter? A block is taken out of a residual network and nothing happens: does that prove that the block was useless?*

    ## What to read

    - He, Zhang, Ren, Sun, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385) (CVPR 2016): figures 1 and 6 are the degradation experiment at full size;
      section 4.1 says why they think that vanishing gradients are *not* the cause.
    - Balduzzi, Frean, Leary, Lewis, Ma, McWilliams, [The shattered gradients problem](https://arxiv.org/abs/1702.08591) (ICML 2017): figure 1 is our line; section 3 has the correlations
      of plain and residual networks.
    - Li, Xu, Taylor, Studer, Goldstein, [Visualizing the loss landscape of neural nets](https://arxiv.org/abs/1712.09913) (NeurIPS 2018): section 4 is the filter normalisation.
    - Veit, Wilber, Belongie, [Residual networks behave like ensembles of relatively shallow networks](https://arxiv.org/abs/1605.06431) (NIPS 2016): section 4 has the lesions.
    - He, Zhang, Ren, Sun, [Identity mappings in deep residual networks](https://arxiv.org/abs/1603.05027) (ECCV 2016): pre-activation; equations 4 and 5 are the sum and its gradient.
    - De, Smith, [Batch normalization biases residual blocks towards the identity function in deep networks](https://arxiv.org/abs/2002.10444) (NeurIPS 2020): what batch norm and shortcut do together.
    - In this project: `tinyresnet/course/experiments/`, `tinyresnet/step/depth_dial.py`, and `tinyresnet demo` for a longer run of the same comparison.
    """)
    return


if __name__ == "__main__":
    app.run()
