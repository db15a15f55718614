"""What people say about ResNets

40 minutes.
"""

import marimo

app = marimo.App(width="medium", app_title="00 What people say about ResNets")


@app.cell(hide_code=True)
def _():
    import inspect
    import itertools
    import time

    import marimo as mo
    import numpy as np

    import tinyresnet as tr
    from tinyresnet.course.figures import BLUE, ORANGE, show
    from tinyresnet.course.places import data
    from tinyresnet.course.sketch import sketch, words
    from tinyresnet.layers import Conv2d, Identity, Linear, ReLU, Residual
    from tinyresnet_kernels import use

    return (
        BLUE,
        Conv2d,
        Identity,
        Linear,
        ORANGE,
        ReLU,
        Residual,
        data,
        inspect,
        itertools,
        mo,
        np,
        show,
        sketch,
        time,
        tr,
        use,
        words,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 00 · What people say about ResNets

    Popular articles say many things about residual networks. Here are 23 of them, one sentence each. You *predict* a verdict for each; then
    the page shows what was measured: most of it a moment ago, on this machine; what takes hours comes from files, with the command that made them. You will be wrong sometimes. That is what this lesson is for: most of these sentences sound
    right, and fewer than one in five is.

    ## What you will be able to do

    - Turn a sentence about a network into a measurement that could prove it wrong.
    - Count the layers and parameters of a ResNet-20 by hand, and say what pooling, width and shortcuts change.
    - Say which call of a training step moves the weights, and which only look like it.
    - Tell *false* from *half true*, and both from sentences that nobody can test.
    """)
    return


@app.cell(hide_code=True)
def _(ORANGE, mo, show):
    def _station(x, title, line):
        frame = f'<rect x="{x}" y="20" width="148" height="74" rx="8" fill="none" stroke="currentColor"/>'
        title = f'<text x="{x + 74}" y="50" font-size="15" font-weight="bold" text-anchor="middle">{title}</text>'
        return frame + title + f'<text x="{x + 74}" y="74" font-size="11" text-anchor="middle">{line}</text>'

    _stations = [
        ("a sentence", "“shortcuts save weights”"),
        ("a prediction", "“I say: true”"),
        ("a measurement", "count both networks"),
        ("a verdict", "false, with the numbers"),
    ]
    _boxes = "".join(_station(6 + 176 * i, *station) for i, station in enumerate(_stations))
    _arrows = "".join(
        f'<path d="M {154 + 176 * i} 57 h 20" stroke="{ORANGE}" stroke-width="2"/>'
        f'<path d="M {182 + 176 * i} 57 l -9 -5 v 10 z" fill="{ORANGE}"/>'
        for i in range(3)
    )
    mo.vstack(
        [
            mo.md("## The idea in a picture"),
            show(
                f'<svg viewBox="0 0 690 114" font-family="system-ui, sans-serif">{_boxes}{_arrows}</svg>',
                alt="Four boxes in a row: a sentence, for example that shortcuts save parameters; your prediction; a measurement, here counting "
                "both networks; and a verdict with the numbers.",
            ),
            mo.md(r"""
    The six verdicts:

    | verdict | means |
    |:---|:---|
    | true | the measurement shows it |
    | half true | it holds under conditions that the sentence leaves out |
    | false | the measurement shows the contrary |
    | unsupported | it could be tested, but nothing here speaks for it |
    | meaningless | both answers would look the same, to the bit |
    | not testable | no measurement on a network decides it |
    """),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    def _conv(C, O):
        return 9 * C * O

    def _norm(C):
        return 2 * C

    _widths = (16, 32, 64)
    _rows = [("conv1, bn1", f"9·3·16 + 2·16 = {_conv(3, 16) + _norm(16)}")]
    _total = _conv(3, 16) + _norm(16)
    for _stage, (_before, _width) in enumerate(zip((16, *_widths), _widths, strict=False), start=1):
        _own = _conv(_before, _width) + 5 * _conv(_width, _width) + 6 * _norm(_width)
        _rows.append((f"layer{_stage}", f"9·{_before}·{_width} + 5·9·{_width}² + 6·2·{_width} = {_own:,}"))
        _total += _own
    _rows.append(("fc", f"64·10 + 10 = {64 * 10 + 10}"))
    _total += 650
    counted = _total
    assert counted == 269_722
    _table = "\n".join(f"| {name} | {text} |" for name, text in _rows)
    mo.md(f"""
    ## The maths, with the shapes

    A ResNet-20 takes pictures (N, 3, 32, 32). Three stages of three blocks, two 3 x 3 convolutions in each block; 16, 32 and 64 channels; pictures of 32, 16
    and 8 pixels. Then the mean over all pixels, (N, 64), and a linear layer to (N, 10). A 3 x 3 convolution from C to O channels has 9·C·O weights,
    a batch norm 2 numbers a channel; no convolution has a bias.

    | part | parameters |
    |:---|:---|
    {_table}
    | **all** | **{counted:,}** |

    You need no more than this table for five of the sentences below.
    """)
    return (counted,)


@app.cell(hide_code=True)
def _(Linear, inspect, mo, tr):
    from tinyresnet.optim import sgd_update as _sgd_update

    mo.md(f"""
    ## The code

    Some sentences mix up what a training step does. This is what it does, in the library's own words. A parameter is a pair of arrays:

    ```python
    {inspect.getsource(tr.Param)}
    ```

    A backward pass *adds into* the second one. Here is the linear layer's:

    ```python
    {inspect.getsource(Linear.backward)}
    ```

    And only the optimiser writes to the first:

    ```python
    {inspect.getsource(inspect.unwrap(_sgd_update))}
    ```
    """)
    return


@app.cell(hide_code=True)
def _():
    VERDICTS = ("true", "half true", "false", "unsupported", "meaningless", "not testable")
    CLAIMS = {
        "parameters": "Shortcuts reduce the number of parameters.",
        "relu": "ReLU is what makes the network nonlinear.",
        "vanishing": "Shortcuts reduce vanishing gradients.",
        "inside": "The weights inside the network stay fixed; training changes only those at the input.",
        "pooling": "Pooling reduces the number of parameters.",
        "tied": "A shortcut ties the weights at its two ends together.",
        "rate": "A higher learning rate trains faster and better.",
        "forward": "Calling `forward` trains the model.",
        "backward": "Backpropagation updates the weights.",
        "width": "A convolution has a fixed number of parameters.",
        "generalise": "Shortcuts improve generalisation.",
        "layers": "A ResNet is a sandwich of feed-forward, convolution and pooling layers in turn.",
        "fc": "The fully connected layer activates what the convolutions give.",
        "weights": "A pooling layer has weights that must be set.",
        "scale": "Fixed weights let the network adapt to objects of any scale.",
        "shared": "It matters that the layers share one activation function.",
        "calls": "In PyTorch you train it with `init_network`, `set_weights` and `evaluate`.",
        "robust": "Residual connections make a network robust.",
        "blocks": "Adding blocks makes the network better.",
        "data": "More training data helps.",
        "faster": "Better algorithms train better networks.",
        "tasks": "ResNets serve classification, detection and segmentation.",
        "popular": "ResNet is the most popular network of all.",
    }
    return CLAIMS, VERDICTS


@app.cell(hide_code=True)
def _(CLAIMS, VERDICTS, mo):
    predicted = mo.ui.dictionary({name: mo.ui.dropdown(VERDICTS, label="Your verdict:") for name in CLAIMS})
    return (predicted,)


@app.cell(hide_code=True)
def _(Conv2d, Linear, counted, np, tr):
    # Measured by counting: nothing runs.
    def count(model):
        return sum(param.data.size for _, param in model.named_params())

    def kinds(model):
        """How many layers of each kind, of those that are made of no others."""
        found = {}
        for _, layer in model.named_layers():
            if not layer.children():
                found[type(layer).__name__] = found.get(type(layer).__name__, 0) + 1
        return found

    resnet, plain = (make(num_classes=10, rng=np.random.default_rng(0)) for make in (tr.resnet20, tr.plain20))
    assert count(resnet) == count(plain) == counted

    _kinds = kinds(resnet)
    assert (_kinds["Conv2d"], _kinds["BatchNorm2d"], _kinds["ReLU"], _kinds["Linear"], _kinds["GlobalAvgPool"]) == (
        19,
        19,
        19,
        1,
        1,
    )
    assert "MaxPool2d" not in _kinds
    _pools = [layer for _, layer in resnet.named_layers() if "Pool" in type(layer).__name__]
    _pool_weights = sum(count(pool) + len(pool.params()) for pool in _pools)
    assert _pool_weights == 0

    _pooled = count(Linear(64, 10, rng=np.random.default_rng(0)))
    _unpooled = count(Linear(64 * 8 * 8, 10, rng=np.random.default_rng(0)))
    assert (_pooled, _unpooled) == (650, 40_970)

    _narrow, _wide = (count(Conv2d(C, C, 3, rng=np.random.default_rng(0))) for C in (16, 32))
    assert _wide == 4 * _narrow

    _calls = ("init_network", "set_weights")
    assert not any(hasattr(resnet, name) or hasattr(tr, name) for name in (*_calls, "evaluate"))

    by_counting = {
        "parameters": (
            "false",
            f"ResNet-20 has {count(resnet):,} parameters, its plain twin {count(plain):,}: the same. An identity shortcut has none (option A); a projection "
            "(option B) *adds* some.",
        ),
        "pooling": (
            "half true",
            f"The pooling layers of a ResNet-20 have {_pool_weights} parameters, and take none away from another layer. But pooling shrinks what comes *behind* it: the last "
            f"linear layer has {_pooled} parameters; without the pooling it would read 64 x 8 x 8 numbers and have {_unpooled:,}.",
        ),
        "weights": (
            "false",
            f"Pooling takes a mean or a maximum. Parameters in all pooling layers together: {_pool_weights}.",
        ),
        "width": (
            "half true",
            f"Fixed in the picture's *size*: a 3 x 3 convolution of 16 channels has {_narrow:,} weights for 8 x 8 and for 800 x 800 pixels. Not in the *width*: with 32 channels it has "
            f"{_wide:,}, four times as many.",
        ),
        "layers": (
            "false",
            f"Counted in ResNet-20: {_kinds['Conv2d']} convolutions, {_kinds['BatchNorm2d']} batch norms, {_kinds['ReLU']} ReLUs, {_kinds['Linear']} linear layer and "
            f"{_kinds['GlobalAvgPool']} pooling layer, both at the very end. Nothing alternates with them.",
        ),
        "calls": (
            "false",
            "There is no `init_network` and no `set_weights` in PyTorch, and a model has no `evaluate`. The real calls: layers draw their weights when they are *made* "
            "(`torch.nn.init` draws others); `model.load_state_dict(...)` sets them; `loss.backward()`, `optimizer.step()`, `optimizer.zero_grad()` train; "
            "`model.eval()` measures nothing, it only switches batch norm and dropout. Here: `tr.resnet20(rng=...)`, `model.load_state_dict(...)`, "
            "`model.backward(...)`, `optimiser.step(lr=...)`, and `model.forward(x, train=False)`.",
        ),
        "scale": (
            "unsupported",
            "Weights are not fixed in training (see the fourth sentence); after it they are, in every network. That by itself gives no invariance to scale: what there is comes from strides, pooling "
            "and from training on objects of many sizes. It could be tested (train on one size, test on others), but nobody who says so shows the test.",
        ),
        "popular": (
            "not testable",
            "Popular with whom, counted how, and when? The paper is one of the most cited of all, which is a fact about citations. No measurement on a network decides this sentence.",
        ),
        "tasks": (
            "true",
            "Lesson 08 trains a classifier; lesson 11 puts a detector and a segmenter on the same backbone, and measures both. This page measures nothing of it: hold us to it there.",
        ),
    }
    return by_counting, count


@app.cell(hide_code=True)
def _(Identity, Linear, ReLU, Residual, itertools, np, time, tr, use):
    # Measured by running: a ResNet-20 on four pictures, one training step.
    def moved(before, now):
        """How many arrays differ in at least one bit."""
        return sum(not np.array_equal(before[name], now[name]) for name in before)

    def parameters_of(model):
        return {name: param.data.copy() for name, param in model.named_params()}

    def buffers_of(model):
        return {name: array.copy() for name, array in model.named_buffers()}

    _rng = np.random.default_rng(1)
    _x = _rng.standard_normal((4, 3, 16, 16)).astype(np.float32)
    _labels = np.array([3, 1, 4, 1])
    _model = tr.resnet20(num_classes=10, rng=np.random.default_rng(0))
    with use("reference"):
        _first, _buffers = parameters_of(_model), buffers_of(_model)
        _logits, _cache = _model.forward(_x, train=True)
        _by_forward = moved(_first, parameters_of(_model))
        _by_forward_buffers = moved(_buffers, buffers_of(_model))
        _loss, _dlogits = tr.softmax_cross_entropy(_logits, _labels)
        _model.backward(_dlogits, _cache)
        _by_backward = moved(_first, parameters_of(_model))
        tr.SGD(_model.named_params(), momentum=0.9).step(lr=0.1)
        _by_step = moved(_first, parameters_of(_model))
    _all, _all_buffers = len(_first), len(_buffers)
    assert (_by_forward, _by_backward, _by_step, _all) == (0, 0, 59, 59)
    assert _by_forward_buffers == _all_buffers == 57

    # tied: do two parameters share memory, and does one move with another?
    _params = dict(_model.named_params())
    _shared = sum(np.shares_memory(a.data, b.data) for a, b in itertools.combinations(_params.values(), 2))
    _before = parameters_of(_model)
    _params["layer1.0.conv1.weight"].data += 1
    _with_it = moved(_before, parameters_of(_model))
    assert (_shared, _with_it) == (0, 1)

    # relu: the same network with and without them. An affine f has f(a + b) - f(a) - f(b) + f(0) = 0.
    def bend(model):
        rng = np.random.default_rng(2)
        a, b = rng.standard_normal((2, 1, 3, 16, 16))
        with use("reference"):
            f = [model.forward(v, train=False)[0] for v in (a + b, a, b, 0 * a)]
        return float(np.abs(f[0] - f[1] - f[2] + f[3]).max() / np.abs(f[0]).max())

    def without_relu(model):
        for _, layer in model.named_layers():
            for name, child in layer.children().items():
                if isinstance(child, ReLU):
                    setattr(layer, name, Identity())
            if isinstance(layer, Residual):
                layer.relu, layer.branch.relu1 = Identity(), Identity()
        model.relu = Identity()
        return model

    def in_double():
        return tr.resnet20(num_classes=10, width=4, dtype=np.float64, rng=np.random.default_rng(0))

    _bent, _straight = bend(in_double()), bend(without_relu(in_double()))
    assert _bent > 0.01
    assert _straight < 1e-12

    # shared: one ReLU object in all blocks, instead of one each
    def one_relu(model):
        shared = ReLU()
        for _, layer in model.named_layers():
            if isinstance(layer, Residual):
                layer.relu = shared
        return model

    def step_of(model):
        pictures = np.random.default_rng(3).standard_normal((2, 3, 16, 16))
        with use("reference"):
            logits, cache = model.forward(pictures, train=True)
            return logits, model.backward(tr.softmax_cross_entropy(logits, np.array([0, 1]))[1], cache)

    _own, _common = step_of(in_double()), step_of(one_relu(in_double()))
    _same = all(np.array_equal(a, b) for a, b in zip(_own, _common, strict=True))
    assert _same

    # fc: does the linear layer bend anything?
    def fc_bend():
        fc, rng = Linear(64, 10, rng=np.random.default_rng(0), dtype=np.float64), np.random.default_rng(4)
        a, b = rng.standard_normal((2, 1, 64))
        with use("reference"):
            f = [fc.forward(v, train=False)[0] for v in (a + b, a, b, 0 * a)]
        return float(np.abs(f[0] - f[1] - f[2] + f[3]).max())

    _fc = fc_bend()
    assert _fc < 1e-12

    # faster: the same convolution as six loops and as one matrix product
    from tinyresnet.layers.conv import conv2d_forward as _product
    from tinyresnet.layers.conv_loops import conv2d_forward_loops as _loops

    _picture, _weight = (
        np.random.default_rng(5).standard_normal((1, 4, 8, 8)),
        np.random.default_rng(6).standard_normal((8, 4, 3, 3)),
    )
    with use("reference"):
        _began = time.perf_counter()
        _slow_y, _ = _loops(_picture, _weight, pad=1)
        _slow = time.perf_counter() - _began
        _began = time.perf_counter()
        for _ in range(20):
            _fast_y, _ = _product(_picture, _weight, pad=1)
        _fast = (time.perf_counter() - _began) / 20
    _apart = float(np.abs(_slow_y - _fast_y).max())
    assert _apart < 1e-12
    assert _slow > 3 * _fast

    by_running = {
        "inside": (
            "false",
            f"One training step moved **{_by_step} of {_all}** parameter arrays, from the first convolution to the last bias.",
        ),
        "forward": (
            "false",
            f"A forward pass in training mode moved **{_by_forward} of {_all}** parameter arrays. It did move {_by_forward_buffers} of {_all_buffers} *buffers*: batch norm's running "
            "means and variances, and its counters, which only evaluation reads. Nothing has learned from a label yet: none was given.",
        ),
        "backward": (
            "half true",
            f"`backward` moved {_by_backward} of {_all}; it only fills the gradients. `step` moved {_by_step}. Backpropagation computes *where to*; the optimiser goes there.",
        ),
        "tied": (
            "false",
            f"Of {_all * (_all - 1) // 2:,} pairs of parameter arrays {_shared} share memory. After 1 was added to all weights of one convolution beside a shortcut, {_with_it} of {_all} arrays had moved: "
            "itself. The add joins *activations*, not weights.",
        ),
        "relu": (
            "true",
            f"For an affine function f(a + b) − f(a) − f(b) + f(0) is 0. For the network (evaluation mode) it is {_bent:.2f} of the output's size; with every ReLU taken out {_straight:.0e}: "
            "20 layers collapse into one matrix. (In training mode batch norm bends a little too, as its statistics depend on x.)",
        ),
        "shared": (
            "meaningless",
            "One ReLU object in all blocks, or one in each: logits and gradients are the same *to the bit*. A ReLU has no parameters and remembers nothing, so there is nothing to share.",
        ),
        "fc": (
            "false",
            f"The linear layer comes last, behind the pooling, and bends nothing: f(a + b) − f(a) − f(b) + f(0) is {_fc:.0e}. The activations are the 19 ReLUs, one behind each convolution "
            "and its batch norm (in a block's second half behind the add).",
        ),
        "faster": (
            "half true",
            f"A better algorithm gives the *same* network sooner. One small convolution as six loops: {_slow * 1e3:.0f} ms; as one matrix product: {_fast * 1e3:.2f} ms, {_slow / _fast:.0f} times faster; the "
            f"results differ by {_apart:.0e}. Same numbers, same loss. (Better *optimisers and schedules* do change the network: lesson 08.)",
        ),
    }
    return (by_running,)


@app.cell(hide_code=True)
def _(data, np):
    # Measured before, as it takes hours: read from files that say how they were made.
    from tinyresnet.step.depth_dial import caption as _caption
    from tinyresnet.step.depth_dial import load as _load

    def mean_error(rows, figure, **wanted):
        """The mean over seeds of a row's error, and how many seeds."""
        found = [
            row[figure]
            for row in rows
            if all(row.get(key) == value for key, value in wanted.items()) and row[figure] is not None
        ]
        return float(np.mean(found)), len(found)

    def _said(row):
        word, factor = _caption(row)
        return f"{word} (x {factor:,.0f})" if factor > 100 else f"{word} (x {factor:.2g})"

    _dial = {(row["shortcut"], row["norm"], row["init"]): row for row in _load()["rows"] if row["depth"] == 56}
    _inits = {"he": "He's", "pytorch": "PyTorch's default"}
    _rows = "\n".join(
        f"| {'batch norm' if norm else 'no batch norm'}, {_inits[init]} initialisation | "
        + " | ".join(_said(_dial[kind, norm, init]) for kind in ("plain", "residual"))
        + " |"
        for norm in (True, False)
        for init in ("he", "pytorch")
    )
    assert _caption(_dial["plain", False, "pytorch"])[0] != _caption(_dial["plain", True, "pytorch"])[0]

    _held = data("degradation_cifar")
    _runs = [row for row in _held["results"] if row["part"] == "run"]
    degradation_source = f"{_held['command']} (seed {_held['seed']})"
    errors = {
        (kind, depth, which): mean_error(_runs, f"{which}_error", kind=kind, depth=depth)[0]
        for kind in ("plain", "residual")
        for depth in (8, 20, 56)
        for which in ("train", "test")
    }
    _depths = {
        kind: ", ".join(f"{errors[kind, depth, 'train']:.1%}" for depth in (8, 20, 56))
        for kind in ("plain", "residual")
    }
    _gaps = {kind: errors[kind, 20, "test"] - errors[kind, 20, "train"] for kind in ("plain", "residual")}
    assert errors["residual", 20, "test"] < errors["plain", 20, "test"]
    assert _gaps["residual"] > _gaps["plain"]
    assert errors["plain", 20, "train"] > errors["plain", 8, "train"]
    assert errors["residual", 20, "train"] < errors["residual", 8, "train"]
    assert errors["residual", 56, "train"] > errors["residual", 20, "train"]

    _held = data("ablations")
    _ablated = _held["results"]
    ablations_source = f"{_held['command']} (seed {_held['seed']})"
    _base, _seeds = mean_error(_ablated, "test_error", group="base")
    rates = {0.2: _base} | {
        float(row["name"]): mean_error(_ablated, "test_error", group="rate", name=row["name"])[0]
        for row in _ablated
        if row["group"] == "rate"
    }
    _best = min(rates, key=rates.get)
    assert rates[min(rates)] > rates[_best] < rates[max(rates)]
    shares = {
        f"1/{part}": mean_error(_ablated, "test_error", group="data", name=f"1/{part}")[0] for part in (8, 4, 2)
    } | {"all": _base}
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    _pictures = _held["settings"]["train_size"]

    _lesions = data("lesions")["results"]
    _whole = {
        kind: mean_error(_lesions, "test_error", kind=kind, depth=20, count=0)[0] for kind in ("plain", "residual")
    }
    _less = {
        kind: mean_error(_lesions, "test_error", kind=kind, depth=20, count=1)[0] for kind in ("plain", "residual")
    }
    assert _less["residual"] - _whole["residual"] < _less["plain"] - _whole["plain"]
    _noisy = {(row["kind"], row["noise"]): row["test_error"] for row in data("noise")["results"] if row["depth"] == 20}
    _rise = {kind: _noisy[kind, 1.0] - _noisy[kind, 0.0] for kind in ("plain", "residual")}
    assert _rise["residual"] > _rise["plain"]

    by_data = {
        "vanishing": (
            "half true",
            f"""Without batch norm and with small first weights: yes. But batch norm alone already stops the vanishing in a plain network (there the gradient *grows* on its way back). At depth 56, before the
    first update: what happens to the gradient between the last block and the first, and by what factor:

    | | plain | residual |
    |:---|:---|:---|
    {_rows}

    (`python -m tinyresnet.step.depth_dial --out FILE`, medians over 5 seeds; lesson 07 has the whole story.)""",
        ),
        "generalise": (
            "half true",
            f"At 20 layers the residual network's *test* error is lower: {errors['residual', 20, 'test']:.1%} against {errors['plain', 20, 'test']:.1%}. But its *training* error is lower by far more "
            f"({errors['residual', 20, 'train']:.1%} against {errors['plain', 20, 'train']:.1%}), so the gap between the two is wider: {_gaps['residual']:.1%} against {_gaps['plain']:.1%}. "
            "Shortcuts help *optimisation*; the test follows.",
        ),
        "blocks": (
            "half true",
            f"Training error at 8, 20 and 56 layers: residual {_depths['residual']}, plain {_depths['plain']}. More blocks help the residual network at first; the plain one gets worse from the start, "
            "on the very pictures it was trained on. And on this small budget even the residual network of 56 layers loses to the one of 20. Lesson 07 is about this.",
        ),
        "rate": (
            "half true",
            "Up to a point. Test error by (largest) learning rate: "
            + ", ".join(f"{rate:g}: {rates[rate]:.1%}" for rate in sorted(rates))
            + f". The best is {_best:g}; far above it training breaks down.",
        ),
        "data": (
            "true",
            f"The same number of updates on a part of {_pictures:,} pictures. Test error: "
            + ", ".join(f"{share}: {error:.1%}" for share, error in shares.items())
            + ".",
        ),
        "robust": (
            "half true",
            f"Against the loss of a block: yes. One block out of a trained network of 20 layers brings the residual network's test error from {_whole['residual']:.1%} to {_less['residual']:.1%} on average; "
            f"that of the plain one goes from {_whole['plain']:.1%} to {_less['plain']:.1%}, and pure chance is 90%. Against noise on the *picture*: no. With noise as strong as the pixels vary, the residual "
            f"network's error rises by {_rise['residual'] * 100:.0f} points to {_noisy['residual', 1.0]:.1%}, the plain one's by {_rise['plain'] * 100:.0f} to {_noisy['plain', 1.0]:.1%} (one network of each, 1,000 pictures).",
        ),
    }
    return ablations_source, by_data, degradation_source


@app.cell(hide_code=True)
def _(CLAIMS, VERDICTS, by_counting, by_data, by_running, mo):
    measured = by_counting | by_running | by_data
    assert measured.keys() == CLAIMS.keys()
    assert all(verdict in VERDICTS for verdict, _ in measured.values())
    tally = {verdict: sum(found == verdict for found, _ in measured.values()) for verdict in VERDICTS}
    assert tally["true"] / len(CLAIMS) < 0.2
    mo.md(f"""
    ## Numbers to change

    ### The sentences

    Choose a verdict for each of the {len(CLAIMS)}; what was measured opens below it. Guess if you must, and be honest: nobody else sees it.
    """)
    return measured, tally


@app.cell(hide_code=True)
def _(CLAIMS, measured, mo, predicted):
    def _result(name):
        verdict, text = measured[name]
        mine = predicted.value[name]
        if mine is None:
            return mo.Html(
                f"<details><summary>Measured (choose first)</summary>{mo.md(f'**{verdict.capitalize()}.** {text}').text}</details>"
            )
        mark = "Right" if mine == verdict else f"You said {mine}"
        return mo.callout(mo.md(f"{mark}: **{verdict}.** {text}"), kind="success" if mine == verdict else "warn")

    mo.vstack(
        [
            mo.vstack([mo.md(f"**{i}. {claim}**"), predicted[name], _result(name)], gap=0.5)
            for i, (name, claim) in enumerate(CLAIMS.items(), 1)
        ],
        gap=2,
    )
    return


@app.cell(hide_code=True)
def _(mo):
    earlier = mo.ui.text(label="Your answers of an earlier time:", placeholder="letters, from below", full_width=True)
    earlier
    return (earlier,)


@app.cell(hide_code=True)
def _(CLAIMS, VERDICTS, earlier, measured, mo, predicted, tally):
    _letters = dict(zip(VERDICTS, "thfumn", strict=True))
    _right = "".join(_letters[measured[name][0]] for name in CLAIMS)
    _mine = "".join(_letters.get(predicted.value[name], "-") for name in CLAIMS)

    def hits(answers):
        return sum(a == b for a, b in zip(answers, _right, strict=False))

    _given = len(_mine) - _mine.count("-")
    _then = earlier.value.strip()
    _chance = len(CLAIMS) / len(VERDICTS)
    assert hits(_right) == len(CLAIMS)
    _again = (
        f"\n\nThen: **{hits(_then)}** right; now **{hits(_mine)}**."
        if len(_then) == len(_right)
        else "\n\nThat is not a row of this page's letters."
        if _then
        else ""
    )
    mo.md(f"""
    ### Your score

    **{hits(_mine)} right of {_given} answered**, of {len(CLAIMS)}. Blind guessing gets about {_chance:.0f}; always saying “half true” gets {tally["half true"]}.
    Your answers as letters: `{_mine}`. Keep them: after lesson 07 you answer once more, and paste them above to compare.{_again}
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, mo, show, sketch, tally, words):
    _bars = [
        words(verdict, (110, 24 + 28 * i), anchor="end")
        + f'<rect x="120" y="{9 + 28 * i}" width="{28 * count_}" height="20" fill="{BLUE}"/>'
        + words(str(count_), (128 + 28 * count_, 24 + 28 * i))
        for i, (verdict, count_) in enumerate(tally.items())
    ]
    mo.accordion(
        {
            "How the verdicts are spread (after you have answered)": show(
                sketch(470, 28 * len(tally) + 6, *_bars),
                alt="Number of sentences by verdict: "
                + ", ".join(f"{verdict} {count_}" for verdict, count_ in tally.items())
                + ".",
            )
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Width, and the size of the picture

    Which of the two changes the number of parameters? Which changes the work? Say it, then move them.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    width = mo.ui.slider(steps=[4, 8, 16, 32, 64], value=16, label="channels of the first stage", show_value=True)
    side = mo.ui.slider(steps=[16, 32, 64, 128], value=32, label="pixels a side", show_value=True)
    mo.hstack([width, side], justify="start", gap=2, wrap=True)
    return side, width


@app.cell(hide_code=True)
def _(Conv2d, count, counted, mo, np, side, tr, width):
    def size_of(channels, pixels):
        """Parameters of a ResNet-20 and multiply-adds of one picture, counted layer by layer."""
        model, products, stage = tr.resnet20(num_classes=10, width=channels, rng=np.random.default_rng(0)), 0, pixels
        for path, layer in model.named_layers():
            if isinstance(layer, Conv2d):
                stage = pixels // {"layer2": 2, "layer3": 4}.get(path.split(".")[0], 1)
                products += layer.multiply_adds((1, layer.weight.data.shape[0], stage, stage))
        return count(model), products

    _here, _base = size_of(width.value, side.value), size_of(16, 32)
    assert _base[0] == counted
    mo.md(f"""
    {_here[0]:,} parameters ({_here[0] / _base[0]:.3g} times those of the paper's ResNet-20) and {_here[1] / 1e6:,.1f} million multiply-adds a picture
    ({_here[1] / _base[1]:.3g} times). Parameters do not know the picture's size; both know the width, and about by its square.
    """)
    return


@app.cell(hide_code=True)
def _(ablations_source, degradation_source, mo):
    mo.md(f"""
    ## The exercise

    Find a sentence about neural networks, in an article or a talk. Write down what you would *see* if it were true, and what if it were false. If both look
    the same, you are done: meaningless. Else measure it, in ten lines. This is the measurement of one sentence above, for a start:

    ```python
    import numpy as np
    import tinyresnet as tr

    model = tr.resnet20(num_classes=10, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((4, 3, 16, 16)).astype(np.float32)
    before = {{name: param.data.copy() for name, param in model.named_params()}}
    logits, cache = model.forward(x, train=True)
    loss, dlogits = tr.softmax_cross_entropy(logits, np.array([3, 1, 4, 1]))
    model.backward(dlogits, cache)
    tr.SGD(model.named_params(), momentum=0.9).step(lr=0.1)
    print(sum(not np.array_equal(before[name], param.data) for name, param in model.named_params()), "of", len(before))
    ```

    The exercises with a checker begin with lesson 01: `tinyresnet lesson start 01`.

    ## What to read

    - He, Zhang, Ren, Sun, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385) (CVPR 2016): section 1 and figure 1, what the
      problem was (not vanishing gradients: section 4.1 says that batch norm took care of those); section 4.2, the networks of this course.
    - Veit, Wilber, Belongie, [Residual networks behave like ensembles of relatively shallow networks](https://arxiv.org/abs/1605.06431) (NIPS 2016): section 4, blocks taken out.
    - Hendrycks, Dietterich, [Benchmarking neural network robustness to common corruptions and perturbations](https://arxiv.org/abs/1903.12261) (ICLR 2019).
    - Balduzzi and others, [The shattered gradients problem](https://arxiv.org/abs/1702.08591) (ICML 2017): what shortcuts do to gradients, if it is not their size.

    The figures that were not measured on this page: `{degradation_source}`, and, for blocks taken out and for noise, `lesions` and `noise` in the place of `degradation`; and
    `{ablations_source}`. All on the first pictures of CIFAR-10.
    """)
    return


if __name__ == "__main__":
    app.run()
