"""Fast on a CPU

50 minutes. Needs lesson 02.
"""

import marimo

app = marimo.App(width="medium", app_title="09 Fast on a CPU")


@app.cell(hide_code=True)
def _():
    import inspect
    import time
    from pathlib import Path

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    import tinyresnet as tr
    from tinyresnet.bench import ladder
    from tinyresnet.bench.ceilings import measure_ceilings
    from tinyresnet.bench.convolution import Shape
    from tinyresnet.bench.threads import usable_processors, using_threads
    from tinyresnet.bench.work import draw
    from tinyresnet.course.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet_kernels import available

    return (
        BLUE,
        Figure,
        GREEN,
        GREY,
        ORANGE,
        PURPLE,
        Path,
        Shape,
        ask,
        available,
        draw,
        inspect,
        ladder,
        measure_ceilings,
        mo,
        np,
        reveal,
        show,
        style,
        time,
        tr,
        usable_processors,
        using_threads,
    )


@app.cell(hide_code=True)
def _(available, mo, usable_processors):
    with_numba = "cpu" in available()
    processors = usable_processors()
    _said = (
        """**Compiling.** This page measures *your* machine while you read. On a fresh installation Numba compiles the kernels first, which takes half a minute to a minute, once:
        they are kept on disk. Later it takes a few seconds. Close other programs; a busy machine gives smaller numbers, and sometimes strange ones."""
        if with_numba
        else """**Numba is not here** (not installed, or switched off), so the compiled rungs cannot run: you see the first two rungs measured, and the others in the table of another machine.
        `pip install numba`, and open the lesson again."""
    )
    mo.md(f"""
    # 09 · Fast on a CPU

    Lesson 02 made a convolution with six loops, and then with one matrix product. Both give the same numbers. Now we ask only one thing: **why is one faster than the
    other, and how fast can it be at most?**

    {mo.callout(mo.md(_said), kind="info" if with_numba else "warn")}
    """)
    return processors, with_numba


@app.cell(hide_code=True)
def _(ask):
    opening = ask(
        "Six loops in Python make a certain number of multiply-adds a second. How many times more can *one* core of your processor make?",
        ["about 10 times", "about 100 times", "thousands of times"],
    )
    opening
    return (opening,)


@app.cell(hide_code=True)
def _(
    draw,
    ladder,
    measure_ceilings,
    np,
    opening,
    processors,
    reveal,
    time,
    using_threads,
):
    def best(function, seconds=0.12):
        """The least time of a call, in seconds: what is possible, whatever else the machine does."""
        function()
        times = []
        while len(times) < 3 or sum(times) < seconds:
            began = time.perf_counter()
            function()
            times.append(time.perf_counter() - began)
        return min(times)

    with using_threads(processors):
        ceilings = measure_ceilings(processors, seconds=0.3)
    peak = ceilings.multiply_adds_one_thread or ceilings.matrix_product
    _tiny = ladder.TINY
    _rng = np.random.default_rng(0)
    _x, _weight = draw(_rng, *_tiny.x), _rng.standard_normal(_tiny.weight, np.float32)
    loops_rate = 2 * _tiny.multiply_adds / best(lambda: ladder.loops(_x, _weight, _tiny))
    assert peak > 1000 * loops_rate
    reveal(
        opening,
        "thousands of times",
        f"""Measured now, on this machine: six loops in Python make {loops_rate / 1e6:.1f} million operations a second (a multiply-add is two). One core makes
        {peak / 1e9:.0f} thousand million of them: **{peak / loops_rate:,.0f} times more.** No single trick gives that. It is a ladder; each rung has one reason.""",
    )
    return best, ceilings, loops_rate, peak


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Draw the roofline of a machine from two measurements, and say of an operation whether arithmetic or memory limits it.
    - Name what each rung of the ladder changes: columns, compiling, vectors, register tiles, the cache, fewer products, threads, fusion.
    - Predict from counts (operations, bytes) which of two versions is faster, and then measure it fairly.

    ## The idea in a picture

    A processor does two things: it calculates, and it moves numbers between memory and itself. Both have a top speed. Let an operation do $I$ operations for each byte
    that it must move. Then it can never be faster than either allows:
    """)
    return


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Shape,
    ceilings,
    mo,
    np,
    processors,
    show,
    style,
    with_numba,
):
    conv16, conv64 = Shape(128, 16, 32, 32, 16), Shape(128, 64, 8, 8, 64)
    intensities = {
        "add two arrays": 1 / 12,
        "scale, shift, ReLU": 3 / 8,
        "convolution 3x3, 16 channels": 2 * conv16.multiply_adds / conv16.moved,
        "convolution 3x3, 64 channels": 2 * conv64.multiply_adds / conv64.moved,
    }
    ridge = ceilings.arithmetic / ceilings.copy
    with style():
        _figure = Figure(figsize=(7, 3.8), layout="constrained")
        _axes = _figure.add_subplot()
        _line = np.geomspace(0.03, 1000, 200)
        _axes.loglog(_line, np.minimum(_line * ceilings.copy, ceilings.arithmetic) / 1e9, color=BLUE, label="the roof")
        for (_name, _i), _mark, _colour in zip(intensities.items(), "osD^", (PURPLE, GREY, ORANGE, GREEN), strict=True):
            _roof = min(_i * ceilings.copy, ceilings.arithmetic) / 1e9
            _axes.plot(
                _i,
                _roof,
                _mark,
                color=_colour,
                markersize=8,
                label=f"{_name}: at most {_roof:.{0 if _roof >= 10 else 1}f}",
            )
        _axes.set(xlabel="operations per byte that must move", ylabel="GFLOP/s", xlim=(0.03, 1000))
        _axes.legend(fontsize=9, loc="lower right")
    assert (
        intensities["add two arrays"]
        < 1
        < intensities["convolution 3x3, 16 channels"]
        < intensities["convolution 3x3, 64 channels"]
    )
    mo.vstack(
        [
            show(
                _figure,
                alt=f"The roofline of this machine: a slope of {ceilings.copy / 1e9:.0f} GB/s up to a flat roof of {ceilings.arithmetic / 1e9:.0f} GFLOP/s, which it meets at "
                f"{ridge:.0f} operations a byte. Adding arrays stands low on the slope, convolutions far to the right of it.",
            ),
            mo.md(f"""Measured now, on {processors} thread{"s" if processors > 1 else ""}: arithmetic **{ceilings.arithmetic / 1e9:.0f} GFLOP/s** ({"multiply-adds that never leave the registers" if with_numba else "NumPy's matrix product"}),
            memory **{ceilings.copy / 1e9:.1f} GB/s** (copying arrays that fit no cache). The slope meets the roof at {ridge:.0f} operations a byte. Left of it you must
            *move less*; right of it you must *calculate better*. The picture is called a **roofline**."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    A convolution of x (N, C, H, W) with weight (O, C, KH, KW) to y (N, O, OH, OW), in float32:

    $$\text{operations} = 2\, N\, O\, OH\, OW \cdot C\, KH\, KW, \qquad
    \text{bytes} = 4\,(N C H W + O C\, KH\, KW + N O\, OH\, OW).$$

    $$I = \frac{\text{operations}}{\text{bytes}}, \qquad \text{time} \;\ge\; \max\!\left(\frac{\text{operations}}{\text{peak}}, \frac{\text{bytes}}{\text{bandwidth}}\right).$$

    These bytes are the *least*: every array once. A version may move more. **im2col** writes $C\,KH\,KW \cdot OH\,OW$ numbers for each picture and reads them again: with a 3x3
    kernel, stride 1, that is nine times the picture, twice.

    **Latency.** A multiply-add is finished some clocks after it was begun; call this $\ell$ (often 4). A core can begin $u$ of them in each clock (often 2), each on a whole vector of
    numbers. But a *sum* is a chain: each link waits for the one before it. One chain uses $1/(\ell u)$ of the core. To use all of it you need at least $\ell u$ (so 8) sums
    that do not depend on each other.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    sizes = {
        "channels": mo.ui.slider(
            steps=[1, 2, 4, 8, 16, 32, 64, 128, 256], value=16, label="channels C = O", show_value=True
        ),
        "side": mo.ui.slider(steps=[4, 8, 16, 32, 64], value=32, label="picture H = W", show_value=True),
        "kernel": mo.ui.slider(steps=[1, 3, 5, 7], value=3, label="kernel", show_value=True),
        "batch": mo.ui.slider(steps=[1, 8, 32, 128], value=128, label="batch N", show_value=True),
    }
    explorer = mo.ui.dictionary(sizes)
    mo.vstack(
        [
            mo.md(
                "Find a convolution that memory limits. (Hint: what if there is one channel? What if the kernel is 1x1?)"
            ),
            mo.hstack(explorer.values(), wrap=True, justify="start"),
        ]
    )
    return (explorer,)


@app.cell(hide_code=True)
def _(Shape, ceilings, explorer, mo):
    _v = explorer.value
    _k, _c = _v["kernel"], _v["channels"]
    _shape = Shape(_v["batch"], _c, _v["side"], _v["side"], _c, kernel=(_k, _k), pad=(_k // 2, _k // 2))
    _operations = 2 * _shape.multiply_adds
    _i = _operations / _shape.moved
    _arithmetic, _memory = _operations / ceilings.arithmetic, _shape.moved / ceilings.copy
    mo.md(f"""
    {_operations / 1e6:,.1f} million operations, {_shape.moved / 1e6:,.2f} million bytes at least: **I = {_i:.1f}**. Arithmetic needs {1e3 * _arithmetic:.3f} ms, memory {1e3 * _memory:.3f} ms:
    on this machine **{"arithmetic" if _arithmetic > _memory else "memory"}** limits it. With im2col's columns written and read: {2 * 4 * _c * _k**2 * _v["batch"] * _v["side"] ** 2 / 1e6:,.2f} million bytes more.
    """)
    return


@app.cell(hide_code=True)
def _(inspect, ladder, mo, with_numba):
    _parts = [ladder.im2col]
    if with_numba:
        from tinyresnet.bench import ladder_kernels

        _parts += [ladder_kernels._six_loops, ladder_kernels._one_pixel, ladder_kernels._many_pixels]
    _code = "\n\n".join(inspect.getsource(part) for part in _parts)
    mo.md(f"""
    ## The code

    Each rung is about ten lines, in `tinyresnet/bench/ladder.py` and `ladder_kernels.py`. Here are the four that matter most. `tile_of_one` sums one pixel's vector of output channels in
    one register; `tile_of_many` sums {f"{ladder_kernels.ROWS} pixels' vectors in {ladder_kernels.ROWS} registers" if with_numba else "many pixels' vectors in as many registers"} at once. Nothing else differs between the two.

    ```python
    {_code}
    ```
    """)
    return (ladder_kernels,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Numbers to change

    ### The ladder

    One convolution, 16 to 16 channels, 3x3, on 32 pictures of 32 x 32: the kind that fills a third of ResNet-20. Predict each rung before you unfold it.
    All rungs but the last run on one thread, and each time is the least of several.
    """)
    return


@app.cell(hide_code=True)
def _(ask, processors):
    question1 = ask(
        "**Columns or loops?** im2col writes a matrix nine times as large as the pictures, and then uses one matrix product. The other version is the plain six loops, *compiled*. Which is faster?",
        ["im2col", "six loops, compiled"],
    )
    question2 = ask(
        "**Vector to registers.** The same products, the same vectors; but many pixels are summed at once, each in a register of its own. How much faster?",
        ["not at all: it is the same number of products", "a little, up to 1.2 times", "clearly: 1.2 times or more"],
    )
    question3 = ask(
        "**Winograd** makes 2x2 outputs of a 3x3 kernel with 16 products. By how much is the number of products smaller than by the definition?",
        ["1.5 times", "2.25 times", "4 times"],
    )
    question4 = ask(
        f"**Threads.** The shipped kernel on {processors} thread{'s' if processors > 1 else ''} instead of one: how many times faster?",
        ["less than half of the number of threads", "at least half of the number of threads"],
    )
    question1
    return question1, question2, question3, question4


@app.cell(hide_code=True)
def _(
    Shape,
    best,
    draw,
    ladder,
    loops_rate,
    mo,
    np,
    processors,
    using_threads,
    with_numba,
):
    shape = Shape(32, 16, 32, 32, 16)

    def _measured():
        rng = np.random.default_rng(0)
        x, weight = draw(rng, *shape.x), rng.standard_normal(shape.weight, np.float32)
        plain = np.ascontiguousarray(x)
        wanted = ladder.im2col(plain, weight, shape)
        found = {}
        for name, rung in ladder.RUNGS.items():
            if rung.shape is ladder.TINY or (rung.numba and not with_numba):
                continue
            given = x if rung.numba else plain
            with using_threads(processors if rung.all_threads else 1):
                assert np.allclose(rung.run(given, weight, shape), wanted, atol=1e-3)  # first compare, then time
                found[name] = best(lambda rung=rung, given=given: rung.run(given, weight, shape))
        return found

    seconds = _measured()
    operations = 2 * shape.multiply_adds
    rates = {"loops": loops_rate} | {name: operations / took for name, took in seconds.items()}
    if with_numba:
        assert rates["compiled"] > 100 * rates["loops"]
    missing = mo.md("*Numba is needed to measure this rung; see the table below.*")
    return missing, operations, rates, seconds, shape


@app.cell(hide_code=True)
def _(
    loops_rate,
    missing,
    operations,
    question1,
    reveal,
    seconds,
    shape,
    with_numba,
):
    def told1():
        ratio = seconds["compiled"] / seconds["im2col"]
        return reveal(
            question1,
            "im2col" if ratio > 1 else "six loops, compiled",
            f"""Here: im2col {1e3 * seconds["im2col"]:.1f} ms, six loops compiled {1e3 * seconds["compiled"]:.1f} ms (six loops in *Python* would take
            {operations / loops_rate:,.0f} **seconds**). Compiled loops make no columns, but every product loads its sum from memory, adds, and stores it again. The matrix product (BLAS) is a
            perfect ladder by itself; it pays for the {4 * 9 * 16 * 32 * 32 * shape.N / 1e6:.0f} MB of columns that are written and read.""",
        )

    told1() if with_numba else missing
    return


@app.cell(hide_code=True)
def _(question2):
    question2
    return


@app.cell(hide_code=True)
def _(ladder_kernels, missing, question2, reveal, seconds, with_numba):
    def told2():
        ratio = seconds["vector"] / seconds["registers"]
        right = question2.options
        names = list(right)
        return reveal(
            question2,
            names[0] if ratio < 1.02 else names[1] if ratio < 1.2 else names[2],
            f"""Here: {1e3 * seconds["compiled"]:.1f} ms compiled, {1e3 * seconds["vector"]:.2f} ms with the sum of one vector kept in a register, **{1e3 * seconds["registers"]:.2f} ms** with
            a tile of {ladder_kernels.ROWS} pixels: {ratio:.1f} times faster. It *is* the same number of products. But one sum is a chain, and each link waits for the one before; {ladder_kernels.ROWS}
            chains keep the core busy. And each vector of weights that was loaded serves {ladder_kernels.ROWS} pixels. Every fast matrix product is made of this one idea.""",
        )

    told2() if with_numba else missing
    return


@app.cell(hide_code=True)
def _(mo, seconds, with_numba):
    mo.md(f"""
    **Implicit** changes where the borders are made: one picture at a time, in a scratch that stays in the second-level cache, instead of a bordered copy of all pictures. {
        f"Here: {1e3 * seconds['registers']:.2f} ms before, {1e3 * seconds['implicit']:.2f} ms after."
        if with_numba
        else ""
    }
    No columns are ever written; a table says where each number lies. Would it win more with a larger batch? Why? (Think of the size of the copy, and of the caches below.)
    """)
    return


@app.cell(hide_code=True)
def _(question3):
    question3
    return


@app.cell(hide_code=True)
def _(question3, reveal, seconds, with_numba):
    _direct, _winograd = 2 * 2 * 3 * 3, 4 * 4
    assert _direct / _winograd == 2.25
    _here = (
        f" Here: {1e3 * seconds['implicit']:.2f} ms with all products, {1e3 * seconds['winograd']:.2f} ms by Winograd."
        if with_numba
        else ""
    )
    reveal(
        question3,
        "2.25 times",
        f"""2x2 outputs of 3x3 products each are {_direct}; Winograd needs one for each number of a 4x4 tile, {_winograd}: {_direct / _winograd:g} times fewer. But it must first make sums of
        inputs and, at the end, sums of products. With 16 channels these cost nearly as much as the products they save; from 64 channels on they vanish.{_here}""",
    )
    return


@app.cell(hide_code=True)
def _(question4):
    question4
    return


@app.cell(hide_code=True)
def _(missing, processors, question4, reveal, seconds, with_numba):
    def told4():
        ratio = seconds["winograd"] / seconds["threads"]
        names = list(question4.options)
        return reveal(
            question4,
            names[ratio >= processors / 2],
            f"""Here: {1e3 * seconds["winograd"]:.2f} ms on one thread, {1e3 * seconds["threads"]:.2f} ms on {processors}: {ratio:.2f} times. The pieces of the batch need nothing from each other, and each thread writes to
            its own place, so the result has the same bits for any number of threads. What is lost: threads share the memory's bandwidth, starting them takes time, and whoever else uses the machine takes a part.""",
        )

    told4() if with_numba else missing
    return


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    ORANGE,
    ceilings,
    peak,
    processors,
    rates,
    show,
    style,
    with_numba,
):
    with style():
        _figure = Figure(figsize=(7, 3.4), layout="constrained")
        _axes = _figure.add_subplot()
        _names = list(rates)
        _axes.plot([rates[name] / 1e9 for name in _names], range(len(_names)), "o-", color=BLUE, markersize=8)
        _axes.axvline(
            peak / 1e9,
            color=ORANGE,
            linestyle="--",
            label="multiply-adds, one thread" if with_numba else "NumPy's matrix product",
        )
        if processors > 1 and with_numba:
            _axes.axvline(
                ceilings.arithmetic / 1e9, color=GREEN, linestyle=":", label=f"multiply-adds, {processors} threads"
            )
        _axes.set(
            xscale="log",
            yticks=range(len(_names)),
            yticklabels=_names,
            xlabel="GFLOP/s, counting the products of the definition",
        )
        _axes.legend(fontsize=9, loc="upper left")
    show(
        _figure,
        alt="The ladder measured on this machine, GFLOP/s on a logarithmic axis, from six loops in Python at the bottom upwards: "
        + ", ".join(f"{name} {rate / 1e9:.2g}" for name, rate in rates.items())
        + f". The ceiling of one thread is {peak / 1e9:.0f}.",
    )
    return


@app.cell(hide_code=True)
def _(Path, ladder, mo, rates, seconds, tr):
    shipped = {  # `tinyresnet bench ladder --vs torch`, as kernels/README.md has it: ms, GFLOP/s
        "im2col": ("26.4", "23"),
        "compiled": ("79.7", "7.6"),
        "vector": ("16.9", "36"),
        "registers": ("8.0", "75"),
        "implicit": ("6.8", "89"),
        "winograd": ("6.1", "99"),
        "threads": ("3.2", "190"),
        "layers": ("184", "169"),
        "fused": ("152", "205"),
    }
    _readme = Path(tr.__file__).parents[1] / "kernels" / "README.md"
    if _readme.is_file():  # a checkout: the two tables are one
        _rows = [
            [cell.strip(" `") for cell in line.split("|")[1:-1]]
            for line in _readme.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")
        ]
        assert {row[0]: (row[2], row[3]) for row in _rows if row[0] in shipped} == shipped

    def _line(name):
        here = f"{1e3 * seconds[name]:.2f} | {rates[name] / 1e9:.1f}" if name in seconds else " | "
        says = {"layers": "a training step of ResNet-20, layer by layer", "fused": "the same, its blocks as units"}.get(
            name
        )
        return f"| `{name}` | {says or ladder.RUNGS[name].says} | {here} | {shipped[name][0]} | {shipped[name][1]} |"

    mo.md(
        "| rung | what changes | here, 32 pictures: ms | GFLOP/s | there, 128 pictures: ms | GFLOP/s |\n|:---|:---|---:|---:|---:|---:|\n"
        + "\n".join(map(_line, shipped))
        + "\n\n*Here*: measured just now, in a fraction of a second each. *There*: `tinyresnet bench ladder --vs torch` on 2 cores with AVX-512, with nothing else running (`kernels/README.md`). "
        "GFLOP/s count the products of the definition, so Winograd may pass the ceiling; that is no mistake. The last two rows are whole training steps at batch 128."
    )
    return (shipped,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Caches

    Between registers and memory stand two or three caches, each larger and slower than the one before. You can see them without reading any manual: copy arrays of growing size, and
    divide by the time.
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, Figure, best, mo, np, show, style):
    _pairs = {1 << power: [np.ones((1 << power) // 4, np.float32) for _ in "xy"] for power in range(13, 26)}
    stairs = dict.fromkeys(_pairs, 0.0)
    for _ in range(4):  # in turn, so that a bad moment of the machine spoils no size alone
        for _bytes, (_from, _to) in _pairs.items():
            _again = max(1, (1 << 18) // _bytes)  # short copies many times: a call costs time too

            def _copy(source=_from, target=_to, again=_again):
                for _ in range(again):
                    np.copyto(target, source)

            stairs[_bytes] = max(stairs[_bytes], 2 * _bytes * _again / best(_copy, seconds=0.004))
    _fastest = max(stairs, key=stairs.get)
    with style():
        _figure = Figure(figsize=(7, 2.9), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.semilogx(
            [2 * size / 1024 for size in stairs], [rate / 1e9 for rate in stairs.values()], "o-", color=BLUE, base=2
        )
        _axes.set(xlabel="KiB of both arrays", ylabel="GB/s read and written", ylim=(0, None))
    mo.vstack(
        [
            show(
                _figure,
                alt=f"Bandwidth of a copy by the size of its arrays: {stairs[_fastest] / 1e9:.0f} GB/s at best, at {2 * _fastest // 1024} KiB, and {list(stairs.values())[-1] / 1e9:.0f} GB/s "
                "for the largest, which fit no cache or only the last one.",
            ),
            mo.md(
                f"One thread, this machine: {stairs[_fastest] / 1e9:.0f} GB/s at best (both arrays together {2 * _fastest // 1024} KiB), {list(stairs.values())[-1] / 1e9:.0f} GB/s for {2 * max(stairs) >> 20} MiB. "
                "(The smallest arrays look slow: there the call itself takes most of the time.) **What is used again soon should be small enough to be still there.**"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Fusion

    After a convolution come batch norm, the add and ReLU: $y = \max(x \cdot s + t + r,\ 0)$, number by number. NumPy does it in four passes; each brings whole arrays from memory and back.
    Counting arrays that pass by: $2 + 2 + 3 + 2 = 9$. If a *piece* goes through all four while it lies in the cache, only x and r come and y goes: 3. Same operations, in the same order.
    """)
    return


@app.cell(hide_code=True)
def _(ask, mo):
    fusion = ask(
        "Arrays of 16 MB. What is the best piece?",
        [
            "the whole array: fewest calls",
            "1 KB: it fits the first cache many times",
            "in between: fits a cache, and the calls cost little",
        ],
    )
    piece = mo.ui.slider(steps=[1, 4, 16, 64, 256, 1024, 4096, 16384], value=64, label="piece, KB", show_value=True)
    mo.vstack([fusion, piece])
    return fusion, piece


@app.cell(hide_code=True)
def _(best, np):
    _rng = np.random.default_rng(0)
    _x, _r = (_rng.standard_normal(1 << 22, np.float32) for _ in "xr")
    _whole, _y = np.empty_like(_x), np.empty_like(_x)

    def in_pieces(kilobytes, y=_y):
        """max(1.5 x - 0.25 + r, 0) into y, piece by piece."""
        step = kilobytes * 256
        for first in range(0, len(y), step):
            part = slice(first, first + step)
            np.multiply(_x[part], np.float32(1.5), out=y[part])
            np.add(y[part], np.float32(-0.25), out=y[part])
            np.add(y[part], _r[part], out=y[part])
            np.maximum(y[part], 0, out=y[part])
        return y

    assert np.array_equal(in_pieces(64), in_pieces(16384, _whole))  # the same bits
    whole_seconds, tiny_seconds = best(lambda: in_pieces(16384)), best(lambda: in_pieces(1))
    return in_pieces, tiny_seconds, whole_seconds


@app.cell(hide_code=True)
def _(best, in_pieces, mo, piece, tiny_seconds, whole_seconds):
    piece_seconds = (
        whole_seconds
        if piece.value == 16384
        else tiny_seconds
        if piece.value == 1
        else best(lambda: in_pieces(piece.value))
    )
    mo.md(
        f"Pieces of {piece.value} KB: **{1e3 * piece_seconds:.1f} ms**. Whole arrays: {1e3 * whole_seconds:.1f} ms. Pieces of 1 KB: {1e3 * tiny_seconds:.1f} ms, with {4 * 16384:,} calls of NumPy."
    )
    return


@app.cell(hide_code=True)
def _(best, fusion, in_pieces, reveal, shipped, tiny_seconds, whole_seconds):
    _middle = min(best(lambda k=k: in_pieces(k)) for k in (64, 256))
    _names = list(fusion.options)
    reveal(
        fusion,
        _names[0] if whole_seconds < min(_middle, tiny_seconds) else _names[1] if tiny_seconds < _middle else _names[2],
        f"""Here: whole arrays {1e3 * whole_seconds:.1f} ms, pieces of 1 KB {1e3 * tiny_seconds:.1f} ms, the better of 64 and 256 KB {1e3 * _middle:.1f} ms. Fewer bytes win until the calls cost more than is saved. A compiled
        kernel has no such calls: `tinyresnet.fuse` does batch norm, add and ReLU on each picture right after its convolution. For a training step of ResNet-20 that is the last step in the
        table above, from {shipped["layers"][0]} to {shipped["fused"][0]} ms.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Measuring fairly

    A wrong measurement is easier to make than a fast kernel. The bench does this: first *compare* the results, then time. Warm up. Take turns between the sides, so that the machine's moods meet
    all alike. Equal threads for all. Say what the ceiling is, and give the share of it. On this page we took the *least* time, because we asked what is possible; `tinyresnet bench` takes the *median*,
    because it asks what you get.

    ## The exercise

    There is no file to hand in. Climb the ladder on your own machine, with nothing else running:

    ```
    tinyresnet bench ladder
    tinyresnet bench ladder --version registers
    tinyresnet bench resnet20 --plot roofline.png
    ```

    1. Before the first command: copy the rungs' names to paper and write beside each how many times faster than the one before it will be. Mark afterwards what surprised you most, and give the reason in one sentence.
    2. In `roofline.png`, find the operation that is furthest under its roof. Is it left or right of the ridge? What would you change?
    3. In `tinyresnet/bench/ladder_kernels.py`, set `ROWS = 2` and run the rung `registers` again; then 4, then 8. From which number on does it win no more? Compare with $\ell u$ of "The maths".

    ## What to read

    - S. Williams, A. Waterman, D. Patterson, [Roofline: an insightful visual performance model for multicore architectures](https://doi.org/10.1145/1498765.1498785) (CACM 2009).
    - K. Goto, R. van de Geijn, [Anatomy of high-performance matrix multiplication](https://doi.org/10.1145/1356052.1356053) (ACM TOMS 2008): register tiles and caches, section by section.
    - K. Chellapilla, S. Puri, P. Simard, *High performance convolutional neural networks for document processing* (2006): im2col.
    - A. Lavin, S. Gray, [Fast algorithms for convolutional neural networks](https://arxiv.org/abs/1509.09308) (CVPR 2016): Winograd's tiles; section 4.
    - E. Georganas and others, [Anatomy of high-performance deep learning convolutions on SIMD architectures](https://arxiv.org/abs/1808.05567) (SC 2018): direct convolution with register tiles.
    - U. Drepper, [What every programmer should know about memory](https://lwn.net/Articles/250967/) (2007): the staircase of the caches, and much more.
    - In this project: `kernels/README.md` (the ladder and how it is measured), `kernels/tinyresnet_kernels/cpu/tiles.py`.
    """)
    return


if __name__ == "__main__":
    app.run()
