"""残差加法

45 分钟。先修 01、04。
"""

import marimo

app = marimo.App(width="medium", app_title="06 残差加法")


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
    # 06 · 残差加法

    有个学生在考卷上写道：

    > “在残差块里，x 走两条路。反向时两个梯度在分叉处相遇，**并在那里取平均**。”

    听起来很有道理。往下读之前，请先判断。取一个数 $x = 3$。分支计算 $a = 2x$，捷径直接传递 $b = x$，相加得到 $y = a + b$。损失送回 $dy = 4$，所以经分支回来的梯度是 $2 \cdot 4 = 8$，经捷径回来的梯度是 $4$。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "离开分叉的梯度 $dx$ 是多少？",
        ["6，平均值", "12，和", "8，较大的那个", "4，只算捷径的"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(opening, reveal):
    def _loss(x):
        return 4 * (2 * x + x)  # 它对 y 的斜率是 dy = 4

    _nudge = 0.001
    _before, _after = _loss(3), _loss(3 + _nudge)
    measured = (_after - _before) / _nudge
    assert abs(measured - 12) < 1e-6
    reveal(
        opening,
        "12，和",
        f"""不需要理论：**测一测就知道。** 对 y 的斜率为 4 的损失是 $L = 4y$。把 x 从 3 移到 {3 + _nudge}：损失从 {_before} 变为 {_after:.3f}。移动 {_nudge}，损失变化 {_after - _before:.3f}，斜率是 **{measured:.0f}** = 8 + 4。平均值是 6，只有真实值的一半。理由只有一句话：x 经由*两条路*到达损失，移动 x，*两条路*都动。""",
        language="zh",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 学完你能做什么

    - 说出相加和分叉在前向、反向时各做什么，并用一次微调来证明。
    - 在纸上让梯度反向经过整个残差块，得到与本库相同的数。
    - 在捷径 A、B、C（以及 D）之间做选择，知道它们的形状、参数量，以及它们让哪些像素得不到梯度。
    - 从数值上认出两种错误的残差块（分叉取平均，某一层原地改写），并说出为什么这样的网络也许照样能训练。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 一图看懂

    图中的数就是上面那道题里的数。上半部分从左往右读，下半部分从右往左读。
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, ORANGE, np, show):
    def _arrow(*points, colour):
        """依次经过各点的折线，箭头在最后一点，以水平或竖直方向到达。"""
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
        """画一遍残差块：分叉，上面是分支，下面是捷径，相加；箭头从左到右，或者反过来。"""

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
        + _word(20, 20, "前向：分叉复制，相加求和", 15, "start", "bold")
        + _half(108, BLUE, ("分叉", "× 2", "捷径", "+"), ("x = 3", "3", "3", "y = 9", "6"), back=False)
        + _word(20, 200, "反向：相加复制，分叉求和", 15, "start", "bold")
        + _half(288, ORANGE, ("+", "× 2", "捷径", "复制"), ("dx = 12", "8", "4", "dy = 4", "4"), back=True)
        + "</svg>"
    )
    show(
        _svg,
        alt="同一个残差块画了两遍。前向：x = 3 复制给把它加倍的分支和捷径；相加得到 6 + 3 = 9。"
        "反向：相加把 dy = 4 复制给两条路；分支给出 8，捷径给出 4，分叉把它们加起来，得到 dx = 12。",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    两者互为对方的反向。前向的复制，反向就是求和；前向的求和，反向就是复制。

    ## 公式与形状

    一个残差块计算 $y = \mathrm{relu}(z)$，其中 $z = F(x) + S(x)$。这里 $F$ 是*分支*（卷积、批归一化、ReLU、卷积、批归一化），$S$ 是*捷径*（在大多数块里 $S(x) = x$）。

    | | 前向 | 形状 | 反向 | 形状 |
    |:---|:---|:---|:---|:---|
    | 分叉 | $a_0 = b_0 = x$ | (N, C, H, W) | $dx = da_0 + db_0$ | (N, C, H, W) |
    | 分支 | $a = F(a_0)$ | (N, O, OH, OW) | $da_0 = J_F^{\top}\, da$ | (N, C, H, W) |
    | 捷径 | $b = S(b_0)$ | (N, O, OH, OW) | $db_0 = J_S^{\top}\, db$ | (N, C, H, W) |
    | 相加 | $z = a + b$ | (N, O, OH, OW) | $da = db = dz$ | (N, O, OH, OW) |
    | ReLU | $y = \max(z, 0)$ | (N, O, OH, OW) | $z > 0$ 处 $dz = dy$，其余为 0 | (N, O, OH, OW) |

    **为什么是和？** 这就是多元函数的链式法则。$L$ 通过 $a_0$ 和 $b_0$ 依赖于 $x$，而两者都等于 $x$：

    $$\frac{dL}{dx} = \frac{\partial L}{\partial a_0}\frac{da_0}{dx} + \frac{\partial L}{\partial b_0}\frac{db_0}{dx}
    = da_0 \cdot 1 + db_0 \cdot 1 .$$

    **为什么是复制？** $z = a + b$ 满足 $\partial z / \partial a = \partial z / \partial b = 1$。梯度并*不*在两条路之间*分配*。它不是岔口处的一股水流，而是一个斜率：“如果我移动这个数，损失变化多少？”

    **捷径带来了什么。** 当 $S(x) = x$ 时，前几行合起来就是 $dx = dz + J_F^{\top} dz$。不论 $J_F$ 多小，第一项始终都在。

    凡是一个数组用了两次的地方，都需要分叉。参数的梯度要*累加到* `param.grad`（`+=`），也是同样的道理。
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
    ## 代码

    这是本库的原文，`tinyresnet/layers/residual.py`。这四个函数就是图中的两对运算；最后一段是整个残差块。

    ```python
    {_code}
    ```

    `add_backward` 把*同一个数组*返回两次。这不花任何代价；它之所以安全，只因为每一层都遵守一个约定：反向计算绝不改写传给它的 `dy`。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    in_place = ask(
        "有人为了省内存，让分支里的 ReLU 把 `dy` 中被挡住的数*原地*置 0。哪里会出错？",
        ["不会出错，那些数反正是 0", "分支的梯度错了", "捷径的梯度错了"],
    )
    in_place
    return (in_place,)


@app.cell(hide_code=True)
def _(in_place, np, reveal):
    _dy = np.array([1.0, 2.0, -1.0, 3.0])
    _open = np.array([False, True, False, False])  # 分支里的 ReLU 让梯度通过的地方
    _right = _dy * _open + _dy
    _da = _db = _dy.copy()  # 正如相加给出的那样：一个数组，两个名字
    _da *= _open  # 原地改写：_db 也跟着变了
    _wrong = _da + _db
    assert _right.tolist() == [1, 4, -1, 3]
    assert _wrong.tolist() == [0, 4, 0, 0]
    reveal(
        in_place,
        "捷径的梯度错了",
        f"""分支和捷径拿着的是*同一个数组*。分支自己的梯度没错，但它置的 0 现在也进了捷径的梯度。设 dy = {_dy.tolist()}，分支只在第二个数处导通，dx 本应是 {_right.tolist()}，却成了 {_wrong.tolist()}。它的大小看上去仍然合理，带着这个错误的网络也仍能学到一些东西。只有检查才能发现它。""",
        language="zh",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 纸上的残差块

    现在来算一整个残差块，小到用铅笔就能算完。一张图片，一个通道，2 x 2 像素。分支是：乘以 $w_1$，ReLU，乘以 $w_2$（两个 1 x 1 卷积）；捷径是恒等映射。这里省去了批归一化；它会在下面的逐步查看器里回来。

    $$w_1 = -1, \quad w_2 = 2, \qquad
    x = \begin{pmatrix} 1 & -2 \\ 3 & 2 \end{pmatrix}, \qquad
    dy = \begin{pmatrix} 1 & 2 \\ -1 & 3 \end{pmatrix}.$$

    先做前向（$h = w_1 x$，$r = \mathrm{relu}(h)$，$a = w_2 r$，$z = a + x$，$y = \mathrm{relu}(z)$），再做反向。输入 $dx$ 的四个数：
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    paper = mo.ui.array([mo.ui.number(value=None, step=0.5, label=f"dx[{i}, {j}]") for i in (0, 1) for j in (0, 1)])
    mo.vstack([mo.hstack(paper[:2], justify="start"), mo.hstack(paper[2:], justify="start")])
    return (paper,)


@app.cell(hide_code=True)
def _(db, dh, dr, dw1, dw2, dx, mo, np, paper, w1):
    _mistakes = {  # 想错时会得到的数
        "这是两条路的平均：分叉应当求和": (w1 * dh + db) / 2,
        "这只是分支的梯度：少了捷径的": w1 * dh,
        "这只是捷径的梯度：少了分支的": db,
        "忘了分支里的 ReLU：h 不大于 0 的地方，它的梯度是 0": w1 * dr + db,
        "分支的符号丢了：它还要经过 w1": -w1 * dh + db,
        "梯度被拆成了两半：相加是复制，什么也不减半": w1 * dh / 2 + db / 2,
    }

    def _said(typed, at):
        if typed == dx[at]:
            return "正确"
        return next((name for name, wrong in _mistakes.items() if typed == wrong[at]), "不对：请一步一步往回走")

    _typed = paper.value
    _places = [(i, j) for i in (0, 1) for j in (0, 1)]
    _rows = [
        f"- dx[{i}, {j}] = {t:g}：{_said(t, (i, j))}"
        for t, (i, j) in zip(_typed, _places, strict=True)
        if t is not None
    ]
    assert dx.tolist() == [[1, -2], [-1, 3]]
    assert (dw1, dw2) == (-8, 4)
    _solution = f"""从分支来的是 {(w1 * dh).tolist()}：四个像素里有三个没有梯度。从捷径来的是 {db.tolist()}。分叉求和：**dx = {dx.tolist()}**。途中得到 dw1 = {dw1:g}，dw2 = {dw2:g}。"""
    _all = len(_rows) == 4 and np.array_equal(np.array(_typed, float).reshape(2, 2), dx)
    (
        mo.callout(mo.md("\n".join(_rows) + f"\n\n{_solution}"), kind="success")
        if _all
        else mo.vstack(
            [
                mo.md("\n".join(_rows)),
                mo.Html(f"<details><summary>答案（请先输入）</summary>{mo.md(_solution).text}</details>"),
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

    dz = dy * (z > 0)  # 经过最后的 ReLU
    da = db = dz  # 相加：复制
    dw2 = (da * r).sum()
    dr = w2 * da
    dh = dr * (h > 0)
    dw1 = (dh * x).sum()
    dx = w1 * dh + db  # 分叉求和：一份来自分支，一份来自捷径
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
        """用本库的层搭成纸上的那个块。"""
        conv1, conv2 = (Conv2d(1, 1, 1, rng=np.random.default_rng(0), dtype=np.float64) for _ in range(2))
        conv1.weight.data[...], conv2.weight.data[...] = first, second
        return Residual(Chain({"conv1": conv1, "relu1": ReLU(), "conv2": conv2}), None, ReLU())

    _block = tiny_block(w1, w2)
    with use("reference"):  # 用易读的实现：不编译任何东西
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
    上面几行就是用 NumPy 写成的全部计算。同一个块用本库的层搭成（`Residual(Chain({{"conv1": ..., "relu1": ReLU(), "conv2": ...}}), None, ReLU())`），得到 dx = {_dx[0, 0].tolist()}，dw1 = {_grads["conv1.weight"]:g}，dw2 = {_grads["conv2.weight"]:g}：每个数都相同。实测的斜率也吻合：

    ```text
    {_report!s}
    ```
    """)
    return (tiny_block,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 同样的事，逐步查看

    两个带批归一化的残差块，数值都便于手算，现在停在第一个块的分叉求和的那一步。`da` 经分支回来，`db` 经捷径回来。在 `dx` 里选一格，预测它的数，按回车。然后退回（`[`）到 `layer1.add`：它的两个输出完全是同一个数组。
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
    _stepper = widget(_session, language="zh")
    _stepper.step = _fork.index
    mo.ui.anywidget(_stepper)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 可以改的数

    ### 纸上的残差块

    移动滑块之前，先说出会发生什么。$dx$ 在哪里什么也得不到？什么时候这个块算的是 $|x|$？
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

    $$dx = \underbrace{{{_matrix(_dx - _dz)}}}_{{\text{{来自分支}}}} + \underbrace{{{_matrix(_dz)}}}_{{\text{{来自捷径}}}} = {_matrix(_dx)}$$
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 如果分叉真的取平均

    把考卷上的那个答案做出来：一个反向时减半的分叉。把带批归一化和恒等捷径的残差块叠起来，看反向往输入走时，离开每个块的梯度。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    halves = ask(
        "叠 20 个块：如果每个分叉都取平均，输入处的梯度会小多少倍（正确值是它的几倍）？",
        ["2", "20", "40", "约一百万"],
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
        """考卷上的那个答案。"""

        def backward(self, dy, cache):
            return super().backward(dy, cache) / 2

    def gradient_norms(count, *, averaging):
        """离开每个块的梯度的范数，最后一个块排在最前。"""
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
        "约一百万",
        f"""实测：求和时是 {_sum:.3g}，取平均时是 {_mean:.3g}。前者是后者的 **{too_small:,.0f} = 2²⁰** 倍：每个块恰好减半一次，因为反向计算对 dy 是线性的。""",
        language="zh",
    )
    return gradient_norms, wrong_report


@app.cell(hide_code=True)
def _(mo):
    count = mo.ui.slider(1, 40, value=20, label="块数", show_value=True)
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
        alt=f"在对数坐标上，离开 {count.value} 个块中每一块的梯度的范数。分叉求和时，它的变化保持在约二十倍以内；分叉取平均时，往输入方向每过一个块就减半。",
    )
    return


@app.cell(hide_code=True)
def _(mo, wrong_report):
    mo.md(f"""
    图中的圆点是分叉求和，方块是分叉取平均；横轴是从输入起的块，纵轴是 dx 的范数。检查工具并不需要叠这么高。对纸上的那个块，换上取平均的分叉，它报告：

    ```text
    {wrong_report!s}
    ```

    “一半”说对了，原因却猜错了：*rows = 2* 只是巧合，因为这张图片恰好有 2 行。检查工具只知道大小；两条路在分叉处相遇，这一点要你来知道。

    看它的第二部分：*这个块自己*的权重梯度是对的。这个错误只伤害它前面的层。而且即使在那里，每一层的梯度也与正确的梯度方向相同：只是太短，后面每有一个块就减半一次。所以带着这个错误的网络很可能照样能训练，只是前面几层学得更慢。“能训练”并不能证明梯度是对的。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 捷径 A、B、C、D

    相加要求两边形状相同。在一个阶段开始的地方，分支的步幅是 2，通道数加倍，所以 $x$ 也要变成那个形状：

    | 方案 | $S(x)$ | 参数 |
    |:---|:---|:---|
    | A | 隔一个像素取一个，缺少的通道填 0 | 无 |
    | B | 步幅为 2 的 1 x 1 卷积，加批归一化；其余的块用恒等捷径 | 形状改变处 $CO + 2O$ |
    | C | 与 B 相同，但每个块都用 | 每个块 $CO + 2O$ |
    | D | 先对 2 x 2 像素取平均，再像 B 那样投影 | 与 B 相同 |
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    skipped = ask(
        "步幅为 2 的捷径 B：x 的像素里，有多少能*经由捷径*得到梯度？",
        ["全部", "一半", "四分之一", "一个也没有"],
    )
    skipped
    return (skipped,)


@app.cell(hide_code=True)
def _(np, reveal, skipped, tr, use):
    from tinyresnet.layers import shortcut as _shortcut

    def through_shortcut(option, *, stride, channels=(4, 8)):
        """x 的每个像素经捷径得到多强的梯度 (H, W)，以及捷径的参数量；None 是恒等捷径。"""
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
        "四分之一",
        f"""数出来的结果：A 是 {shares["A"]:.0%}，B 是 {shares["B"]:.0%}，D 是 {shares["D"]:.0%} 的像素。步幅为 2、大小为一个像素的窗口，每四个像素跳过三个；被跳过的像素只能经分支得到梯度。D 在投影之前先取平均，所以每个像素都有份。""",
        language="zh",
    )
    return parameters, plain_parameters, through_shortcut


@app.cell(hide_code=True)
def _(mo):
    option = mo.ui.dropdown(["A", "B", "C", "D"], value="B", label="捷径")
    place = mo.ui.dropdown(
        {"阶段开始处：4 到 8 个通道，步幅 2": 2, "阶段内部：8 个通道，步幅 1": 1},
        value="阶段开始处：4 到 8 个通道，步幅 2",
        label="残差块",
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
                alt=f"左：8 x 8 图片的哪些像素能经由捷径 {option.value} 得到梯度：{_reached:.0%}；空白格得不到。"
                f"右：ResNet-20 的参数量：普通网络和 A 是 {parameters['A']:,}，B 和 D 是 {parameters['B']:,}，C 是 {parameters['C']:,}。",
            ),
            mo.md(
                f"""左图：经由捷径的 |dx|；右图：ResNet-20 的参数量（plain 是普通网络）。经由这条捷径，{_reached:.0%} 的像素得到梯度；它有 {_own} 个参数。整个 ResNet-20 用 A 时有 {parameters["A"]:,} 个参数，*与没有捷径的孪生网络一样多*；B 多出 {parameters["B"] - parameters["A"]:,} 个，C 多出 {parameters["C"] - parameters["A"]:,} 个。用 C 时，没有一个梯度能原样传回：每个梯度都要经过一个权重和一次批归一化。"""
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 练习

    ```
    tinyresnet lesson start 06
    tinyresnet lesson check residual.py
    ```

    第一条命令写出两个文件：残差块和捷径 B。加 `--rung a`，你在纸上预测数值；用 `--rung b`（默认），你填空，其中一处在分叉里；用 `--rung c`，你从头写起。第二条命令用实测的斜率检查你的文件：告诉你哪些对了，以及第一处还不对的地方。`--hint 2` 给出下一个提示；它从不给出答案。

    写在纸上，为口试做准备：*一个块有三条路（分支、捷径，再加第二个分支）。它的分叉做什么？它的相加做什么？如果捷径带一个系数，y = F(x) + s x，dx 和 ds 各是多少？*

    ## 延伸阅读

    - 何恺明、张祥雨、任少卿、孙剑，[Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385)（CVPR 2016）：式 1 和式 2 是带恒等捷径和带投影捷径的残差块；3.3 节讲方案 A 和 B，4.1 节和表 3 比较 A、B、C。
    - 何恺明、张祥雨、任少卿、孙剑，[Identity mappings in deep residual networks](https://arxiv.org/abs/1603.05027)（ECCV 2016）：式 5 是许多个块上的和，其中就有那一项 1；第 3 节试验了带系数、带门控和带卷积的捷径。它只对相加之后*没有* ReLU 的块成立。
    - Srivastava、Greff、Schmidhuber，[Highway networks](https://arxiv.org/abs/1505.00387)（2015）：式 2 和式 3，带门控的捷径，早于 ResNet。
    - He、Zhang、Zhang、Zhang、Xie、Li，[Bag of tricks for image classification](https://arxiv.org/abs/1812.01187)（CVPR 2019）：图 2c 就是方案 D。
    - 本项目中：`tinyresnet/layers/residual.py`、`tinyresnet/layers/shortcut.py`，以及 `tinyresnet step --at layer1.fork --backward`。
    """)
    return


if __name__ == "__main__":
    app.run()
