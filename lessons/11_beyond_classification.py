"""Beyond classification

60 minutes. Needs lessons 03, 06.
"""

import marimo

app = marimo.App(width="medium", app_title="11 Beyond classification")


@app.cell(hide_code=True)
def _():
    import inspect

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from tinyresnet.annotate import colour_of
    from tinyresnet.assign import assign, places_of
    from tinyresnet.boxes import batched_nms, pairwise_iou
    from tinyresnet.course import places
    from tinyresnet.course.experiments import pretraining
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet.course.sketch import arrow, box, grid, sketch, words
    from tinyresnet.data import load_scenes
    from tinyresnet.layers import Add, Fork, UpsampleBilinear, UpsampleNearest
    from tinyresnet.loss import giou_loss_backward, giou_loss_forward, pixel_cross_entropy, sigmoid_focal_loss
    from tinyresnet.pixel_metrics import PixelMetrics

    return (
        Add,
        BLUE,
        Figure,
        Fork,
        GREEN,
        GREY,
        ORANGE,
        PURPLE,
        PixelMetrics,
        Rectangle,
        UpsampleBilinear,
        UpsampleNearest,
        arrow,
        ask,
        assign,
        batched_nms,
        box,
        colour_of,
        giou_loss_backward,
        giou_loss_forward,
        grid,
        inspect,
        load_scenes,
        mo,
        np,
        pairwise_iou,
        pixel_cross_entropy,
        places,
        places_of,
        pretraining,
        reveal,
        show,
        sigmoid_focal_loss,
        sketch,
        style,
        words,
    )


@app.cell(hide_code=True)
def _(load_scenes, np):
    scene_set = load_scenes("shapes", train_size=1, test_size=200, picture_size=96)[1]
    scenes = scene_set.read(np.arange(200))
    CLASSES = scene_set.classes
    return CLASSES, scene_set, scenes


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 11 · Beyond classification

    A classifier answers *what*: one class for a whole picture. Its last layers average over all places, so *where* is lost on purpose. Two other tasks keep the places:

    - a **segmenter** gives a class to every pixel;
    - a **detector** gives boxes, each with a class and a score.

    Both stand on the residual network that you know, without its head. What is new: how to get fine places back, which losses to use when thousands of places answer at once, and how to
    say how good such an answer is.

    The detector of this project asks at *every place* of three grids, 2, 4 and 8 pixels apart: "is there a thing of your size here, and how far are its sides?" A picture of 96 x 96 has
    48² + 24² + 12² = 3,024 such places. A scene of this lesson has between none and six things in it.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "For how many of the 3,024 places is the right answer “yes, a thing”?",
        ["about half", "about one in ten", "about one in a hundred"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(assign, np, opening, places_of, reveal, scenes):
    STRIDES = (2, 4, 8)
    all_places = places_of((96, 96), STRIDES)
    targets = assign(all_places, scenes.boxes, scenes.labels, scenes.crowd)
    answering = (targets.labels >= 0).sum(axis=1)
    share = float(answering.mean()) / len(all_places.x)
    assert len(all_places.x) == 3024
    assert 0.005 < share < 0.02
    reveal(
        opening,
        "about one in a hundred",
        f"""Counted over {len(answering)} scenes: {np.mean([len(b) for b in scenes.boxes]):.1f} things and {answering.mean():.0f} places that answer for one: **{share:.1%}**. A detector that
        always says "nothing" is right at {1 - share:.1%} of its places, and useless. Much of this lesson follows from that number.""",
    )
    return STRIDES, all_places, answering, targets


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Say what a stride costs, and how a feature pyramid brings fine places back; take a gradient through it by hand.
    - Write upsampling, nearest and bilinear, and its backward pass.
    - Explain three losses: cross-entropy per pixel, the focal loss, and GIoU; say what each does where the usual one fails.
    - Work out IoU, average precision and mean IoU with a pencil, and say what each hides.
    - Say what a pre-trained backbone brought in a measured experiment, and what that experiment cannot show.

    ## The idea in a picture

    The same scene as the two networks are to see it. Choose another one.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    scene = mo.ui.slider(0, 30, value=3, label="scene", show_value=True)
    scene
    return (scene,)


@app.cell(hide_code=True)
def _(
    CLASSES,
    Figure,
    Rectangle,
    colour_of,
    mo,
    np,
    scene,
    scenes,
    show,
    style,
):
    def shown(picture):
        """A picture (3, H, W) as matplotlib wants it."""
        return picture.transpose(1, 2, 0)

    def tinted(picture, mask):
        """A picture (3, H, W) with the pixels of each class in its colour, (H, W, 3) uint8."""
        out = shown(picture).astype(float)
        for value in np.unique(mask[(mask > 0) & (mask < 255)]):
            inside = mask == value
            out[inside] = 0.3 * out[inside] + 0.7 * np.array(colour_of(int(value) - 1, len(CLASSES)))
        return out.round().astype(np.uint8)

    def frame(axes, box_, colour, **line):
        """A box x0 y0 x1 y1 in pixels on an imshow: there pixel centres are whole numbers."""
        x0, y0, x1, y1 = box_
        axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **line))

    _n = scene.value
    _named = [CLASSES[k] for k in scenes.labels[_n]]
    with style():
        _figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        _panels = _figure.subplots(1, 3)
        for _axes, _title in zip(_panels, ("picture", "a class for every pixel", "boxes with classes"), strict=True):
            _axes.imshow(tinted(scenes.x[_n], scenes.masks[_n]) if "pixel" in _title else shown(scenes.x[_n]))
            _axes.set_title(_title)
            _axes.set_axis_off()
        for _box, _label in zip(scenes.boxes[_n], scenes.labels[_n], strict=True):
            frame(_panels[2], _box, np.array(colour_of(int(_label), len(CLASSES))) / 255, linewidth=2)
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Scene {_n} three times: the picture; its pixels tinted by class; a box around each thing. There are {len(_named)} things: {', '.join(_named) or 'none'}.",
            ),
            mo.md(
                f"In this scene: {', '.join(_named)}."
                if _named
                else "This scene is empty; one in thirty is, on purpose."
            ),
        ]
    )
    return frame, shown, tinted


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **Strides.** Each stage of a ResNet halves the picture. That is what makes it cheap and lets it see far, and it is why small things vanish: below, one cell is the mean of all pixels
    that it covers. A network's cell holds many numbers instead of three, so it can say more than a mean; but two things in one cell still share one answer.
    """)
    return


@app.cell(hide_code=True)
def _(Figure, np, scene, scenes, show, shown, style):
    from tinyresnet.layers.pool import avg_pool_forward as _avg_pool_forward

    _x = scenes.x[scene.value][None].astype(np.float64)
    _small = min((float(max(b[2] - b[0], b[3] - b[1])) for b in scenes.boxes[scene.value]), default=0.0)
    with style():
        _figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        for _axes, _stride in zip(_figure.subplots(1, 5), (1, 2, 4, 8, 16), strict=True):
            _seen = _avg_pool_forward(_x, kernel=_stride, stride=_stride)[0][0]
            _axes.imshow(shown(_seen.round().astype(np.uint8)))
            _axes.set_title(f"stride {_stride}")
            _axes.set_axis_off()
    show(
        _figure,
        alt=f"The scene averaged over cells of 1, 2, 4, 8 and 16 pixels. Its smallest thing is {_small:.0f} pixels long; at stride 8 that is {_small / 8:.1f} cells, and at 16 it cannot be told from its surroundings.",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **The feature pyramid** (Lin et al. 2017). Coarse levels know *what* is there: they have seen far. Fine levels know *where*. So the coarse ones tell the fine ones, on a way down: each
    level goes through a 1 x 1 convolution (*lateral*), is copied (*fork*), enlarged (*up*), and added to the level below. All four are layers that you have met, but for the enlarging.
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, GREY, ORANGE, arrow, box, show, sketch, words):
    def _level(name, y, fork):
        parts = [
            words(f"c{name}", (16, y + 5)),
            arrow((40, y), (76, y), colour=BLUE),
            box("lateral", (118, y), width=80),
            box("output", (520, y), width=80),
            arrow((562, y), (602, y), colour=BLUE),
            words(f"p{name}", (610, y + 5)),
        ]
        if fork:
            return [
                *parts,
                arrow((160, y), (346, y), colour=BLUE),
                box("fork", (380, y), width=64),
                arrow((414, y), (478, y), colour=BLUE),
            ]
        return [
            *parts,
            arrow((160, y), (206, y), colour=BLUE),
            box("add", (240, y), width=64),
            arrow((274, y), (478, y), colour=BLUE),
        ]

    def _down(x, top, bottom):
        return [
            arrow((x, top), (x, top + 24), colour=ORANGE),
            box("up 2x", (x, top + 42), width=70),
            f'<polyline points="{x},{top + 60} {x},{bottom - 22} 240,{bottom - 22}" fill="none" stroke="{ORANGE}" stroke-width="1.6"/>'
            if x != 240
            else "",
            arrow((240, bottom - 24), (240, bottom - 17), colour=ORANGE) if x != 240 else "",
        ]

    _parts = [
        *_level("3", 34, True),
        *_down(380, 52, 158),
        *_level("2", 158, False),
        words("coarse: knows what", (640, 39), colour=GREY, size=12),
        words("fine: knows where", (640, 163), colour=GREY, size=12),
        words(
            "backward: dc3 = dp3 + block sums of dp2 (the fork sums);   dc2 = dp2, copied by the add",
            (16, 208),
            size=13,
        ),
    ]
    show(
        sketch(770, 222, *_parts),
        alt="Two levels of a feature pyramid. The coarse feature c3 passes a lateral convolution and a fork: one copy becomes p3, the other is enlarged twice and added to the lateral of c2, which becomes p2. "
        "Going back, the add copies dp2 both ways, upsampling sums its blocks, and the fork sums what came from p3 and from p2.",
    )
    return


@app.cell(hide_code=True)
def _(ask):
    merged = ask(
        "One coarse pixel, four fine ones, all convolutions leave numbers as they are. From p2 comes dp2 = [[1, 2], [3, 4]], from p3 comes dp3 = 5. What is dc3?",
        ["5: what came from p3", "7.5: dp3 and the mean of dp2", "10: the sum of dp2", "15: the sum of all"],
    )
    merged
    return (merged,)


@app.cell(hide_code=True)
def _(Add, Fork, UpsampleNearest, merged, np, reveal):
    _fork, _up, _add = Fork(), UpsampleNearest(2), Add()
    _c3, _c2 = np.full((1, 1, 1, 1), 7.0), np.zeros((1, 1, 2, 2))
    (_p3, _copy), _ = _fork.forward(_c3, train=True)
    _large, _cache = _up.forward(_copy, train=True)
    _add.forward((_c2, _large), train=True)
    _dp2, _dp3 = np.array([[[[1.0, 2], [3, 4]]]]), np.full((1, 1, 1, 1), 5.0)
    _dc2, _dlarge = _add.backward(_dp2, None)
    dc3 = _fork.backward((_dp3, _up.backward(_dlarge, _cache)), None).item()
    assert dc3 == 15
    assert np.array_equal(_dc2, _dp2)
    reveal(
        merged,
        "15: the sum of all",
        f"""The library's own three layers give **{dc3:g}**. The coarse number was copied five times: once for p3, four times into p2. *A copy going forward is a sum going back*, whether a
        fork made it or an upsampling. dc2 is dp2 as it is, for an add copies. It is lesson 06 once more, with nothing new in it.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    ### Upsampling

    From x (N, C, H, W) to y (N, C, sH, sW). **Nearest** repeats: $y_{ij} = x_{\lfloor i/s \rfloor \lfloor j/s \rfloor}$. Each pixel becomes a block, so it gets the *sum* of its block:

    $$dx_{hw} = \sum_{i, j \,=\, 0}^{s-1} dy_{sh+i,\; sw+j} .$$

    Not the mean: average pooling undoes the forward pass, but it is not its backward pass. **Bilinear** draws straight lines between the centres of pixels. It is linear, and rows and columns
    go separately, so it is two small matrices, R (sH, H) and S (sW, W):

    $$y = R\, x\, S^{\top}, \qquad dx = R^{\top}\, dy\, S .$$
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, ORANGE, UpsampleBilinear, grid, mo, np, show, sketch, words):
    _x = np.array([0.0, 8, 4])
    _y, _cache = UpsampleBilinear((1, 2)).forward(_x.reshape(1, 1, 1, 3), train=True)
    _matrix = _cache.columns
    _dy = np.array([1.0, 2, 0, 4, 0, 1])
    _dx = UpsampleBilinear((1, 2)).backward(_dy.reshape(1, 1, 1, 6), _cache)
    assert np.array_equal(_dx.ravel(), _matrix.T @ _dy)
    assert np.array_equal(_matrix.sum(axis=1), np.ones(6))
    _parts = [
        grid(_matrix, (10, 40), title="S (6, 3)", cell=44),
        words("times", (156, 176)),
        grid(_x[:, None], (206, 106), title="x", cell=44, marks={(i, 0): BLUE for i in range(3)}),
        words("=", (264, 176)),
        grid(_y.ravel()[:, None], (290, 40), title="y", cell=44),
        grid(_matrix.T, (370, 106), title="S transposed (3, 6)", cell=44),
        words("times", (644, 176)),
        grid(_dy[:, None], (694, 40), title="dy", cell=44),
        words("=", (752, 176)),
        grid(_dx.ravel()[:, None], (778, 106), title="dx", cell=44, marks={(i, 0): ORANGE for i in range(3)}),
    ]
    mo.vstack(
        [
            show(
                sketch(830, 315, *_parts),
                alt=f"Bilinear upsampling of 3 numbers to 6 as a matrix product: S times {_x.tolist()} is {_y.ravel().tolist()}. Backward, the transposed matrix times dy = {_dy.tolist()} is dx = {_dx.ravel().tolist()}.",
            ),
            mo.md("""Each row of S sums to 1: y is a mean of neighbours. Each *column* says what a pixel gave, and to whom; read as a row of the transposed matrix, it says what comes back. Here too
            a pixel gets a sum, of weights that add up to 2, and no mean."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### A class for every pixel

    Logits (N, K + 1, H, W), labels (N, H, W). It is the softmax cross-entropy of lesson 01 at each pixel, with a mean over the pixels that *count*. Some do not: at the border of a thing nobody
    can say, or a picture was moved and what came in from outside is nothing. Their label is 255 and their weight 0:

    $$L = \frac{\sum_{n,h,w} w_{nhw}\, (-\log p_{n,\,\text{label},\,h,w})}{\sum_{n,h,w} w_{nhw}}, \qquad
    dz_{nkhw} = \frac{w_{nhw}}{\sum w}\, \bigl(p_{nkhw} - [k = \text{label}]\bigr).$$

    ### Something or nothing: the focal loss

    A detector asks K yes-or-no questions at each of its P places, so its output is a *sigmoid* each: $p$ for "yes", and $p_t$ is $p$ where the answer is yes, else $1 - p$. Cross-entropy is
    $-\log p_t$. Lin et al. (2017) multiply it by a factor that fades for what is already right:

    $$\mathrm{FL} = -(1 - p_t)^{\gamma} \log p_t , \qquad \text{summed over all places, divided by the number of places with a thing.}$$
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    gamma = mo.ui.slider(0, 5, step=0.5, value=2, label="γ", show_value=True)
    easy = mo.ui.slider(
        steps=[0.001, 0.01, 0.03, 0.1, 0.3, 0.5],
        value=0.03,
        label="p at places with nothing (they are right if it is small)",
        show_value=True,
    )
    mo.hstack([gamma, easy], justify="start", gap=2, wrap=True)
    return easy, gamma


@app.cell(hide_code=True)
def _(
    BLUE,
    CLASSES,
    Figure,
    GREY,
    ORANGE,
    all_places,
    answering,
    easy,
    gamma,
    mo,
    np,
    show,
    sigmoid_focal_loss,
    style,
):
    def _logit(p):
        return np.log(p / (1 - p))

    def _curve(power):
        grid_ = np.linspace(0.005, 0.999, 200)
        return grid_, np.array(
            [sigmoid_focal_loss(np.array([_logit(p)]), np.ones(1), alpha=None, gamma=power, count=1)[0] for p in grid_]
        )

    def _parts(power):
        """What places with a thing (p = 0.3 there) and all other questions add to the loss, and to the gradient."""
        things = round(float(answering.mean()))
        nothing = len(all_places.x) * len(CLASSES) - things
        found = []
        for p, target, many in ((0.3, 1.0, things), (easy.value, 0.0, nothing)):
            one, slope = sigmoid_focal_loss(np.array([_logit(p)]), np.array([target]), alpha=None, gamma=power, count=1)
            found.append((many * one, many * abs(slope.item())))
        return found

    _plain, _focal = _parts(0.0), _parts(float(gamma.value))
    _share = [100 * part[1][1] / (part[0][1] + part[1][1]) for part in (_plain, _focal)]
    with style():
        _figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        _left, _right = _figure.subplots(1, 2, width_ratios=(1.1, 1))
        _left.plot(*_curve(0.0), color=BLUE, label="γ = 0: cross-entropy")
        if gamma.value:
            _left.plot(*_curve(float(gamma.value)), "--", color=ORANGE, label=f"γ = {gamma.value:g}")
        _left.set(xlabel="probability of the right answer", ylabel="loss", ylim=(0, 4), xlim=(0, 1))
        _left.legend()
        _bars = _right.barh(["cross-entropy", f"focal, γ = {gamma.value:g}"], _share, color=[BLUE, ORANGE])
        _right.bar_label(_bars, labels=[f"{value:.0f} %" for value in _share], padding=4)
        _right.axvline(50, color=GREY, linewidth=0.8, linestyle=":")
        _right.set(
            xlabel="part of the gradient that is\nfrom places with nothing, %", xlim=(0, 125), xticks=[0, 50, 100]
        )
        _right.invert_yaxis()
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Left: the focal loss falls to 0 sooner than cross-entropy as the right answer's probability rises. Right: with p = {easy.value:g} at places with nothing, these give {_share[0]:.0f} % of the gradient of cross-entropy "
                f"and {_share[1]:.0f} % of the focal loss's.",
            ),
            mo.md(f"""One scene: {round(float(answering.mean()))} places with a thing, at each of which the network says p = 0.3, and {len(all_places.x) * len(CLASSES) - round(float(answering.mean())):,} other questions, at which
            it says p = {easy.value:g}. With cross-entropy these easy ones make {_plain[1][0]:.0f} of a loss of {_plain[0][0] + _plain[1][0]:.0f} and **{_share[0]:.0f} % of the gradient**: each is small, and they are many. With
            γ = {gamma.value:g} they make **{_share[1]:.0f} %**. Move p: what happens at 0.5, where a new network would start? Therefore the last layer's bias starts at $\\log(0.01 / 0.99)$: a new detector believes in nothing."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Boxes: IoU, and why it is not enough

    $$\mathrm{IoU} = \frac{|A \cap B|}{|A \cup B|}, \qquad \mathrm{GIoU} = \mathrm{IoU} - \frac{|E| - |A \cup B|}{|E|}, \quad E \text{ the smallest box around both.}$$

    A head says, at each place, how far the four sides are: $stride \cdot e^{x}$, so that a distance is positive. The box's loss is $1 - \mathrm{GIoU}$ (Rezatofighi et al. 2019).
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    apart = ask(
        "Predicted (0, 0, 2, 2), wanted (3, 0, 5, 2): they do not touch. What is the gradient of 1 − IoU at the predicted box, and of 1 − GIoU at its right side x1?",
        ["both 0", "0, and −0.2: to the right", "−0.2, and 0", "both −0.2"],
    )
    apart
    return (apart,)


@app.cell(hide_code=True)
def _(apart, giou_loss_backward, giou_loss_forward, np, reveal):
    _a, _b = np.array([[0.0, 0, 2, 2]]), np.array([[3.0, 0, 5, 2]])
    _loss, _cache = giou_loss_forward(_a, _b, count=1)
    _grad = giou_loss_backward(np.ones(()), _cache)[0]
    assert np.allclose([_loss, _grad[0], _grad[2]], [1.2, 0.04, -0.2])
    reveal(
        apart,
        "0, and −0.2: to the right",
        f"""IoU is 0 here, and still 0 if the box moves a little: no gradient, so nothing is learned. GIoU: the union is 4 + 4 = 8, the box around both 5 · 2 = 10, so GIoU = 0 − 2/10, the loss
        **{float(_loss):g}**. Move x1 by e: the union grows to 8 + 2e, the box around both stays: the loss is 1 + (2 − 2e)/10, slope **{_grad[2]:g}**. Move x0 by e: union 8 − 2e, around both 10 − 2e, the loss is
        1 + 2/(10 − 2e), slope {_grad[0]:g}. A step against the gradient moves x1 to the right by 0.2 and x0 to the left by 0.04: the box first *grows* towards its target. The library's backward gives the same two numbers.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    shift = mo.ui.slider(-20, 20, step=1, value=-14, label="the predicted box, shifted by pixels", show_value=True)
    shift
    return (shift,)


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREY,
    ORANGE,
    Rectangle,
    giou_loss_backward,
    giou_loss_forward,
    mo,
    np,
    pairwise_iou,
    shift,
    show,
    style,
):
    _target = np.array([[20.0, 6, 30, 16]])
    _shifts = np.arange(-20, 20.01, 0.25)
    _many = np.stack([[20 + s, 5, 30 + s, 15] for s in _shifts])
    _giou = [float(giou_loss_forward(row[None], _target, count=1)[0]) for row in _many]
    _iou = 1 - pairwise_iou(_many, _target)[:, 0]
    _now = np.array([[20.0 + shift.value, 5, 30 + shift.value, 15]])
    _loss, _cache = giou_loss_forward(_now, _target, count=1)
    _step = -giou_loss_backward(np.ones(()), _cache)[0]
    with style():
        _figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        _left, _right = _figure.subplots(1, 2, width_ratios=(1, 1.15))
        for _box, _colour, _line in ((_target[0], GREY, "--"), (_now[0], ORANGE, "-")):
            _left.add_patch(
                Rectangle(_box[:2], *(_box[2:] - _box[:2]), fill=False, edgecolor=_colour, linestyle=_line, linewidth=2)
            )
        for _side, _y in ((0, 10), (2, 10)):
            _long = 300 * _step[_side]
            if abs(_long) > 0.3:
                _left.annotate(
                    "",
                    (_now[0, _side] + _long, _y),
                    (_now[0, _side], _y),
                    arrowprops={"arrowstyle": "->", "color": ORANGE},
                )
        _left.set(
            xlim=(-8, 58), ylim=(22, -1), aspect="equal", title="dashed: wanted", xticks=[0, 20, 40], yticks=[0, 10, 20]
        )
        _right.plot(_shifts, _iou, color=BLUE, label="1 − IoU")
        _right.plot(_shifts, _giou, "--", color=ORANGE, label="1 − GIoU")
        _right.plot(shift.value, float(_loss), "o", color=ORANGE)
        _right.set(xlabel="shift, pixels", ylabel="loss", ylim=(0, 1.6), xticks=[-20, -10, 0, 10, 20])
        _right.legend(loc="lower right", fontsize=9)
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Left: a box 10 pixels wide, shifted by {shift.value} from the wanted one, with arrows where a step moves its left and right side. Right: 1 - IoU is flat at 1 as soon as the boxes do not touch; 1 - GIoU keeps rising with the distance.",
            ),
            mo.md(
                f"Loss {float(_loss):.3f}. A step of 1 against the gradient moves x0 by {_step[0]:+.4f} and x1 by {_step[2]:+.4f} pixels (arrows: 300 times as long)."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Which place answers for which box

    The loss needs a target at every place, and the data has boxes. The rule (as FCOS, Tian et al. 2019): a box belongs to the *level* whose stride fits its size, and there to the places near its
    centre; if two boxes claim a place, the smaller one has it. All other places answer "nothing".
    """)
    return


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    ORANGE,
    STRIDES,
    all_places,
    frame,
    mo,
    np,
    scene,
    scenes,
    show,
    shown,
    style,
    targets,
):
    _n, _colours, _marks = (
        scene.value,
        dict(zip(STRIDES, (BLUE, ORANGE, GREEN), strict=True)),
        dict(zip(STRIDES, "os^", strict=True)),
    )
    _yes = targets.labels[_n] >= 0
    _counts = {s: int((_yes & (all_places.stride == s)).sum()) for s in STRIDES}
    with style():
        _figure = Figure(figsize=(6, 4.1), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.imshow(shown(scenes.x[_n]), alpha=0.55)
        for _box in scenes.boxes[_n]:
            frame(_axes, _box, "black", linewidth=1.2)
        for _stride in STRIDES:
            _here = _yes & (all_places.stride == _stride)
            _axes.plot(
                all_places.x[_here] - 0.5,
                all_places.y[_here] - 0.5,
                _marks[_stride],
                color=_colours[_stride],
                markeredgecolor="white",
                markeredgewidth=0.6,
                markersize=6,
                label=f"stride {_stride}: {_counts[_stride]}",
            )
        _axes.set_axis_off()
        _figure.legend(loc="outside right upper", title="places that answer")
    assert sum(_counts.values()) == int(_yes.sum())
    _sizes = [max(float(b[2] - b[0]), float(b[3] - b[1])) for b in scenes.boxes[_n]]
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Scene {_n} with its boxes, and the places that answer for one: {', '.join(f'{c} at stride {s}' for s, c in _counts.items())}. They stand close to the boxes' centres; small boxes have theirs at stride 2, large ones at stride 8.",
            ),
            mo.md(f"""Longest sides in this scene: {", ".join(f"{s:.0f}" for s in sorted(_sizes)) or "none"} pixels. Up to 16 they belong to stride 2, up to 32 to stride 4, above to stride 8. In all {int(_yes.sum())} of
            {len(_yes):,} places. (The slider above chooses the scene.)"""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(inspect, mo):
    from tinyresnet.boxes import batched_nms as _batched_nms
    from tinyresnet.layers.upsample import upsample_nearest_backward as _backward
    from tinyresnet.layers.upsample import upsample_nearest_forward as _forward
    from tinyresnet.pyramid import FeaturePyramid as _FeaturePyramid

    _code = "\n\n".join(inspect.getsource(getattr(part, "reference", part)) for part in (_forward, _backward))
    mo.md(f"""
    ## The code

    The library's own text: `tinyresnet/layers/upsample.py`, then the way back through the whole pyramid (`pyramid.py`), then non-maximum suppression (`boxes.py`, explained below).

    ```python
    {_code}

    # class FeaturePyramid
    {inspect.getsource(_FeaturePyramid.backward)}

    {inspect.getsource(_batched_nms)}
    ```

    The whole detector, backbone and pyramid and losses, has the gradient that PyTorch finds for the same graph, to 1e-8 in float64: the project's tests compare them.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### One thing, many boxes

    All places near a thing answer, so it is found many times. **Non-maximum suppression** (NMS) keeps the best box, drops what overlaps it too much and has the same class, and goes on with the
    rest. Below are the boxes of a score of at least 0.3 that the library's small built-in detector gives for the scene, which it never saw in training. Which threshold would you take? Try it on
    scenes 1, 7 and 30 as well.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    overlap = mo.ui.slider(0.05, 1.0, step=0.05, value=0.6, label="drop above an IoU of", show_value=True)
    overlap
    return (overlap,)


@app.cell(hide_code=True)
def _(np, scene, scenes):
    from tinyresnet.data.batches import normalize as _normalize
    from tinyresnet.detect import detections as _detections
    from tinyresnet.trained import built_in as _built_in

    detector, detector_header = _built_in("detect")
    _x = _normalize(scenes.x[scene.value : scene.value + 1], detector_header.mean, detector_header.std)
    _y, _ = detector.forward(_x, train=False)
    (candidates,) = _detections(
        _y, (96, 96), threshold=0.3, overlap=1.0, most=1000
    )  # an IoU is never above 1: all are kept
    assert np.all(np.diff(candidates.scores) <= 0)
    return candidates, detector, detector_header


@app.cell(hide_code=True)
def _(
    CLASSES,
    Figure,
    batched_nms,
    candidates,
    colour_of,
    frame,
    mo,
    np,
    overlap,
    pairwise_iou,
    scene,
    scenes,
    show,
    shown,
    style,
):
    _n = scene.value
    _true, _labels = scenes.boxes[_n], scenes.labels[_n]
    _kept = batched_nms(*candidates, overlap.value)
    _hit = (pairwise_iou(candidates.boxes[_kept], _true) >= 0.5) & (candidates.labels[_kept][:, None] == _labels)
    _lost = len(_true) - int(_hit.any(axis=0).sum())
    with style():
        _figure = Figure(figsize=(7, 3.6), layout="constrained")
        for _axes, _which, _title in zip(
            _figure.subplots(1, 2),
            (range(len(candidates.boxes)), _kept),
            (f"{len(candidates.boxes)} boxes", f"{len(_kept)} kept"),
            strict=True,
        ):
            _axes.imshow(shown(scenes.x[_n]), alpha=0.75)
            for _i in _which:
                _colour = np.array(colour_of(int(candidates.labels[_i]), len(CLASSES))) / 255
                frame(_axes, candidates.boxes[_i], _colour, linewidth=1.6)
            _axes.set_title(_title)
            _axes.set_axis_off()
    _named = ", ".join(f"{CLASSES[candidates.labels[_i]]} {candidates.scores[_i]:.2f}" for _i in _kept[:8])
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Left the {len(candidates.boxes)} boxes that the detector finds in scene {_n}, right the {len(_kept)} that non-maximum suppression keeps with a threshold of {overlap.value:g}; there are {len(_true)} things.",
            ),
            mo.md(f"""{len(_true)} things; {len(candidates.boxes)} boxes, {len(_kept)} kept{f", the best: {_named}" if _named else ""}. {"Each thing has a box of its class with an IoU of 0.5 or more." if not _lost else f"{_lost} of the things have no box of their class with an IoU of 0.5 or more."}
            A low threshold also drops a *second thing* of the same class that stands close by; a high one keeps doubles. There is no value that is always right: it is a setting, and AP judges it."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### How good is a detector? Average precision by hand

    Three things to find, four boxes, the best score first. A box is a *hit* if its IoU with a thing that is still free reaches 0.5, else a *miss*. After each box write down

    - **recall**: hits so far / 3 things,
    - **precision**: hits so far / boxes so far.

    Then let the curve fall only: at each recall take the largest precision at this or a larger recall. Its mean height is the average precision (AP50). COCO reads it at the recalls
    0, 0.01, ..., 1.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    precision = ask(
        "The order is hit, **miss**, hit, hit. What is AP50, about?",
        ["0.75: three of four boxes are right", "0.83", "0.92", "1: all three are found"],
    )
    precision
    return (precision,)


@app.cell(hide_code=True)
def _(np):
    from tinyresnet.average_precision import DetectionMetrics as _DetectionMetrics

    THINGS = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])

    def measured(order):
        """What the library says of detections in this order, hits ("H") and misses ("M"); boxes of one class in one picture."""
        next_thing, nowhere = iter(THINGS), np.array([60.0, 0, 70, 10])
        boxes = [next(next_thing) + 1 if word == "H" else nowhere for word in order]
        scores = np.linspace(0.9, 0.5, len(order))
        metrics = _DetectionMetrics(("thing",))
        kind = np.zeros(len(order), np.int64)
        metrics.add(np.array(boxes), scores, kind, THINGS, np.zeros(3, np.int64))
        return metrics.summary()

    return (measured,)


@app.cell(hide_code=True)
def _(measured, np, precision, reveal):
    _found = measured("HMHH")
    _by_hand = (34 * 1 + 67 * 0.75) / 101
    assert np.isclose(_found.ap50, _by_hand)
    reveal(
        precision,
        "0.83",
        f"""Recall 1/3, 1/3, 2/3, 1; precision 1, 1/2, 2/3, 3/4. Falling only: 1 up to recall 1/3, then 3/4 (not 2/3: at a larger recall there is 3/4). 34 of COCO's 101 recalls lie at or below 1/3, 67 above:
        (34 · 1 + 67 · 0.75) / 101 = **{_by_hand:.3f}**. The library says {_found.ap50:.3f}.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    miss_at = mo.ui.slider(1, 4, value=2, label="place of the miss", show_value=True)
    miss_at
    return (miss_at,)


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, measured, miss_at, mo, np, show, style):
    _order = "H" * (miss_at.value - 1) + "M" + "H" * (4 - miss_at.value)
    _evaluation = measured(_order)
    _hits = np.cumsum([word == "H" for word in _order])
    _recall, _precision = _hits / 3, _hits / np.arange(1, 5)
    _all = {place: measured("H" * (place - 1) + "M" + "H" * (4 - place)).ap50 for place in (1, 2, 3, 4)}
    assert list(_all.values()) == sorted(_all.values())
    assert np.isclose(_all[4], 1)
    with style():
        _figure = Figure(figsize=(6.2, 2.9), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.fill_between(
            np.linspace(0, 1, 101), _evaluation.precision[0, :, 0, 0], color=BLUE, alpha=0.25, step="pre", linewidth=0
        )
        _axes.step(
            np.linspace(0, 1, 101),
            _evaluation.precision[0, :, 0, 0],
            color=BLUE,
            where="pre",
            label="falling only: its mean is AP50",
        )
        _axes.plot(_recall, _precision, "o", color=ORANGE, label="after each box", clip_on=False)
        for _k, (_r, _p) in enumerate(zip(_recall, _precision, strict=True), start=1):
            _axes.annotate(str(_k), (_r, _p), textcoords="offset points", xytext=(9, -4))
        _axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.05), ylim=(0, 1.1), yticks=[0, 0.5, 1])
        _axes.legend(loc="lower left")
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Precision over recall for the order {_order}: after the four boxes recall is {', '.join(f'{r:.2f}' for r in _recall)} and precision {', '.join(f'{p:.2f}' for p in _precision)}. The falling curve has the mean {_evaluation.ap50:.3f}.",
            ),
            mo.md(f"""AP50 = **{_evaluation.ap50:.3f}**. With the miss first, second, third, last: {", ".join(f"{value:.3f}" for value in _all.values())}. AP looks at the *order* of scores alone, and a wrong box behind
            the last hit costs nothing. These hits have an IoU of {81 / 119:.2f}: at the thresholds 0.5, 0.55, ... 0.95, over which COCO's AP is a mean, they count up to 0.65, so AP is {_evaluation.ap:.3f}."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(detector, detector_header, mo, scene_set):
    from tinyresnet.data.scene_batches import scene_eval_batches as _scene_eval_batches
    from tinyresnet.tasks.detect import evaluate_detector as _evaluate_detector

    _some = scene_set.head(50)
    _batches = _scene_eval_batches(_some, batch_size=25, mean=detector_header.mean, std=detector_header.std)
    _found = _evaluate_detector(detector, _batches, _some)
    _weak = min((row for row in _found.per_class if row.ap50 is not None), key=lambda row: row.ap50)
    assert _found.ap50 > 0.5
    mo.md(f"""
    **Measured now**: the built-in detector on {_found.pictures} scenes that it never saw, with {int(_found.counts[:, 0].sum())} things: AP50 **{_found.ap50:.3f}**, AP75 {_found.ap75:.3f}, AP {_found.ap:.3f}. It was trained by

    ```
    {detector_header.extra["made_by"]}
    ```

    Its weakest class here is {_weak.name}, with an AP50 of {_weak.ap50:.2f} over {_weak.count} things: with so few of a class, such a figure is known only roughly. Which of the three figures falls most if every box is a pixel too large?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### How good is a segmenter?

    **Pixel accuracy** is the part of the pixels that is right. **IoU of a class** is, over all pixels, those that are of this class *and* predicted so, divided by those that are either. **Mean IoU**
    is the mean over the classes.
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    lazy = ask(
        "A segmenter says “background” at every pixel of these scenes. Its pixel accuracy and its mean IoU are about",
        ["90 % and 90 %", "90 % and 8 %", "9 % and 9 %"],
    )
    lazy
    return (lazy,)


@app.cell(hide_code=True)
def _(CLASSES, PixelMetrics, lazy, np, reveal, scenes):
    _metrics = PixelMetrics(("background", *CLASSES))
    _metrics.add(np.zeros_like(scenes.masks), scenes.masks)
    _found = _metrics.summary()
    assert 0.85 < _found.pixel_accuracy < 0.95
    assert np.isclose(_found.mean_iou, _found.iou[0] / 11)
    reveal(
        lazy,
        "90 % and 8 %",
        f"""Pixel accuracy {_found.pixel_accuracy:.1%}; the IoU of the background is the same number, {_found.iou[0]:.3f}; that of each of the ten classes is 0. Mean IoU: {_found.iou[0]:.3f} / 11 = **{_found.mean_iou:.3f}**.
        So accuracy is mostly a figure of the background. Mean IoU counts a rare class as much as a common one, and it hides how large the things were: ten missed hearts of 6 pixels may cost less
        than the border of one large disc.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Train one

    The detector came trained. Now one live: a segmenter on a ResNet-8, 8 channels wide, on the first 64 scenes of 48 x 48 pixels. It is far too
    short to be good. Compare 10 updates with 160: what does it learn first?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    steps = mo.ui.slider(steps=[10, 40, 80, 160], value=80, label="updates of 8 scenes", show_value=True)
    steps
    return (steps,)


@app.cell(hide_code=True)
def _(
    CLASSES,
    Figure,
    load_scenes,
    mo,
    np,
    shown,
    show,
    steps,
    style,
    tinted,
):
    from tinyresnet.models import make as _make
    from tinyresnet.resnet import Config as _Config
    from tinyresnet.segment import SegmenterConfig as _SegmenterConfig
    from tinyresnet.tasks.segment import Segment as _Segment
    from tinyresnet.tasks.segment import masks_of as _masks_of
    from tinyresnet.train import Settings as _Settings
    from tinyresnet.train import train as _train

    _data = load_scenes("shapes", task="segment", train_size=64, test_size=64, picture_size=48)
    _model = _make(_SegmenterConfig(_Config("resnet8", 10, width=8), channels=16), np.random.default_rng(0))
    _settings = _Settings(steps=steps.value, batch_size=8, lr=0.003, optimiser="adamw", seed=0)
    _losses = [r["loss"] for r in _train(_model, (_data[0], _data[1].head(1)), _settings) if r["kind"] == "step"]
    _measured = _Segment().measure(_model, _data[1], _data[0].mean, _data[0].std)
    _test = _data[1].read(np.arange(6))
    _mean, _std = (np.array(v, np.float32)[:, None, None] for v in (_data[0].mean, _data[0].std))
    _y, _ = _model.forward((_test.x.astype(np.float32) / 255 - _mean) / _std, train=False)
    with style():
        _figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        _rows = _figure.subplots(3, 6)
        for _column, _masks in enumerate(zip(_test.x, _test.masks, _masks_of(_y), strict=True)):
            _picture, _true, _predicted = _masks
            for _axes, _image in zip(
                _rows[:, _column], (shown(_picture), tinted(_picture, _true), tinted(_picture, _predicted)), strict=True
            ):
                _axes.imshow(_image)
                _axes.set(xticks=[], yticks=[])
                _axes.spines[:].set_visible(False)
        for _axes, _name in zip(_rows[:, 0], ("picture", "truth", "found"), strict=True):
            _axes.set_ylabel(_name)
    _lazy = float((_data[1].read(np.arange(64)).masks == 0).mean())
    assert _losses[-1] < _losses[0]
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Six test scenes: above the pictures, in the middle the true classes as tints, below what the segmenter found after {steps.value} updates. Mean IoU {_measured['mean_iou']:.2f} of {len(CLASSES)} classes and the background.",
            ),
            mo.md(f"""After {steps.value} updates: loss {_losses[0]:.2f} → {np.mean(_losses[-5:]):.2f}; on 64 test scenes pixel accuracy **{_measured["pixel_accuracy"]:.1%}**, mean IoU **{_measured["mean_iou"]:.3f}**. The lazy segmenter
            would have {_lazy:.1%} and {_lazy / 11:.3f} here, for in small scenes there is less background: compare both figures, and say which of the two you trust."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo, places, pretraining):
    held = places.data("pretraining")
    table, boxes_table = (pretraining.summary(held["results"], task) for task in ("segment", "detect"))
    budget_was = held["settings"]
    classifier_top1 = next(row["score"] for row in held["results"] if row["task"] == "classify")

    def clear(line, start="pretrained"):
        """Whether the gain over the seeds is more than twice its spread."""
        gain, spread = line[start]["gain"]
        return gain > 2 * spread

    mo.md(f"""
    ### What pre-training brings

    A thousand pictures with one class each are cheap; a mask for every thing in a scene is not. So one trains a classifier first, and puts *its* backbone under the segmenter. It is one line,
    `load_backbone(segmenter, classifier.state_dict())`: the names of the parameters are the same.

    **The experiment.** A ResNet-8, {budget_was["width"]} channels wide, was trained on {budget_was["pictures"]:,} `shapes` pictures of 32 x 32 with one thing each ({budget_was["classifier_steps"]} updates; it is right at {classifier_top1:.0%} of new ones,
    where guessing gives 10 %). Then segmenters and detectors were trained on few scenes, {budget_was["steps"]} updates of {budget_was["batch_size"]} each, from first weights ("scratch") and with that backbone ("pretrained"); the rest is alike. Every number
    is over {table[0]["seeds"]} seeds, which draw first weights and batches. Made by

    ```
    {held["command"]}
    ```
    """)
    return boxes_table, budget_was, classifier_top1, clear, table


@app.cell(hide_code=True)
def _(ask):
    brings = ask(
        "Segmenters with 50, 200 and 800 scenes: where is “pretrained” clearly better, by more than twice the spread over the seeds?",
        ["with all of them", "with some of them", "with none of them"],
    )
    brings
    return (brings,)


@app.cell(hide_code=True)
def _(BLUE, Figure, ORANGE, boxes_table, brings, clear, mo, np, reveal, show, style, table):
    _clear = [clear(line) for line in table]
    _right = "with all of them" if all(_clear) else "with some of them" if any(_clear) else "with none of them"
    _starts, _figures = ("scratch", "pretrained"), {"mean IoU of segmenters": table, "AP50 of detectors": boxes_table}

    def _number(pair, sign=""):
        return f"{pair[0]:{sign}.3f} ± {pair[1]:.3f}"

    _said = "; ".join(
        f"{line['scenes']} scenes {_number(line['pretrained']['gain'], '+')}{' (clear)' if clear(line) else ''}"
        for line in table
    )
    _lines = ["| | scenes | scratch | pretrained | gain | clear? |", "|:--|--:|--:|--:|--:|:--|"]
    for _name, _rows in _figures.items():
        for _line in _rows:
            _cells = [_number(_line[start]["score"]) for start in _starts] + [_number(_line["pretrained"]["gain"], "+")]
            _lines.append(f"| {_name} | {_line['scenes']} | {' | '.join(_cells)} | {'yes' if clear(_line) else 'no'} |")
    _panels = []
    for _name, _rows in _figures.items():
        _means = [
            "{} scenes {:.2f} and {:.2f}".format(r["scenes"], *(r[start]["score"][0] for start in _starts))
            for r in _rows
        ]
        _panels.append(f"{_name}, scratch and pretrained: {'; '.join(_means)}.")
    with style():
        _figure = Figure(figsize=(7.2, 3), layout="constrained")
        for _axes, (_name, _rows) in zip(_figure.subplots(1, 2), _figures.items(), strict=True):
            _places = np.arange(len(_rows))
            for _start, _colour, _mark, _shift in zip(_starts, (BLUE, ORANGE), "os", (-0.06, 0.06), strict=True):
                _means, _spreads = np.array([line[_start]["score"] for line in _rows]).T
                _axes.errorbar(
                    _places + _shift, _means, yerr=_spreads, fmt=f"{_mark}-", color=_colour, capsize=3, label=_start
                )
            _axes.set_xticks(_places, [str(line["scenes"]) for line in _rows])
            _axes.set(title=_name, xlabel="training scenes", ylim=(0, None))
        _axes.legend(loc="lower right")
    mo.vstack(
        [
            reveal(brings, _right, f"Gain in mean IoU, seed by seed: {_said}."),
            show(
                _figure,
                alt=f"Two panels by number of training scenes, mean and spread over the seeds. {' '.join(_panels)}",
            ),
            mo.md("\n".join(_lines)),
        ]
    )
    return


@app.cell(hide_code=True)
def _(boxes_table, budget_was, classifier_top1, clear, mo, table):
    _first, _last = table[0], table[-1]
    _gains = [line["pretrained"]["gain"][0] for line in (*table, *boxes_table)]
    _clear = [line["scenes"] for line in table if clear(line)]
    _risen, _more = sum(gain > 0 for gain in _gains), _last["scratch"]["score"][0] - _first["scratch"]["score"][0]
    _said = (
        f"The gain is clear for segmenters with {' and '.join(map(str, _clear))} scenes; of the others three seeds do not decide it"
        if _clear
        else "For no number of scenes do three seeds decide it"
    )
    mo.md(f"""
    **What it shows.** {_risen} of {len(_gains)} means rise, and the gains are {min(_gains):+.3f} to {max(_gains):+.3f}. {_said}. That is no proof that pre-training brings nothing: it is a question that this budget
    cannot answer, and an honest table says so. How many seeds would you need? A new detector learns little in {budget_was["steps"]} updates, with or without.

    **What it does not show.** (1) It is a *small budget*: {budget_was["steps"]} updates, a network 8 channels wide, scenes of {budget_was["picture_size"]} pixels. A mean IoU of {_last["scratch"]["score"][0]:.2f} is far from the 0.85 that
    a longer run is made for; {_last["scenes"]} scenes instead of {_first["scenes"]} change it by {_more:+.2f}: in so few updates not even {_first["scenes"]} scenes are learned by heart. (2) There was *one* classifier, and a middling one ({classifier_top1:.0%}): the spread is that of the
    segmenters alone. (3) The classifier's {budget_was["classifier_steps"]} updates are not free: given the same time, "scratch" would come further. He, Girshick and Dollár (2019) found that with enough time and scenes it catches up.
    (4) Pictures and scenes come from the same drawing program. Between photographs and X-rays the step is larger.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### A real one

    ```
    tinyresnet train --task segment --out runs/segment
    tinyresnet train --task detect --out runs/detect
    tinyresnet eval --weights runs/detect
    tinyresnet predict --weights runs/detect picture.png --out annotated.png
    tinyresnet train --task detect --backbone runs/classifier --out runs/detect2
    ```

    docs/scenes.md has their figures and times. The last command starts from the weights of a classifier of the same architecture.

    ## The exercise

    ```
    tinyresnet lesson start 11
    tinyresnet lesson check pyramid.py
    ```

    The file has nearest upsampling both ways, the way back through one step of the pyramid, and the IoU of two sets of boxes. With `--rung a` you predict numbers on paper; with `--rung b` (the
    default) you fill gaps; with `--rung c` you write it all.

    On paper, for the viva: *bilinear upsampling by 2, then the mean of all pixels. What is dx, at the border too? And with nearest?* Then an experiment: turn the starts of the
    table above around. Train a segmenter first, put its backbone under a classifier. What do you expect?

    ## What to read

    - Long, Shelhamer, Darrell, [Fully convolutional networks for semantic segmentation](https://arxiv.org/abs/1411.4038) (CVPR 2015): a class for every pixel; the transposed convolution that
      starts as bilinear interpolation.
    - Lin et al., [Feature pyramid networks for object detection](https://arxiv.org/abs/1612.03144) (CVPR 2017): figure 3 is the step that you took back by hand.
    - Lin et al., [Focal loss for dense object detection](https://arxiv.org/abs/1708.02002) (ICCV 2017): equation 4 is the loss without, equation 5 with a weight for each side.
    - Tian et al., [FCOS](https://arxiv.org/abs/1904.01355) (ICCV 2019): a detector without anchor boxes; ours is one in small.
    - Rezatofighi et al., [Generalized intersection over union](https://arxiv.org/abs/1902.09630) (CVPR 2019).
    - Lin et al., [Microsoft COCO](https://arxiv.org/abs/1405.0312) (ECCV 2014), and Everingham et al., "The Pascal visual object classes challenge: a retrospective" (IJCV 2015): how
      detectors and segmenters are judged.
    - Yosinski et al., [How transferable are features in deep neural networks?](https://arxiv.org/abs/1411.1792) (2014), and He, Girshick, Dollár,
      [Rethinking ImageNet pre-training](https://arxiv.org/abs/1811.08883) (ICCV 2019): with enough scenes and enough time, training from scratch catches up.
    - In this project: `tinyresnet/detect.py`, `segment.py`, `assign.py`, `average_precision.py`, and `tinyresnet gradcheck upsampling`.
    """)
    return


if __name__ == "__main__":
    app.run()
