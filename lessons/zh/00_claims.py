"""人们怎么说 ResNet

40 分钟。
"""

import marimo

app = marimo.App(width="medium", app_title="00 人们怎么说 ResNet")


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
    # 00 · 人们怎么说 ResNet

    科普文章对残差网络有许多说法。这里列出 23 条，每条一句话。你先为每一条*预测*一个判定；然后本页给出实测结果：大多数是刚才在这台机器上测的；要花几个小时的，来自数据文件，并附有生成它的命令。你有时会猜错。这一课的目的正在于此：这些话大多听起来都对，而真正对的不到五分之一。

    ## 学完你能做什么

    - 把一句关于网络的话变成一次有可能推翻它的测量。
    - 手算 ResNet-20 的层数和参数量，并说出池化、宽度和捷径会改变什么。
    - 说出一个训练步里，哪个调用真正移动了权重，哪些只是看起来如此。
    - 分清*错*与*半对*，并把两者与根本没人能检验的话区分开。
    """)
    return


@app.cell(hide_code=True)
def _(ORANGE, mo, show):
    def _station(x, title, line):
        frame = f'<rect x="{x}" y="20" width="148" height="74" rx="8" fill="none" stroke="currentColor"/>'
        title = f'<text x="{x + 74}" y="50" font-size="15" font-weight="bold" text-anchor="middle">{title}</text>'
        return frame + title + f'<text x="{x + 74}" y="74" font-size="11" text-anchor="middle">{line}</text>'

    _stations = [
        ("一句话", "“捷径能减少权重”"),
        ("一个预测", "“我说：对”"),
        ("一次测量", "数一数两个网络"),
        ("一个判定", "错，并给出数字"),
    ]
    _boxes = "".join(_station(6 + 176 * i, *station) for i, station in enumerate(_stations))
    _arrows = "".join(
        f'<path d="M {154 + 176 * i} 57 h 20" stroke="{ORANGE}" stroke-width="2"/>'
        f'<path d="M {182 + 176 * i} 57 l -9 -5 v 10 z" fill="{ORANGE}"/>'
        for i in range(3)
    )
    mo.vstack(
        [
            mo.md("## 一图看懂"),
            show(
                f'<svg viewBox="0 0 690 114" font-family="system-ui, sans-serif">{_boxes}{_arrows}</svg>',
                alt="一排四个方框：一句话，例如“捷径能减少参数”；你的预测；一次测量，这里是数一数两个网络的参数；以及带数字的判定。",
            ),
            mo.md(r"""
    六种判定：

    | 判定 | 含义 |
    |:---|:---|
    | 对 | 测量证实了它 |
    | 半对 | 要在一定条件下才成立，而这句话没提这些条件 |
    | 错 | 测量结果与它相反 |
    | 缺乏依据 | 可以检验，但这里没有任何结果支持它 |
    | 没有意义 | 两种答案看起来一模一样，逐位相同 |
    | 无法检验 | 对网络做任何测量都不能判定它 |
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
    ## 公式与形状

    ResNet-20 的输入是图片 (N, 3, 32, 32)。三个阶段，每个阶段三个块，每个块两个 3 x 3 卷积；通道数是 16、32 和 64，图片边长是 32、16 和 8 像素。然后对所有像素取平均，得到 (N, 64)，再经线性层得到 (N, 10)。从 C 个通道到 O 个通道的 3 x 3 卷积有 9·C·O 个权重，批归一化每个通道 2 个数；所有卷积都没有偏置。

    | 部分 | 参数 |
    |:---|:---|
    {_table}
    | **合计** | **{counted:,}** |

    下面的说法里，有五条只凭这张表就能判定。
    """)
    return (counted,)


@app.cell(hide_code=True)
def _(Linear, inspect, mo, tr):
    from tinyresnet.optim import sgd_update as _sgd_update

    mo.md(f"""
    ## 代码

    有些说法弄混了一个训练步里发生的事。下面用本库的原文说明实际发生的事。一个参数是一对数组：

    ```python
    {inspect.getsource(tr.Param)}
    ```

    反向计算把梯度*累加到*第二个数组里。这是线性层的反向：

    ```python
    {inspect.getsource(Linear.backward)}
    ```

    只有优化器才改写第一个数组：

    ```python
    {inspect.getsource(inspect.unwrap(_sgd_update))}
    ```
    """)
    return


@app.cell(hide_code=True)
def _():
    VERDICTS = ("对", "半对", "错", "缺乏依据", "没有意义", "无法检验")
    CLAIMS = {
        "parameters": "捷径减少了参数的数量。",
        "relu": "使网络具有非线性的是 ReLU。",
        "vanishing": "捷径减轻梯度消失。",
        "inside": "网络内部的权重保持不变，训练只改变输入端的权重。",
        "pooling": "池化减少参数的数量。",
        "tied": "捷径把它两端的权重绑在一起。",
        "rate": "学习率越高，训练得越快越好。",
        "forward": "调用 `forward` 就是在训练模型。",
        "backward": "反向传播更新权重。",
        "width": "卷积的参数量是固定的。",
        "generalise": "捷径提高泛化能力。",
        "layers": "ResNet 是由前馈层、卷积层和池化层轮流叠成的三明治。",
        "fc": "全连接层激活卷积的输出。",
        "weights": "池化层有需要设定的权重。",
        "scale": "固定的权重让网络能适应任意尺度的物体。",
        "shared": "各层共用同一个激活函数，这一点很重要。",
        "calls": "在 PyTorch 里用 `init_network`、`set_weights` 和 `evaluate` 来训练它。",
        "robust": "残差连接使网络更鲁棒。",
        "blocks": "增加残差块会让网络更好。",
        "data": "训练数据越多越好。",
        "faster": "更好的算法训练出更好的网络。",
        "tasks": "ResNet 可用于分类、检测和分割。",
        "popular": "ResNet 是所有网络中最受欢迎的。",
    }
    return CLAIMS, VERDICTS


@app.cell(hide_code=True)
def _(CLAIMS, VERDICTS, mo):
    predicted = mo.ui.dictionary({name: mo.ui.dropdown(VERDICTS, label="你的判定：") for name in CLAIMS})
    return (predicted,)


@app.cell(hide_code=True)
def _(Conv2d, Linear, counted, np, tr):
    # 数出来的：什么也不运行。
    def count(model):
        return sum(param.data.size for _, param in model.named_params())

    def kinds(model):
        """每一种层各有多少，只数不含其他层的层。"""
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
            "错",
            f"ResNet-20 有 {count(resnet):,} 个参数，它的普通孪生网络有 {count(plain):,} 个：一样多。恒等捷径没有参数（方案 A）；投影捷径（方案 B）反而*增加*一些。",
        ),
        "pooling": (
            "半对",
            f"ResNet-20 的池化层有 {_pool_weights} 个参数，也没有减少其他任何层的参数。但是池化缩小了它*后面*的东西：最后的线性层有 {_pooled} 个参数；没有池化，它就要读入 64 x 8 x 8 个数，参数会是 {_unpooled:,} 个。",
        ),
        "weights": (
            "错",
            f"池化只是取平均值或最大值。所有池化层的参数加起来：{_pool_weights} 个。",
        ),
        "width": (
            "半对",
            f"对图片的*大小*来说是固定的：16 个通道的 3 x 3 卷积，不论图片是 8 x 8 还是 800 x 800 像素，都是 {_narrow:,} 个权重。对*宽度*来说则不是：32 个通道时是 {_wide:,} 个，四倍之多。",
        ),
        "layers": (
            "错",
            f"在 ResNet-20 里数出来的：{_kinds['Conv2d']} 个卷积，{_kinds['BatchNorm2d']} 个批归一化，{_kinds['ReLU']} 个 ReLU，{_kinds['Linear']} 个线性层，{_kinds['GlobalAvgPool']} 个池化层，后两者都在最末端。没有什么与它们轮流出现。",
        ),
        "calls": (
            "错",
            "PyTorch 里没有 `init_network`，也没有 `set_weights`，模型也没有 `evaluate`。真正的调用是：层在*创建*时就抽取权重（`torch.nn.init` 可以重新抽取）；`model.load_state_dict(...)` 设定权重；"
            "`loss.backward()`、`optimizer.step()`、`optimizer.zero_grad()` 负责训练；`model.eval()` 什么也不测量，只是切换批归一化和 dropout 的模式。在本库中：`tr.resnet20(rng=...)`、"
            "`model.load_state_dict(...)`、`model.backward(...)`、`optimiser.step(lr=...)` 和 `model.forward(x, train=False)`。",
        ),
        "scale": (
            "缺乏依据",
            "权重在训练中并不固定（见第四条）；训练之后是固定的，但任何网络都如此。这本身并不带来尺度不变性：已有的那一点来自步幅、池化，以及用大小各异的物体训练。"
            "这是可以检验的（用一种大小训练，用其他大小测试），但这样说的人都没有给出检验。",
        ),
        "popular": (
            "无法检验",
            "受谁欢迎，怎么统计，什么时候？那篇论文是被引用最多的论文之一，但这是关于引用的事实。对网络做任何测量都不能判定这句话。",
        ),
        "tasks": (
            "对",
            "第 08 课训练一个分类器；第 11 课在同一个骨干网络上接一个检测器和一个分割器，并对两者都做测量。这一页没有测量其中任何一项：请到那里来核对。",
        ),
    }
    return by_counting, count


@app.cell(hide_code=True)
def _(Identity, Linear, ReLU, Residual, itertools, np, time, tr, use):
    # 运行后测得的：ResNet-20，四张图片，一个训练步。
    def moved(before, now):
        """有多少个数组至少有一位不同。"""
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

    # tied：有没有两个参数共用内存？一个变了，另一个跟着变吗？
    _params = dict(_model.named_params())
    _shared = sum(np.shares_memory(a.data, b.data) for a, b in itertools.combinations(_params.values(), 2))
    _before = parameters_of(_model)
    _params["layer1.0.conv1.weight"].data += 1
    _with_it = moved(_before, parameters_of(_model))
    assert (_shared, _with_it) == (0, 1)

    # relu：同一个网络，有 ReLU 和没有 ReLU。仿射函数 f 满足 f(a + b) - f(a) - f(b) + f(0) = 0.
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

    # shared：所有块共用一个 ReLU 对象，而不是各用一个
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

    # fc：线性层有任何非线性吗？
    def fc_bend():
        fc, rng = Linear(64, 10, rng=np.random.default_rng(0), dtype=np.float64), np.random.default_rng(4)
        a, b = rng.standard_normal((2, 1, 64))
        with use("reference"):
            f = [fc.forward(v, train=False)[0] for v in (a + b, a, b, 0 * a)]
        return float(np.abs(f[0] - f[1] - f[2] + f[3]).max())

    _fc = fc_bend()
    assert _fc < 1e-12

    # faster：同一个卷积，用六重循环和用一次矩阵乘法
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
            "错",
            f"一个训练步移动了 **{_all} 个参数数组中的 {_by_step} 个**，从第一个卷积到最后一个偏置。",
        ),
        "forward": (
            "错",
            f"训练模式下的一次前向移动了 **{_all} 个参数数组中的 {_by_forward} 个**。它确实移动了 {_all_buffers} 个*缓冲区*中的 {_by_forward_buffers} 个：批归一化的滑动均值和滑动方差，以及它的计数器，"
            "这些只有评估时才会读取。这时还没有从标签中学到任何东西：根本没有给过标签。",
        ),
        "backward": (
            "半对",
            f"`backward` 移动了 {_all} 个中的 {_by_backward} 个；它只是填好梯度。`step` 移动了 {_by_step} 个。反向传播算出*往哪里走*；真正走过去的是优化器。",
        ),
        "tied": (
            "错",
            f"在 {_all * (_all - 1) // 2:,} 对参数数组中，有 {_shared} 对共用内存。把捷径旁边一个卷积的所有权重加 1 之后，{_all} 个数组里有 {_with_it} 个变了：就是它自己。相加连接的是*激活值*，不是权重。",
        ),
        "relu": (
            "对",
            f"对仿射函数，f(a + b) − f(a) − f(b) + f(0) 等于 0。对这个网络（评估模式），它是输出大小的 {_bent:.2f}；去掉所有 ReLU 之后是 {_straight:.0e}："
            "20 层塌缩成一个矩阵。（训练模式下批归一化也有一点非线性，因为它的统计量依赖于 x。）",
        ),
        "shared": (
            "没有意义",
            "所有块共用一个 ReLU 对象，还是每个块各用一个：得分与梯度*逐位*相同。ReLU 没有参数，也不记住任何东西，所以没有什么可共用的。",
        ),
        "fc": (
            "错",
            f"线性层在最后，在池化之后，它没有任何非线性：f(a + b) − f(a) − f(b) + f(0) 是 {_fc:.0e}。激活函数是那 19 个 ReLU，每个卷积及其批归一化之后各有一个（在块的后半部分，则是在相加之后）。",
        ),
        "faster": (
            "半对",
            f"更好的算法只是更快地得到*同一个*网络。一个小卷积，用六重循环：{_slow * 1e3:.0f} ms；用一次矩阵乘法：{_fast * 1e3:.2f} ms，快 {_slow / _fast:.0f} 倍；两者的结果相差 {_apart:.0e}。"
            "数相同，损失也相同。（更好的*优化器和学习率计划*确实会改变网络：见第 08 课。）",
        ),
    }
    return (by_running,)


@app.cell(hide_code=True)
def _(data, np):
    # 事先测好的，因为要花几个小时：从数据文件读入，文件里写着它是怎么生成的。
    from tinyresnet.step.depth_dial import caption as _caption
    from tinyresnet.step.depth_dial import load as _load

    def mean_error(rows, figure, **wanted):
        """某项误差对各个种子的平均，以及种子的个数。"""
        found = [
            row[figure]
            for row in rows
            if all(row.get(key) == value for key, value in wanted.items()) and row[figure] is not None
        ]
        return float(np.mean(found)), len(found)

    def _said(row):
        word, factor = _caption(row)
        return f"{word}（{factor:,.0f} 倍）" if factor > 100 else f"{word}（{factor:.2g} 倍）"

    _dial = {(row["shortcut"], row["norm"], row["init"]): row for row in _load()["rows"] if row["depth"] == 56}
    _inits = {"he": "He（何恺明）", "pytorch": "PyTorch 默认"}
    _rows = "\n".join(
        f"| {'批归一化' if norm else '无批归一化'}，{_inits[init]}初始化 | "
        + " | ".join(_said(_dial[kind, norm, init]) for kind in ("plain", "residual"))
        + " |"
        for norm in (True, False)
        for init in ("he", "pytorch")
    )
    assert _caption(_dial["plain", False, "pytorch"])[0] != _caption(_dial["plain", True, "pytorch"])[0]

    _held = data("degradation_cifar")
    _runs = [row for row in _held["results"] if row["part"] == "run"]
    degradation_source = f"{_held['command']}（种子 {_held['seed']}）"
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
    ablations_source = f"{_held['command']}（种子 {_held['seed']}）"
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
    } | {"全部": _base}
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
            "半对",
            f"""没有批归一化、初始权重又小时：对。但是单凭批归一化，就已经制止了普通网络中的梯度消失（在那里，梯度往回走时反而*增大*）。深度 56，第一次更新之前：从最后一个块回到第一个块，梯度发生了什么，变化了多少倍（vanishes 是消失，explodes 是爆炸，neither 是两者都不是）：

    | | 普通网络 | 残差网络 |
    |:---|:---|:---|
    {_rows}

    （`python -m tinyresnet.step.depth_dial --out FILE`，5 个种子的中位数；完整的来龙去脉在第 07 课。）""",
        ),
        "generalise": (
            "半对",
            f"20 层时，残差网络的*测试*误差更低：{errors['residual', 20, 'test']:.1%}，普通网络是 {errors['plain', 20, 'test']:.1%}。但它的*训练*误差低得更多"
            f"（{errors['residual', 20, 'train']:.1%} 对 {errors['plain', 20, 'train']:.1%}），所以两者之间的差距更大：{_gaps['residual']:.1%} 对 {_gaps['plain']:.1%}。"
            "捷径帮助的是*优化*；测试误差只是随之下降。",
        ),
        "blocks": (
            "半对",
            f"8、20、56 层时的训练误差：残差网络 {_depths['residual']}，普通网络 {_depths['plain']}。块更多，起初对残差网络有帮助；普通网络则从一开始就变差，而且就在它训练用的那些图片上。"
            "在这样小的训练预算下，连 56 层的残差网络也输给了 20 层的。第 07 课讲的就是这件事。",
        ),
        "rate": (
            "半对",
            "只在一定范围内对。不同的（最大）学习率下的测试误差："
            + "，".join(f"{rate:g}：{rates[rate]:.1%}" for rate in sorted(rates))
            + f"。最好的是 {_best:g}；远高于它时，训练就会崩溃。",
        ),
        "data": (
            "对",
            f"更新次数相同，只用 {_pictures:,} 张图片中的一部分。测试误差："
            + "，".join(f"{share}：{error:.1%}" for share, error in shares.items())
            + "。",
        ),
        "robust": (
            "半对",
            f"对去掉一个块来说：对。从训练好的 20 层网络里去掉一个块，残差网络的测试误差平均从 {_whole['residual']:.1%} 升到 {_less['residual']:.1%}；普通网络从 {_whole['plain']:.1%} 升到 {_less['plain']:.1%}，"
            f"而纯粹瞎猜是 90%。对*图片*上的噪声来说：错。噪声与像素本身的变化一样强时，残差网络的误差上升 {_rise['residual'] * 100:.0f} 个百分点，到 {_noisy['residual', 1.0]:.1%}；"
            f"普通网络上升 {_rise['plain'] * 100:.0f} 个百分点，到 {_noisy['plain', 1.0]:.1%}（各一个网络，1,000 张图片）。",
        ),
    }
    return ablations_source, by_data, degradation_source


@app.cell(hide_code=True)
def _(CLAIMS, VERDICTS, by_counting, by_data, by_running, mo):
    measured = by_counting | by_running | by_data
    assert measured.keys() == CLAIMS.keys()
    assert all(verdict in VERDICTS for verdict, _ in measured.values())
    tally = {verdict: sum(found == verdict for found, _ in measured.values()) for verdict in VERDICTS}
    assert tally["对"] / len(CLAIMS) < 0.2
    mo.md(f"""
    ## 可以改的数

    ### 这些说法

    为 {len(CLAIMS)} 条说法各选一个判定；选了之后，下面就会显示实测结果。拿不准就猜，但要诚实：没有别人会看到。
    """)
    return measured, tally


@app.cell(hide_code=True)
def _(CLAIMS, measured, mo, predicted):
    def _result(name):
        verdict, text = measured[name]
        mine = predicted.value[name]
        if mine is None:
            return mo.Html(
                f"<details><summary>实测结果（请先选）</summary>{mo.md(f'**{verdict.capitalize()}。** {text}').text}</details>"
            )
        mark = "选对了" if mine == verdict else f"你选的是“{mine}”"
        return mo.callout(mo.md(f"{mark}：**{verdict}。** {text}"), kind="success" if mine == verdict else "warn")

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
    earlier = mo.ui.text(label="你上一次的答案：", placeholder="下面那样的一串字母", full_width=True)
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
        f"\n\n上次对了 **{hits(_then)}** 条；这次对了 **{hits(_mine)}** 条。"
        if len(_then) == len(_right)
        else "\n\n这不是本页的一串字母。"
        if _then
        else ""
    )
    mo.md(f"""
    ### 你的得分

    **已答 {_given} 条，对了 {hits(_mine)} 条**，共 {len(CLAIMS)} 条。闭着眼睛瞎猜大约能对 {_chance:.0f} 条；一律答“半对”能对 {tally["半对"]} 条。你的答案写成字母：`{_mine}`。请保存下来：学完第 07 课再答一次，把它贴到上面比一比。{_again}
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
            "各种判定各有多少条（请答完再看）": show(
                sketch(470, 28 * len(tally) + 6, *_bars),
                alt="各种判定的条数："
                + "，".join(f"{verdict} {count_} 条" for verdict, count_ in tally.items())
                + "。",
            )
        }
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 宽度，和图片的大小

    两者之中，哪个改变参数的数量？哪个改变计算量？先说出来，再移动滑块。
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    width = mo.ui.slider(steps=[4, 8, 16, 32, 64], value=16, label="第一阶段的通道数", show_value=True)
    side = mo.ui.slider(steps=[16, 32, 64, 128], value=32, label="图片边长（像素）", show_value=True)
    mo.hstack([width, side], justify="start", gap=2, wrap=True)
    return side, width


@app.cell(hide_code=True)
def _(Conv2d, count, counted, mo, np, side, tr, width):
    def size_of(channels, pixels):
        """ResNet-20 的参数量，以及一张图片的乘加次数，逐层数出。"""
        model, products, stage = tr.resnet20(num_classes=10, width=channels, rng=np.random.default_rng(0)), 0, pixels
        for path, layer in model.named_layers():
            if isinstance(layer, Conv2d):
                stage = pixels // {"layer2": 2, "layer3": 4}.get(path.split(".")[0], 1)
                products += layer.multiply_adds((1, layer.weight.data.shape[0], stage, stage))
        return count(model), products

    _here, _base = size_of(width.value, side.value), size_of(16, 32)
    assert _base[0] == counted
    mo.md(f"""
    {_here[0]:,} 个参数（论文中 ResNet-20 的 {_here[0] / _base[0]:.3g} 倍），每张图片 {_here[1] / 1e6:,.1f} 百万次乘加（{_here[1] / _base[1]:.3g} 倍）。参数量与图片大小无关；两者都与宽度有关，大约随宽度的平方增长。
    """)
    return


@app.cell(hide_code=True)
def _(ablations_source, degradation_source, mo):
    mo.md(f"""
    ## 练习

    从文章或演讲里找一句关于神经网络的话。写下：如果它是对的，你会*看到*什么；如果是错的，又会看到什么。如果两者看起来一样，你就做完了：没有意义。否则就用十行代码测一测。先给你一个例子，这是上面某一条的测量：

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

    带自动检查的练习从第 01 课开始：`tinyresnet lesson start 01`。

    ## 延伸阅读

    - 何恺明、张祥雨、任少卿、孙剑，[Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385)（CVPR 2016）：第 1 节和图 1，问题是什么（不是梯度消失：4.1 节说批归一化已经解决了它）；4.2 节，本课程所用的网络。
    - Veit、Wilber、Belongie，[Residual networks behave like ensembles of relatively shallow networks](https://arxiv.org/abs/1605.06431)（NIPS 2016）：第 4 节，去掉若干个块。
    - Hendrycks、Dietterich，[Benchmarking neural network robustness to common corruptions and perturbations](https://arxiv.org/abs/1903.12261)（ICLR 2019）。
    - Balduzzi 等人，[The shattered gradients problem](https://arxiv.org/abs/1702.08591)（ICML 2017）：如果不是改变梯度的大小，捷径究竟对梯度做了什么。

    不是在这一页上测得的数字出自：`{degradation_source}`，去掉块的实验和噪声实验则把 `degradation` 换成 `lesions` 和 `noise`；以及 `{ablations_source}`。全部使用 CIFAR-10 最前面的那些图片。
    """)
    return


if __name__ == "__main__":
    app.run()
