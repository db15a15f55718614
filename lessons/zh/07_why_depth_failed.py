"""为什么深度会失效，残差又怎样挽救了它

60 分钟。先修 04、06。
"""

import marimo

app = marimo.App(width="medium", app_title="07 为什么深度会失效，残差又怎样挽救了它")


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
        "CIFAR-10 图片": places.data("degradation_cifar"),
        "shapes（内置）": places.data("degradation_shapes"),
    }
    tables = {
        name: {(row["kind"], row["depth"]): row for row in degradation.summary(held["results"])}
        for name, held in measured.items()
    }
    cifar = tables["CIFAR-10 图片"]
    runs = {name: select(held["results"], part="run") for name, held in measured.items()}

    def loss_of(kind, depth):
        """CIFAR 图片上的训练损失，对各个种子取平均。"""
        return cifar[kind, depth]["train_loss"][0]

    def percent(pair):
        """一项误差及其离散程度，以百分数表示。"""
        return f"{100 * pair[0]:.1f} ± {100 * pair[1]:.1f} %"

    return cifar, loss_of, measured, percent, runs, tables


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 07 · 为什么深度会失效，残差又怎样挽救了它

    这里有一个不可能错的论证。取一个训练好的 20 层网络，在后面再接 36 层，每一层都是*恒等映射*：输入什么就输出什么。新网络有 56 层，算的是同一个函数。所以最好的 56 层网络至少不比最好的 20 层网络差。加深只会有好处。

    现在有人从随机权重开始训练这两个网络，用相同的图片，更新相同的次数，各自用最适合自己的学习率。它们都是*普通*网络：卷积、批归一化、ReLU，反复堆叠，没有捷径。（在图和表里，plain 是普通网络，residual 是残差网络，后面的数字是层数。）
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "56 层的普通网络与 20 层的相比：*训练*图片上的误差会怎样？",
        [
            "更低：层数多，能力强",
            "一样：多出来的层会变成恒等映射",
            "更高",
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
        "更高",
        f"""在 4,000 张 CIFAR-10 图片上实测：20 层的训练误差是 {percent(_shallow["train_error"])}，56 层的是 **{percent(_deep["train_error"])}**（{_deep["seeds"]} 个种子的平均值和标准差）。这不是过拟合，因为这是*训练*误差。更好的解就在那里（上面的论证没有错），但训练找不到它。何恺明等人把它称为**退化**（degradation）问题，残差块就是他们给出的答案。""",
        language="zh",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 学完你能做什么

    - 公平地做退化实验，并说出它证明了什么、没有证明什么。
    - 区分三种解释（梯度消失、梯度爆炸、梯度*破碎*），每一种都用一次测量来检验。
    - 说出批归一化单独能为深层网络做什么，捷径又增添了什么。
    - 观察损失曲面，观察去掉若干块的网络，并知道要当心什么。

    ## 一图看懂

    八个网络，8 到 56 层。一个普通网络与它的残差孪生*初始权重相同*，按相同的顺序看相同的图片，更新次数也相同。唯一的区别是捷径。看图之前先想：八条曲线里哪一条最差？
    """)
    return


@app.cell(hide_code=True)
def _(measured, mo):
    source = mo.ui.dropdown(list(measured), value="CIFAR-10 图片", label="图片")
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
    _head = "| 层数 | 网络 | 学习率 | 训练损失 | 训练误差 | 测试误差 |\n|---:|:---|---:|---:|---:|---:|\n"
    _said = "；".join(f"{row['kind']} {row['depth']}：{100 * row['train_error'][0]:.0f} %" for row in _table.values())
    _set = _held["settings"]
    _seeds = len({row["seed"] for row in select(_twins, kind="plain", depth=8)})
    mo.vstack(
        [
            show(
                _figure,
                alt=f"四种深度的普通网络（plain）与残差网络（residual）在训练过程中的训练损失，以及最终的训练误差随深度的变化。{_said}。",
            ),
            mo.md(
                _head
                + "\n".join(_rows)
                + f"""

训练损失和误差是最后一轮各批次的平均；± 是 {_seeds} 个种子的标准差。**训练预算很小：**{_set["train_size"]:,} 张训练图片和 {_set["test_size"]:,} 张测试图片，{_set["picture_size"]} x {_set["picture_size"]} 像素，第一阶段宽 {_set["width"]} 个通道，{_set["epochs"]} 轮（{_set["epochs"] * (_set["train_size"] // _set["batch_size"])} 次更新，每次 {_set["batch_size"]} 张图片），没有数据增强。生成它的命令：

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
    **公平吗？** 深层网络需要的学习率可能与浅层网络不同。所以每个网络都用自己的学习率，即下面这张网格中最好的那个（训练几轮之后的训练损失，种子 0；选中的用粗体）：
    """)
    return


@app.cell(hide_code=True)
def _(measured, mo, select, source):
    _held = measured[source.value]
    _grid = select(_held["results"], part="grid")
    _rates = sorted({row["rate"] for row in _grid})
    _lines = [
        "| 网络 | " + " | ".join(f"{rate:g}" for rate in _rates) + " |",
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
        + f"\n\n每个训练 {_held['settings']['grid_epochs']} 轮。网格中没有哪个学习率能挽救深层的普通网络。"
    )
    return


@app.cell(hide_code=True)
def _(mo, runs, source):
    _minutes = sum(row["seconds"] for row in runs[source.value]) / 60
    mo.md(f"""
    ### 现在轮到你的机器

    表里的这些训练在一台繁忙的机器上依次进行，共花了 {_minutes:.0f} 分钟。这里是它的最小版本，当场运行：一个网络能不能把 **50 张图片背下来**？每个批次都包含全部 50 张；更新 50 次；学习率一律 0.1。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    by_heart = ask(
        "下面这些网络，哪些能在 50 次更新之内把 50 张图片背下来？",
        ["除 plain 32 之外的三个", "四个都能", "两个 8 层的", "两个残差网络"],
    )
    by_heart
    return (by_heart,)


@app.cell(hide_code=True)
def _(Budget, Settings, np, train_one):
    small = Budget(train_size=50, test_size=50, batch_size=50)  # shapes，16 x 16，8 个通道
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
                "除 plain 32 之外的三个",
                "最后五次更新的平均训练损失："
                + "，".join(f"{kind} {depth}：**{loss:.2f}**" for (kind, depth), loss in last.items())
                + "。对 50 张图片来说，plain 32 的权重绰绰有余。权重少得多的 plain 8 也是如此。",
                language="zh",
            ),
            show(
                _figure,
                alt="50 次更新过程中的训练损失。plain 8、residual 8 和 residual 32 接近 0；plain 32 一直远高于它们。",
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 公式与形状

    设共有 $L$ 个块，记第 $l$ 个块的输入为 $x_l$，(N, C, H, W)，这个块的分支为 $F_l$。设 $J_l = \partial F_l / \partial x_l$ 为它的雅可比矩阵：对一张图片来说是 (CHW, CHW) 的矩阵。相加之后的 ReLU 先放在一边（下面的*预激活*块就没有它）。

    | | 普通网络 | 残差网络 |
    |:---|:---|:---|
    | 一个块 | $x_{l+1} = F_l(x_l)$ | $x_{l+1} = x_l + F_l(x_l)$ |
    | 所有块 | $x_L = F_{L-1}(\dots F_0(x_0))$ | $x_L = x_0 + \sum_{l} F_l(x_l)$ |
    | 损失的梯度 | $dx_0 = J_0^{\top} J_1^{\top} \cdots J_{L-1}^{\top}\, dx_L$ | $dx_0 = (1 + J_0^{\top})(1 + J_1^{\top}) \cdots (1 + J_{L-1}^{\top})\, dx_L$ |
    | 展开 | $L$ 个矩阵的一个乘积 | $2^L$ 个乘积：每选取一组块对应一个，最短的就是 $dx_L$ 本身 |

    所有 $dx_l$ 都与 $x_l$ 形状相同。一长串乘积可能出三种毛病，而且是三种不同的毛病：

    1. **消失**：每个因子都把传来的梯度缩小。于是前面几层几乎不动。
    2. **爆炸**：每个因子都把它放大。于是没有一个学习率能适合所有的层。
    3. **破碎**：长度也许正常，但*方向*从一张图片到邻近的另一张就剧烈改变。于是一个批次教的东西，对下一个批次毫无用处。

    **为什么会破碎**（Balduzzi et al. 2017）。在一个 ReLU 网络里，两张图片凡是打开的 ReLU 相同之处，走的就是同一条路。每一层之后，每张图片大约有一半的 ReLU 是打开的。一旦两张图片几乎没有共同之处，一个 ReLU 对*两者都*打开的概率是 1/4，*恰好对其中之一*打开的概率是 1/2。所以在普通网络里，每过一层，两个梯度的共同部分大约丢掉一半：$L$ 层之后，大约只剩 $2^{-L}$。捷径让共同的部分绕过这些 ReLU。
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
    ## 代码

    本库在这里决定造孪生中的哪一个（`tinyresnet/resnet.py`）：普通块是把分支和一个 ReLU 放进 `Chain`；残差块是把*同一个分支*放进 `Residual`。

    ```python
    {_block}
    ```

    还有这一课的两件测量工具（`tinyresnet/course/experiments/`）：像素处的梯度，以及去掉若干块的网络。

    ```python
    {_code}
    ```
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 可以改的数

    ### 嫌疑一和嫌疑二：梯度消失与梯度爆炸

    “深层普通网络失败，是因为梯度消失”，许多文章都这样写。先测量，再决定信不信。这里的网络处在*第一次更新之前*，带批归一化，用 He 初始化，与上面所有的网络一样。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    vanishing = ask(
        "56 层普通网络，带批归一化：到达第一个块的梯度与最后一个块处的梯度相比，",
        ["小得多", "差不多大", "大得多"],
    )
    vanishing
    return (vanishing,)


@app.cell(hide_code=True)
def _(reveal, select, vanishing):
    from tinyresnet.step import depth_dial as _dial

    dial_rows, dial_caption = _dial.load()["rows"], _dial.caption

    def stretch(shortcut, norm, init, depth):
        """首层处的梯度是最后一个块处的多少倍；以及深度旋钮里对应的那一行。"""
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
        "大得多",
        f"""**大 {_plain:,.0f} 倍。** 带批归一化时，深层普通网络的梯度往输入方向*爆炸*，而捷径驯服了它：在残差孪生里是 {_residual:.0f} 倍。梯度消失也确有其事，但发生在别处：*没有*批归一化、使用 PyTorch 默认权重时，首层处的梯度是最后一个块处的 {_old:.0e}；使用 He 权重时，即使没有批归一化，也有 {_bare:.2f}。所以“捷径治好了梯度消失”只对一半：在这些网络里，初始化和批归一化早已把它治好了。""",
        language="zh",
    )
    return dial_caption, stretch


@app.cell(hide_code=True)
def _(mo):
    dial_norm = mo.ui.dropdown({"批归一化": True, "无批归一化": False}, value="批归一化", label="归一化")
    dial_init = mo.ui.dropdown({"He": "he", "PyTorch 默认": "pytorch"}, value="He", label="初始权重")
    dial_depth = mo.ui.dropdown({"8": 8, "20": 20, "56": 56}, value="56", label="层数")
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
                f"{_shortcut}：**{dial_caption(_row)[0]}**，首层处是最后一个块处的 {_ratio:{',.0f' if _ratio >= 10 else '.2g'}} 倍"
            )
        _axes.set(xlabel="block, from the stem on", ylabel="norm of d loss / d output")
        _axes.xaxis.get_major_locator().set_params(integer=True)
        _axes.legend()
    mo.vstack(
        [
            show(
                _figure,
                alt="训练之前，每个块输出处梯度的范数，对数坐标。" + "；".join(_words).replace("*", "") + "。",
            ),
            mo.md(
                "；".join(_words)
                + "。（5 个种子的中位数；用 `python -m tinyresnet.step.depth_dial --out FILE` 可以重新测量。explodes：爆炸；vanishes：消失；neither：两者都不是，即变化不到 100 倍。图中横轴是从首层起的块，纵轴是梯度的范数。）"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo, select, runs, np):
    _rows = runs["CIFAR-10 图片"]

    def _spread(kind, when):
        """55 个卷积中最大与最小的梯度范数之比：对种子取中位数。"""
        return float(np.median([max(row[when]) / min(row[when]) for row in select(_rows, kind=kind, depth=56)]))

    spreads = {
        (kind, when): _spread(kind, when)
        for kind in ("plain", "residual")
        for when in ("first_grad_norms", "last_grad_norms")
    }
    assert spreads["plain", "first_grad_norms"] > 10 * spreads["residual", "first_grad_norms"]
    mo.md(f"""
    **原因就在这里吗？** 只是一部分。在 plain 56 的第一次更新中，一个卷积的梯度是另一个的 {spreads["plain", "first_grad_norms"]:,.0f} 倍（residual 56：{spreads["residual", "first_grad_norms"]:,.0f} 倍），所以没有一个学习率能适合所有的层。但几百次更新之后，只有 {spreads["plain", "last_grad_norms"]:.0f} 倍（残差网络：{spreads["residual", "last_grad_norms"]:.0f}）：批归一化使梯度大的权重增大，而权重增大又使它的梯度变小。网络*仍然*学不会。这些梯度一定还有别的毛病。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 嫌疑三：梯度破碎

    取一张图片 $x$，加上一点噪声，幅度是像素标准差的 3 %。你根本看不出来。对两张图片分别计算像素处的梯度 $g(x) = d\langle r, \text{logits}\rangle / dx$，用同一个随机方向 $r$。两者都是 (3, 16, 16) 的数组。方向相同时它们的余弦是 1，毫不相干时接近 0。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    shattered = ask(
        "plain 56，训练之前：一张图片与加了轻微噪声的同一张图片，两处梯度的余弦大约是多少？",
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
        """第一次更新之前的网络。"""
        return look.network(kind, depth, seed, look_data)

    def ready(kind, depth, seed):
        """同样的网络，批归一化用这个批次的统计量；一个方向；一个随机数发生器。"""
        rng = np.random.default_rng(seed)
        model = look_network(kind, depth, seed)
        gradients.settle_statistics(model, batch.x)
        return model, rng.standard_normal(10).astype(np.float32), rng

    def alike(kind, depth, sigma, seed=0):
        """24 张图片加噪声前后梯度的余弦，取平均。"""
        model, direction, rng = ready(kind, depth, seed)
        return float(gradients.cosines_under_noise(model, batch.x[:24], direction, sigma, rng).mean())

    cosine = {(kind, depth): alike(kind, depth, 0.03) for kind in ("plain", "residual") for depth in (8, 20, 56)}
    assert abs(cosine["plain", 56]) < 0.1
    assert cosine["residual", 56] > cosine["plain", 56] + 0.25
    assert cosine["plain", 8] > 0.7
    reveal(
        shattered,
        "0.0",
        f"""刚才实测：plain 8：{cosine["plain", 8]:.2f}，plain 20：{cosine["plain", 20]:.2f}，plain 56：**{cosine["plain", 56]:.2f}**。residual 8：{cosine["residual", 8]:.2f}，residual 20：{cosine["residual", 20]:.2f}，residual 56：**{cosine["residual", 56]:.2f}**。在 plain 56 里，一张图片的梯度对近在咫尺的另一张什么也说明不了。跟着这样的梯度走，就像下山时每走一步都重新乱转一次指南针。""",
        language="zh",
    )
    return batch, look_network, ready


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    再沿着一条线看同样的事。从一张图片走到另一张，分 128 步，每一步记下 $\langle r, \text{logits}\rangle$ 沿途的斜率。斜率缓缓游走，说明相邻的斜率彼此相关（*布朗噪声*）；斜率乱跳，说明它们互不相干（*白噪声*）。选一个深度和一个种子。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    line_depth = mo.ui.dropdown({"8": 8, "20": 20, "32": 32, "56": 56}, value="56", label="层数")
    line_seed = mo.ui.slider(0, 9, value=0, label="种子", show_value=True)
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
                alt=f"一个普通网络与一个残差网络（都是 {line_depth.value} 层）的输出沿一条图片连线的斜率，以及两者的自相关。相邻斜率的相关：plain {_said['plain']:.2f}，residual {_said['residual']:.2f}。",
            ),
            mo.md(
                f"相邻斜率的相关：plain **{_said['plain']:.2f}**，residual **{_said['residual']:.2f}**。左、中：沿途的斜率，除以其中最大的；右：自相关，横轴是相隔的步数。"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **批归一化单独能做什么。** 这里所有的网络都有批归一化。不论多深、权重多大，它都让*前向*的数保持在合理的范围内。反向时，它帮不了普通网络：它放大梯度（嫌疑二），对破碎也无能为力，因为它让每一层都有一半的 ReLU 打开。在*残差*块里，它还多做了一件事。每个块里分支的输出大小相同，而捷径上的和逐块增大。所以越深的块对输入的改变越小，也就是接近恒等映射。正因为如此，批归一化*与*捷径合在一起，才使深层网络可以训练（De and Smith 2020）。

    ### 损失曲面

    换一个角度：在训练停下来的那组权重周围，损失是什么样子？在全体权重的空间里取两个随机方向 $u$、$v$，画出 $w + a u + b v$ 处的损失。这里有一个陷阱：批归一化之前的卷积可以任意缩放而不改变函数，所以长度为 1 的一步，对小权重是巨大的一步，对大权重却微不足道。Li 等人让方向中的每个*滤波器*具有网络自身对应滤波器的范数，$u_f \leftarrow u_f \, \lVert w_f \rVert / \lVert u_f \rVert$，其中 $u_f$ 是 (C, KH, KW)。这样，不同网络的图才可以相互比较。
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
    _levels = np.geomspace(0.95 * min(lowest.values()), 1.05 * max(highest.values()), 15)  # 四幅图用同一标尺
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
                alt="四个训练好的网络周围的训练损失等高线，沿两个按滤波器归一化的随机方向：普通网络与残差网络，20 层与 56 层。"
                + "；".join(f"{kind} {depth}：最低损失 {low:.2f}" for (kind, depth), low in lowest.items())
                + "。",
            ),
            mo.md(
                "\n".join(
                    [
                        f"""十字是训练停下来的地方；a 和 b 从 -1 到 1。损失都是在 {_set["pictures"]} 张训练图片上计算的（{_set["points"]} x {_set["points"]} 个点；颜色用同一标尺）。生成它的命令：`{surfaces_held["command"]}`。""".replace(
                            "\n", " "
                        ),
                        "",
                        "| | " + " | ".join(f"{kind} {depth}" for kind, depth in bumps) + " |",
                        "|:---|" + "---:|" * len(bumps),
                        "| 最低损失 | " + " | ".join(f"{loss:.2f}" for loss in lowest.values()) + " |",
                        "| 最高损失 | " + " | ".join(f"{loss:.2f}" for loss in highest.values()) + " |",
                        "| 弯曲方向相反 | " + " | ".join(f"{share:.0%}" for share in bumps.values()) + " |",
                        "",
                        """最后一行沿行和列统计：相邻三点中，中间一点高于两侧平均值的占多少。凸的碗里一个也没有。""",
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
    **看到了什么。** 20 层时，两个网络都处在一个碗里，普通网络也不比残差网络崎岖（反向弯曲各占 {bumps["plain", 20]:.0%} 和 {bumps["residual", 20]:.0%}）。56 层时，普通网络躺在一片高原上：在图中任何方向上走一整个滤波器的长度，损失也只在 {lowest["plain", 56]:.2f} 和 {highest["plain", 56]:.2f} 之间变化（瞎猜是 2.30），而且它是四个之中最崎岖的（{bumps["plain", 56]:.0%}）。56 层的残差网络则有自己的碗。

    **要当心什么。** 这只是几万个方向中的两个（单是 plain 32 就有 {_count:,} 个参数）。一个切片光滑，并不能证明整个空间光滑；而且看起来像原因的，也可能是结果：普通网络躺在高原上，也许正*因为*它哪里也没走到。

    下面是当场计算的，用那两个试着背 50 张图片的网络：一个方向，25 个点。点一下就能换一个方向。图中横轴是沿这个方向的位移，以各滤波器自身的长度为单位；纵轴是训练损失。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    way = mo.ui.slider(0, 9, value=0, label="方向（种子）", show_value=True)
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
        alt="学完 50 张图片之后，plain 32 和 residual 32 的训练损失沿权重空间中一个按滤波器归一化的方向的变化。"
        "残差网络位于深谷之中，普通网络在高高的平原上。",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 去掉一个块

    展开之后，残差网络是 $2^L$ 条路径之和。如果这幅图景是对的，那么从*训练好的*网络里去掉一个块，应该没有多大伤害：一半路径没了，另一半还在。普通网络里只有一条路径，每个块都在上面。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    lesion = ask(
        "从训练好的 plain 20 的中部去掉一个块（两个卷积）。它的测试误差会变成",
        ["差不多不变", "差几个百分点", "接近瞎猜（90 %）"],
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
                "接近瞎猜（90 %）",
                f"""实测，对所有单个的块取中位数：plain 20 从 {whole["plain", 20]:.1%} 变为 **{median["plain", 20]:.1%}**：它在瞎猜。residual 20 从 {whole["residual", 20]:.1%} 变为 {median["residual", 20]:.1%}，residual 56 从 {whole["residual", 56]:.1%} 变为 **{median["residual", 56]:.1%}**：{len(alone["residual", 56])} 个块里，大多数单独去掉都几乎没有影响。例外是最前面的那个块。""",
                language="zh",
            ),
            show(
                _figure,
                alt="从训练好的网络里去掉块之后的测试误差。完整的网络，以及去掉一个块后的中位数："
                + "；".join(
                    f"{kind} {depth}：{whole[kind, depth]:.0%}，{middle:.0%}"
                    for (kind, depth), middle in median.items()
                )
                + "。",
            ),
            mo.md(
                f"""左：去掉一个块，横轴是它的位置（0 是第一个块，1 是最后一个）；右：随机去掉若干块，横轴是去掉的比例；纵轴都是测试误差。虚线：完整的网络。普通网络里改变形状的块不能去掉，所以 plain 20 有 {len(alone["plain", 20])} 个点。生成它的命令：`{lesions_held["command"]}`。"""
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    轮到你了，用那些学过 50 张图片的网络。哪个块可以去掉，哪个不行？
    """)
    return


@app.cell(hide_code=True)
def _(learned, lesions, mo):
    gone = mo.ui.dropdown(
        ["不去掉", *lesions.blocks_that_can_go(learned["residual", 32].model)],
        value="不去掉",
        label="从 residual 32 中去掉",
    )
    gone
    return (gone,)


@app.cell(hide_code=True)
def _(gone, learned, lesions, mo, small_data):
    _model = learned["residual", 32].model
    with lesions.without(_model, [] if gone.value == "不去掉" else [gone.value]):
        _found = lesions.measured(_model, small_data[0])
    _which = "完整" if gone.value == "不去掉" else f"去掉 {gone.value}"
    mo.md(f"residual 32，{_which}：**50 张图片里认得 {round(50 * _found.top1)} 张**。")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 预激活：更干净的做法

    在最初的 ResNet 里，每次相加之后都有一个 ReLU，正好挡在本应畅通的路上。何恺明等人（2016b）把它挪了位置：批归一化和 ReLU 放到分支里每个卷积*之前*，相加之后什么也没有：$x_{l+1} = x_l + F(\mathrm{relu}(\mathrm{bn}(x_l)))$。这样，上面表中的两个公式就严格成立：$x_L = x_l + \sum F$，并且 $dx_l$ 里原样包含着 $dx_L$。
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
                alt="训练之前，进入 27 个块中每一块的梯度的范数，分别是 56 层的普通、残差和预激活网络。第一个块与最后一个块之比："
                + "，".join(f"{kind} {ratio:,.0f}" for kind, ratio in _stretch.items())
                + "。",
            ),
            mo.md(
                "第一个块与最后一个块之比："
                + "，".join(f"{kind} **{ratio:,.0f}**" for kind, ratio in _stretch.items())
                + "。（preact 是预激活网络；图中横轴是块，纵轴是梯度的范数。）所以在 56 层时，预激活在*这里*没有多大改变；起作用的是捷径。何恺明等人是在 1,001 层的网络里才需要它：那里 500 条捷径上各有一个 ReLU，挡住的太多了（他们的 4.2 节）。"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(cifar, loss_of, measured, mo):
    _updates = measured["CIFAR-10 图片"]["settings"]
    _count = _updates["epochs"] * (_updates["train_size"] // _updates["batch_size"])
    _gap = {depth: loss_of("plain", depth) - loss_of("residual", depth) for depth in (8, 20, 32, 56)}
    assert _gap[8] < _gap[20] < _gap[32]
    assert loss_of("residual", 56) > loss_of("residual", 20)
    mo.md(f"""
    ### 这证明了什么，没有证明什么

    - **证明了：** 没有捷径时，层数更多，训练*更差*（8、20、32、56 层分别是 {loss_of("plain", 8):.2f}、{loss_of("plain", 20):.2f}、{loss_of("plain", 32):.2f}、{loss_of("plain", 56):.2f}）。有捷径时，20 层和 32 层胜过 8 层（{loss_of("residual", 8):.2f}、{loss_of("residual", 20):.2f}、{loss_of("residual", 32):.2f}）。孪生网络之间的差距随深度增大：8 层时 {_gap[8]:.2f}，32 层时 {_gap[32]:.2f}。
    - **没有证明：** 深度可以无止境地带来好处。经过 {_count} 次更新，residual 56 达到 {loss_of("residual", 56):.2f}，*输给*了 residual 20。在论文里，用 50,000 张图片更新 64,000 次之后，ResNet-56 优于 ResNet-20（测试误差 6.97 % 对 8.75 %，表 6）。预算小，对小网络有利。
    - **没有证明：** 残差网络的泛化能力更好。这里它们的*测试*误差更低，是因为训练得更好（20 层：{100 * cifar["residual", 20]["test_error"][0]:.0f} % 对 {100 * cifar["plain", 20]["test_error"][0]:.0f} %）。训练误差与测试误差之间的差距比普通网络*更大*（{100 * (cifar["residual", 20]["test_error"][0] - cifar["residual", 20]["train_error"][0]):.0f} 个百分点对 {100 * (cifar["plain", 20]["test_error"][0] - cifar["plain", 20]["train_error"][0]):.0f} 个）。
    - **薄弱之处：** 学习率来自 {_updates["grid_epochs"]} 轮、一个种子的网格。{_updates["grid_epochs"]} 轮之后最好的，到 {_updates["epochs"]} 轮之后未必最好。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 练习

    这一课的练习是你自己的一个实验。没有文件要填空；重要的是比较要公平。

    ```
    python -m tinyresnet.course.experiments.degradation --epochs 4 --seeds 2 --depths 8,20 --rates 0.05,0.1,0.2 --out mine.json --plot mine.png
    ```

    运行它，然后改*一样*东西，写半页报告：

    1. **先预测。** 写下你预期的结果，要有数字。
    2. **只改一样**：`--kinds plain,residual,preact`；或 `--width 16`；或给深层普通网络一个更细的学习率网格（有没有哪个学习率能挽救它？）。
    3. **报告**各个种子的平均值和离散程度。差别比离散程度大吗？你*没有*证明什么？

    写在纸上，为口试做准备：*训练误差也更高，而不只是测试误差更高，这为什么重要？批归一化对三个嫌疑中的哪一个有帮助？损失曲面的方向为什么必须按滤波器归一化？从残差网络里去掉一个块，什么也没发生：这能证明那个块没有用吗？*

    ## 延伸阅读

    - 何恺明、张祥雨、任少卿、孙剑，[Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385)（CVPR 2016）：图 1 和图 6 就是完整规模的退化实验；4.1 节说明他们为什么认为梯度消失*不是*原因。
    - Balduzzi、Frean、Leary、Lewis、Ma、McWilliams，[The shattered gradients problem](https://arxiv.org/abs/1702.08591)（ICML 2017）：图 1 就是我们的那条线；第 3 节有普通网络与残差网络的相关性。
    - Li、Xu、Taylor、Studer、Goldstein，[Visualizing the loss landscape of neural nets](https://arxiv.org/abs/1712.09913)（NeurIPS 2018）：第 4 节就是滤波器归一化。
    - Veit、Wilber、Belongie，[Residual networks behave like ensembles of relatively shallow networks](https://arxiv.org/abs/1605.06431)（NIPS 2016）：第 4 节是去掉块的实验。
    - 何恺明、张祥雨、任少卿、孙剑，[Identity mappings in deep residual networks](https://arxiv.org/abs/1603.05027)（ECCV 2016）：预激活；式 4 和式 5 就是那个和与它的梯度。
    - De、Smith，[Batch normalization biases residual blocks towards the identity function in deep networks](https://arxiv.org/abs/2002.10444)（NeurIPS 2020）：批归一化与捷径合在一起做了什么。
    - 本项目中：`tinyresnet/course/experiments/`、`tinyresnet/step/depth_dial.py`，以及 `tinyresnet demo`（同样的比较，运行得更久）。
    """)
    return


if __name__ == "__main__":
    app.run()
