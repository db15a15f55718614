"""纸上推演反向传播

45 分钟。
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="01 纸上推演反向传播")


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
    # 01 · 纸上推演反向传播

    一个网络有上百万个权重，却只有一个损失。反向传播对所有权重同时回答一个问题：**把这一个数调大一点点，损失会变化多少？** 这一课里，你用一支铅笔，为一个只有六个参数的网络回答它。大网络里的道理与此完全相同。

    ## 学完你能做什么

    - 说出 `dy` 是什么、是什么形状，以及为什么反向计算不需要知道损失的其他任何信息。
    - 在纸上让梯度反向经过线性层、ReLU、softmax 损失、相加和分叉。
    - 说出在哪三种情形下梯度要*累加*（`+=`），以及为什么。
    - 写一个十行的梯度检查，并说出它为什么需要随机的上游梯度。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 一图看懂

    下面就是整个网络。一张只有两个像素的图片 $x = (1, 2)$ 由*分叉*复制成两份：一份经过线性层和 ReLU，另一份直接通过。*相加*把两路合在一起，得到的两个数就是两个类别的得分（*logits*）。正确的类别是 0 类。

    $$W = \begin{pmatrix} \tfrac12 & \tfrac14 \\ 1 & -1 \end{pmatrix}, \qquad b = (0, 0)$$

    每条线上方的数向前流，下方的数向后流：下方的每个数说的是，如果它上方的数增加 1，损失会增加多少（指按比例折算的微小增加）。请慢慢看这幅图；这一课余下的部分就是解释它。
    """)
    return


@app.cell(hide_code=True)
def _(Chain, Linear, ReLU, Residual, np, tr, use):
    X, LABELS = np.array([[1.0, 2.0]]), np.array([0])  # x (N, I)，每张图片的正确类别
    PARAMS = {"weight": np.array([[0.5, 0.25], [1.0, -1.0]]), "bias": np.zeros(2)}  # (O, I) 和 (O,)

    def hand_network(params):
        """用本库的层搭成 y = relu(x W^T + b) + x，float64。"""
        line = Linear(2, 2, rng=np.random.default_rng(0), dtype=np.float64)
        line.weight.data[...], line.bias.data[...] = params["weight"], params["bias"]
        return Residual(Chain({"linear": line, "relu1": ReLU()}))

    def walk(x, params):
        """一次前向和一次反向：返回损失，以及记下每一个数的 trace。"""
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
        """一个箭头：上方是沿它流去的数，下方是流回的数。"""
        middle = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        pairs = [f"({', '.join(number(v) for v in values.ravel())})" for values in (forward, backward)]
        above = words(pairs[0], (middle[0], middle[1] - 8), colour=BLUE, anchor="middle")
        below = words(pairs[1], (middle[0], middle[1] + 20), colour=ORANGE, anchor="middle")
        return arrow(start, end) + above + below

    _parts = [
        _way((0, 75), (100, 75), there["fork"]["x"], back["fork"]["dx"]),
        box("分叉", (130, 75), width=60),
        _way((160, 75), (255, 75), there["linear"]["x"], back["linear"]["dx"]),
        box("线性层", (290, 75), width=70),
        _way((325, 75), (415, 75), there["relu1"]["x"], back["relu1"]["dx"]),
        box("ReLU", (445, 75), width=60),
        _way((475, 75), (560, 75), there["relu1"]["y"], back["relu1"]["dy"]),
        box("相加", (590, 75), width=60),
        _way((620, 75), (705, 75), there["add"]["y"], back["add"]["dy"]),
        box("softmax 损失", (760, 75), width=110),
        words(f"损失 {number(loss)}", (760, 42), colour=BLUE, anchor="middle"),
        words("dloss 1", (760, 112), colour=ORANGE, anchor="middle"),
        arrow((130, 92), (130, 165)),
        _way((130, 165), (590, 165), there["fork"]["b"], back["add"]["db"]),
        arrow((590, 165), (590, 94)),
    ]
    show(
        sketch(820, 195, *_parts),
        alt="把网络画成图。x = (1, 2) 在分叉处一分为二。上面一路：线性层给出 (1, −1)，ReLU 给出 (1, 0)。下面一路：(1, 2) 不变。相加得到 (2, 2)，损失是 0.6931。"
        "反向：损失送回 (−0.5, 0.5)，相加把它复制给两条路，ReLU 挡住第二个数，线性层给出 (−0.25, −0.125)，分叉求和得到 (−0.75, 0.375)。",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 公式与形状

    **`dy` 是什么。** 记损失为 $L$，某一层的输出为 $y$。那么 `dy` 就是由所有 $\partial L / \partial y$ 组成的数组：$y$ 的每个数对应一个数，所以 **`dy` 与 `y` 形状相同**。这一层*之后*的一切，包括损失，都已经包含在 `dy` 里。一层的反向计算把它变成与 $x$ 同形状的 `dx`，以及每个参数的梯度（与该参数同形状）。前一层再把这个 `dx` 当作自己的 `dy`。这样一层层交接下去，就是全部算法。

    N 张图片，输入 I 个数，输出 O 个数，K 个类别：

    | 运算 | 前向 | 反向 | 形状 |
    |:--|:--|:--|:--|
    | 线性层 | $y = x W^\top + b$ | $dx = dy\,W$，$\;dW = dy^\top x$，$\;db = \sum_n dy_n$ | x (N, I)，W (O, I)，b (O,)，y (N, O) |
    | ReLU | $y = \max(x, 0)$ | $x > 0$ 处 $dx = dy$，其余为 0 | x 与 y 相同 |
    | 相加 | $y = a + b$ | $da = dy$，$\;db = dy$ | 全部相同 |
    | 分叉 | $a = x$，$\;b = x$ | $dx = da + db$ | 全部相同 |
    | softmax 损失 | $p = \mathrm{softmax}(z)$，$\;L = -\tfrac1N \sum_n \log p_{n,\text{label}}$ | $dz = (p - t)/N$ | z、p、t (N, K)，L 是一个数 |

    **线性层的公式从哪里来。** 前向的一个数是 $y_{no} = \sum_i W_{oi}\, x_{ni} + b_o$。对每个字母都问一句：它出现在哪里，系数是什么？

    - $W_{oi}$ 出现在*每张图片* n 的 $y_{no}$ 里，系数是 $x_{ni}$。所以 $dW_{oi} = \sum_n dy_{no}\, x_{ni}$。
    - $x_{ni}$ 出现在*每个输出* o 的 $y_{no}$ 里，系数是 $W_{oi}$。所以 $dx_{ni} = \sum_o dy_{no}\, W_{oi}$。
    - $b_o$ 出现在每张图片的 $y_{no}$ 里，系数是 1。所以 $db_o = \sum_n dy_{no}$。

    转置写在哪里不必死记：按形状，只有一种写法对得上。

    **softmax 损失。** 对一张标签为 $l$ 的图片：$L = -z_l + \log \sum_k e^{z_k}$。它对 $z_k$ 的斜率，在 $k = l$ 时有一项 $-1$，再加上 $e^{z_k} / \sum_j e^{z_j} = p_k$。合起来就是 $dz = p - t$，其中 $t$ 在标签处为 1，其余为 0：*网络说出的，减去它该说的。*

    ### 轮到你了

    遮住上面的图。已知 $dz = (-\tfrac12, \tfrac12)$，$x = (1, 2)$，线性层的输出是 $(1, -1)$。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    paper = mo.ui.dictionary(
        {
            "dW[0, 0]": mo.ui.number(step=0.125, label="dW[0, 0]"),
            "dW[0, 1]": mo.ui.number(step=0.125, label="dW[0, 1]"),
            "dW[1, 0]": mo.ui.number(step=0.125, label="dW[1, 0]"),
            "dx[0]": mo.ui.number(step=0.125, label="最前端的 dx[0]"),
        }
    )
    mo.hstack(list(paper.elements.values()), justify="start", wrap=True)
    return (paper,)


@app.cell(hide_code=True)
def _(back, mo, number, paper):
    _right = {
        "dW[0, 0]": (back["linear"]["dweight"][0, 0], "(−½) · 1：ReLU 让 dz[0] 通过；再乘以 x[0]。"),
        "dW[0, 1]": (back["linear"]["dweight"][0, 1], "(−½) · 2：同一个 dz[0]，乘以 x[1]。"),
        "dW[1, 0]": (
            back["linear"]["dweight"][1, 0],
            "ReLU 的输入是 −1，所以没有梯度传回来：对这张图片，这个权重是“死”的。",
        ),
        "dx[0]": (back["fork"]["dx"][0, 0], "经线性层是 (−½) · ½，再加上经捷径的 −½：分叉求和。"),
    }
    _hints = {
        "dW[0, 0]": "到达输出 0 的是哪个 dy？这个权重乘的是哪个 x？",
        "dW[0, 1]": "dy 与 dW[0, 0] 的相同，x 换一个",
        "dW[1, 0]": "ReLU 对第二个数 −1 做了什么？",
        "dx[0]": "x[0] 经由两条路到达损失",
    }
    _typed = {name: value for name, value in paper.value.items() if value is not None}
    _rows = [
        f"- {name} = {number(float(value))}："
        + (f"**正确**，{_right[name][1]}" if value == _right[name][0] else f"还不对。{_hints[name]}")
        for name, value in _typed.items()
    ]
    _all = "\n".join(f"- {name} = **{number(float(value))}**：{why}" for name, (value, why) in _right.items())
    mo.vstack(
        [
            mo.md("\n".join(_rows) or "在上面输入你的数：精确到四分之一、八分之一就够了。"),
            mo.Html(f"<details><summary>四个答案（请先输入）</summary>{mo.md(_all).text}</details>"),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 为什么是 `+=`

    一个数用在几个地方，它的梯度就是这几处梯度的**和**。你会在三种情形下遇到它：

    1. **在计算图里**：一个数组走两条路，就像我们的分叉。
    2. **在一个批次里**：每张图片用的是同一个权重，$dW$ 要对所有图片求和。
    3. **在时间上**：优化器更新一步之前，同一层运行了两次。所以 `backward` 把梯度*加到* `param.grad` 上，而清零要由别人来做。
    """)
    return


@app.cell(hide_code=True)
def _(ask):
    twice = ask(
        "y = x + x（先分叉，再相加），dy = 3。dx 是多少？如果不用 `+=`，而写成 `dx = da; dx = db`，又是多少？",
        ["3；不用 += 是 3", "6；不用 += 是 3", "6；不用 += 是 6", "1.5；不用 += 是 3"],
    )
    twice
    return (twice,)


@app.cell(hide_code=True)
def _(np, residual, reveal, twice):
    _dy = np.array([3.0])
    _da, _db = residual.add_backward(_dy, None)
    _dx = residual.fork_backward((_da, _db), None)
    _measured = ((5.01 + 5.01) * 3 - (5 + 5) * 3) / 0.01  # x 从 5 到 5.01，乘以损失的斜率 3
    assert _dx[0] == 6
    assert abs(_measured - 6) < 1e-9
    reveal(
        twice,
        "6；不用 += 是 3",
        f"""相加负责复制：da = {_da[0]:g}，db = {_db[0]:g}。分叉负责求和：dx = **{_dx[0]:g}**，把 x 微调一下实测也是如此：{_measured:.3f}。如果用 `=`，第二条路会覆盖第一条，只剩下 {_db[0]:g}。一个数组只用一次时，`=` 和 `+=` 结果相同；所以这个错误在普通网络里一直潜伏着，到了残差网络里才会发作。""",
        language="zh",
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
    第二种和第三种情形，在我们的线性层上实测。图片是 (1, 2) 和 (3, 1)，`dy` 是 (−1, 2) 和 (1, 1)：

    | | dW |
    |:--|:--|
    | 只有第一张图片 | {_each[0].tolist()} |
    | 只有第二张图片 | {_each[1].tolist()} |
    | 两张放在一个批次里 | {_batch.tolist()} |
    | 一张接一张，中间不调用 `zero_grad()` | {_line.weight.grad.tolist()} |

    最后两行逐位相同。内存不够时可以利用这一点：分成两个半批计算，只更新一步。（对批次取*平均*是损失做的，它除以 N；各层只求和。）
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 代码

    这是本库的原文。先读每个函数的最后两行，再读前面的检查。`@accelerated` 表示这个函数可以由更快的实现代替；你读到的原文就是那个实现必须算出的结果。
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
            "线性层": _shown(linear.linear_forward, linear.linear_backward),
            "ReLU": _shown(relu.relu_backward, relu.rectify, relu.gate),
            "相加与分叉": _shown(residual.add_backward, residual.fork_backward),
            "softmax 损失": _shown(_loss.cross_entropy_rows, _loss.cross_entropy_gradient_rows),
            "层里的 +=": _shown(linear.Linear),
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 自己写一个梯度检查

    怎么知道反向计算是对的？测量。把 $x$ 的一个数移动 $\pm h$，看输出变化多少。但是反向计算给出的不是*某一个*数的斜率；它需要一个 `dy`。所以任取一个与 $y$ 形状相同的数组 $r$，称为**上游梯度**（upstream），并令损失 $L = \sum r\,y$。它的 `dy` 恰好就是 $r$：

    $$\frac{\partial L}{\partial x_i} \approx \frac{\sum r\, y(x + h e_i) - \sum r\, y(x - h e_i)}{2h}
    \qquad\text{必须等于}\qquad \text{backward}(r)_i .$$

    十行代码，可以检查任何一层：
    """)
    return


@app.cell(hide_code=True)
def _(np):
    def worst_error(forward, backward, x, upstream, h=1e-5):
        """backward 给出的 dx 与实测斜率之差的最大值。"""
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
    **用什么上游梯度？** 最省事的是全取 1，即 $L = \sum y$。许多课程和测试都这样做。下面是线性层和 softmax（不含损失）的正确反向计算，以及几个错误的。看下一个答案之前先想一想：哪种上游梯度能发现哪个错误？
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
        "线性层：正确": (_linear, _linear_right),
        "线性层：dy 顺序颠倒": (_linear, linear_reversed),
        "线性层：从不看 dy": (_linear, linear_ignores_dy),
        "softmax：正确": (softmax_forward, softmax_backward),
        "softmax：漏了因子 p": (softmax_forward, softmax_forgets_p),
        "softmax：一律返回 0": (softmax_forward, softmax_returns_zero),
    }
    errors = {}
    with use("reference"):
        for _name, (_forward, _backward) in pairs.items():
            _shape = _forward(_x)[0].shape
            _upstreams = {"ones": np.ones(_shape), "random": _rng.standard_normal(_shape)}
            errors[_name] = {kind: worst_error(_forward, _backward, _x, r) for kind, r in _upstreams.items()}
    for _name, _found in errors.items():
        assert _found["ones"] < 1e-9, _name
        assert (_found["random"] < 1e-9) == _name.endswith("正确"), _name
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
    mo.accordion({"这六个函数": mo.md(f"```python\n{mistakes}```")})
    return (errors,)


@app.cell(hide_code=True)
def _(ask):
    blind = ask(
        "用 `upstream = ones`（全 1）做检查，四个错误的反向计算能发现几个？",
        ["四个都能", "两个", "一个", "一个也发现不了"],
    )
    blind
    return (blind,)


@app.cell(hide_code=True)
def _(blind, errors, reveal):
    _rows = "\n".join(f"| {name} | {found['ones']:.1g} | {found['random']:.1g} |" for name, found in errors.items())
    _caught = sum(found["ones"] > 1e-6 for name, found in errors.items() if not name.endswith("正确"))
    assert _caught == 0
    reveal(
        blind,
        "一个也发现不了",
        f"""检查发现的最大误差：

| 反向计算 | 全 1 的上游梯度 | 随机的上游梯度 |
|:--|:--|:--|
{_rows}

不论 x 是什么，softmax 的输出之和总是 1。所以损失 $\\sum y$ 恒为 1（每张图片），它的梯度是 0，于是一律返回 0 的函数也是“对的”。线性层的那两个错误，只是调换或忽略了 `dy` 中彼此相等的数。全 1 提的问题太容易：批归一化、softmax 以及一切做*归一化*的运算，答案都是 0。随机的上游梯度则以不同的权重，一次问到每个输出。""",
        language="zh",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    第 05 课从这里接着讲：步长 $h$ 取多大，遇到折点怎么办，以及一个好的检查除了“错”还应该说什么。本库的检查工具是 `tr.gradcheck.check`。

    ## 可以改的数

    ### 一个参数，一个滑块

    选一个参数。它的梯度是损失*在起点处*的斜率。先预测，再移动滑块：直线是梯度的承诺，曲线是实际发生的事。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    knob = mo.ui.dropdown(
        ["weight[0, 0]", "weight[0, 1]", "weight[1, 0]", "weight[1, 1]", "bias[0]", "bias[1]"],
        value="weight[0, 1]",
        label="参数",
    )
    knob
    return (knob,)


@app.cell(hide_code=True)
def _(ask, knob):
    sign = ask(f"你把 {knob.value} 调大一点点。损失会", ["下降", "不变", "上升"])
    sign
    return (sign,)


@app.cell(hide_code=True)
def _(PARAMS, X, back, knob, loss, np, reveal, sign, walk):
    def moved_loss(delta):
        """把所选参数移动 delta 之后的损失。"""
        params = {name: array.copy() for name, array in PARAMS.items()}
        params[chosen][place] += delta
        return walk(X, params)[0]

    chosen, _at = knob.value.rstrip("]").split("[")
    place = tuple(int(i) for i in _at.split(","))
    slope = float(back["linear"][f"d{chosen}"][place])
    _small = moved_loss(0.01) - loss
    assert abs(_small - 0.01 * slope) < 1e-4
    _answer = "不变" if slope == 0 else "上升" if slope > 0 else "下降"
    _why = "线性层的输出 1 是 −1，被 ReLU 挡住了：这个参数的微小移动什么也影响不到。" if slope == 0 else ""
    reveal(
        sign,
        _answer,
        f"""梯度是 **{slope:g}**。移动 0.01，它承诺损失变化 {0.01 * slope:+.5f}；实测：{np.round(_small, 5) + 0.0:+.5f}。{_why}""",
        language="zh",
    )
    return moved_loss, slope


@app.cell(hide_code=True)
def _(knob, mo):
    step = mo.ui.slider(-2, 2.5, step=0.1, value=0.4, label=f"{knob.value} 的改变量", show_value=True, debounce=False)
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
                alt=f"损失随 {knob.value} 的改变量变化：一条曲线，以及在 0 处与它相切、斜率为 {slope:g} 的直线。在 {step.value:g} 处损失是 {_real:.3f}，直线给出 {_promised:.3f}。",
            ),
            mo.md(
                f"""曲线是损失，虚线是梯度的承诺。承诺：{slope:g} × {step.value:g} = **{slope * step.value:+.3f}**。实际变化：**{_real - loss:+.3f}**。步子缩小到十分之一，两者之差大约缩小到百分之一，直到某个 ReLU 开关切换为止：找出 weight[1, 0] 的折点。它在哪里，为什么？"""
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(PARAMS, X, back, loss, mo, np, walk):
    _h = float(X[0] @ PARAMS["weight"][1])
    _kink = -_h / X[0, 0]
    assert np.isclose(_kink, 1.0)

    def _off(delta):
        """对 weight[0, 1] 的承诺偏差多少：步长的二阶小量。"""
        weight = PARAMS["weight"] + delta * np.array([[0, 1], [0, 0]])
        return walk(X, PARAMS | {"weight": weight})[0] - loss - delta * back["linear"]["dweight"][0, 1]

    assert 80 < _off(0.1) / _off(0.01) < 120
    mo.accordion(
        {
            "折点在哪里": mo.md(
                f"输出 1 是 {_h:g} + δ · x[0] = {_h:g} + δ。它在 δ = **{_kink:g}** 处变为正：权重从这里开始“醒来”。它在 δ = 0 处的梯度对此一无所知。"
                "梯度只知道此处的斜率，别处一概不知。"
            )
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 途中的每一个数

    改变 $x$，选一个数，看它是由哪些乘积相加得到的。`tr.trace` 记录了真实各层的前向与反向；`tr.explain` 找出其中的算式。
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
        label="数组",
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
| 数 | 等于 | 由什么算出 | 规则 |
|:--|:--|:--|:--|
{_rows}

损失是 {_loss:.4f}。当 x = (−2, 1) 时两个 ReLU 都关闭：这时 dx 是多少，为什么不是零？
""")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 逐步查看

    同样的过程，放在本库的逐步查看器里。用方向键后退，选一格，预测它的数，按回车。
    """)
    return


@app.cell(hide_code=True)
def _(mo, steps):
    from tinyresnet.step.notebook import widget as _widget

    _stepper = _widget(steps, language="zh")
    _stepper.step = steps["loss", "backward"].index
    mo.ui.anywidget(_stepper)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 练习

    ```
    tinyresnet lesson start 01
    tinyresnet lesson check relu.py
    tinyresnet lesson check loss.py
    ```

    第一条命令写出带空缺的文件，由你填空（b 档）。加 `--rung a` 是预测数值，加 `--rung c` 是从空白写起整个函数。请从你觉得稍微难了一点的那一档开始。`check` 像你上面做的那样测量斜率，告诉你第一处错误，并给一个提示；`--hint 2` 给出下一个提示。

    动手敲代码之前，先在纸上想：(1) 有 $N = 2$ 张相同的图片时，每一行的 $dz$ 是多少？(2) 既然 `dloss` 总是 1，`softmax_loss_backward` 为什么还需要它？(3) $y = x \cdot x$，看作一个分叉的两端相乘：da、db 和 dx 各是多少？

    ## 延伸阅读

    - Rumelhart、Hinton、Williams，[Learning representations by back-propagating errors](https://www.nature.com/articles/323533a0)（Nature 323，1986）：两页数学，就是这两条规则。
    - Goodfellow、Bengio、Courville，[Deep Learning](https://www.deeplearningbook.org/contents/mlp.html)，6.5 节：计算图上的链式法则，以及求和从哪里来。
    - Baydin、Pearlmutter、Radul、Siskind，[Automatic differentiation in machine learning: a survey](https://arxiv.org/abs/1502.05767)（JMLR 2018），第 3 节：框架替你做了什么。
    - 斯坦福大学的 [CS231n notes on backpropagation](https://cs231n.github.io/optimization-2/) 用“门”和写在连线上的数来讲解；上面那幅图的形式就来自那里。
    - 本项目中：`tinyresnet/layers/base.py` 和 `tinyresnet/layers/linear.py`。接下来可以学第 06 课（残差块），或第 02 课（卷积）。
    """)
    return


if __name__ == "__main__":
    app.run()
