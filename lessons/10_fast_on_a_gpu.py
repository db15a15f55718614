"""Fast on a GPU

60 minutes. Needs lessons 02, 09.
"""

import marimo

app = marimo.App(width="medium", app_title="10 Fast on a GPU")


@app.cell(hide_code=True)
def _():
    import ast

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    from tinyresnet.bench import subjects
    from tinyresnet.bench.profile import profile, traffic
    from tinyresnet.course import kernel_lab
    from tinyresnet.course.figures import BLUE, GREEN, GREY, INK, ORANGE, show, style
    from tinyresnet.course.predict import ask, reveal
    from tinyresnet_kernels.cuda import source, versions
    from tinyresnet_kernels.cuda.matmul import matmul
    from tinyresnet_kernels.host import RawModule, watching
    from tinyresnet_kernels.host.cards import CARDS, modelled_seconds

    return (
        BLUE,
        CARDS,
        Figure,
        GREEN,
        GREY,
        INK,
        ORANGE,
        RawModule,
        ask,
        ast,
        kernel_lab,
        matmul,
        mo,
        modelled_seconds,
        np,
        profile,
        reveal,
        show,
        source,
        style,
        subjects,
        traffic,
        versions,
        watching,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # 10 · Fast on a GPU

    You do not need a GPU for this lesson. You write CUDA kernels here, and they run on your processor. What you lose is the time: nobody can measure a
    GPU's time without one. What you gain is more than a GPU shows by itself: every access to memory is *checked* and *counted*.

    The first run compiles a small runtime and takes some seconds. Later runs are quick.
    """)
    return


@app.cell(hide_code=True)
def _(kernel_lab, mo):
    language, _why = kernel_lab.engine()
    with_compiler = language == "cuda"
    _said = {
        "cuda": """**On this machine: CUDA C++, by the C++ compiler.** Your kernels are compiled for the processor, every CUDA thread is run for itself,
        and a *watcher* sees each access. It reports races and counts what moves.""",
        "python": f"""**On this machine: Python, in Numba's CUDA simulator**, for {_why}. The first kernels below are written in Python and run for real, a thread of
        Python for each thread of CUDA. The simulator finds no races and counts nothing; where this page counts, it uses the two formulas of "The maths", and the ladder's
        last rungs are text alone. For everything: install `g++` or `clang`, and open the lesson again.""",
        None: f"""**On this machine kernels cannot run**: {_why}, and Numba is not installed. `pip install numba`, or install a C++ compiler, and open the lesson again. You
        can read on; where this page counts, it uses the two formulas of "The maths".""",
    }[language]
    mo.callout(mo.md(_said), kind="info" if with_compiler else "warn")
    return language, with_compiler


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What you will be able to do

    - Write a CUDA kernel: which number does this thread make, and what does a thread do that has none?
    - Say where a barrier is needed, and find a missing one by the watcher's report.
    - Count, from an index formula alone, the sectors that a warp moves from memory and its passes over shared memory; and mend both.
    - Climb a matrix product in four rungs, and say by a *model* what each rung is bound by on a named card.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The idea in a picture

    You write what **one thread** does. The card runs it thousands of times. Threads are numbered twice: a *grid* of blocks, and in each *block* its threads. 32 threads
    in a row are a *warp*: they do the same instruction at the same time. Threads of one block share a small fast memory, and can wait for each other. Blocks can not.
    """)
    return


@app.cell(hide_code=True)
def _(BLUE, GREEN, GREY, ORANGE, mo, show):
    def _word(x, y, text, size=13, anchor="middle", weight="normal"):
        return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>'

    def _frame(x, y, width, height, colour="currentColor", fill="none", thick=1.5):
        shape = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="5"'
        return f'<rect {shape} fill="{fill}" stroke="{colour}" stroke-width="{thick}"/>'

    def _block(left, name):
        parts = [_frame(left, 46, 170, 152), _word(left + 85, 65, name, weight="bold")]
        for warp in range(2):
            top = 78 + 32 * warp
            parts.append(_frame(left + 10, top, 150, 24, BLUE))
            parts += [f'<circle cx="{left + 20 + 8.7 * i}" cy="{top + 12}" r="2.6" fill="{BLUE}"/>' for i in range(16)]
        parts += [
            _frame(left + 10, 148, 150, 38, ORANGE),
            _word(left + 85, 164, "shared memory"),
            _word(left + 85, 180, "32 banks", 12),
        ]
        parts.append(f'<path d="M{left + 85} 200 v38" stroke="{GREY}" stroke-width="2" stroke-dasharray="5 4"/>')
        return "".join(parts)

    _sectors = "".join(_frame(20 + 35 * i, 242, 33, 24, GREEN) for i in range(16))
    _svg = (
        '<svg viewBox="0 0 600 310" font-family="system-ui, sans-serif">'
        + _word(20, 26, "grid: blocks in any order, none waits for another", 15, "start", "bold")
        + "".join(_block(20 + 195 * i, f"block {i}") for i in range(3))
        + _sectors
        + _word(20, 290, "memory of the card: moved in sectors of 32 bytes, that is 8 float32", 13, "start")
        + "</svg>"
    )
    mo.vstack(
        [
            show(
                _svg,
                alt="A grid of three blocks. In each block two rows of dots, the warps, each of 32 threads (16 are drawn), and below them the block's shared memory with its "
                "32 banks. Under all blocks lies the memory of the card, cut into sectors of 32 bytes.",
            ),
            mo.md("""A blue frame is a warp (16 of its 32 threads are drawn), an orange one a block's shared memory, a green one a sector of the card's memory. **Three prices** follow, and each
            is counted below: how many *sectors* a warp moves, how many *passes* it makes over the banks of shared memory, and how often its block waits at a *barrier*."""),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The maths, with the shapes

    **Which number is mine?** In one dimension, with $B$ threads a block and $\lceil n / B \rceil$ blocks:

    $$i = \mathrm{blockIdx.x} \cdot \mathrm{blockDim.x} + \mathrm{threadIdx.x}, \qquad 0 \le i < \lceil n/B \rceil B .$$

    $i$ may be $n$ or more: the last block hangs over the end. So nearly every kernel begins with `if (i < n)`.

    **What does a warp's access cost?** Lane $l = 0 \ldots 31$ wants the 4 bytes at address $A_l$.

    | memory | unit | cost of one request | best | worst |
    |:---|:---|:---|:---|:---|
    | of the card | sector of 32 bytes | number of different $\lfloor A_l / 32 \rfloor$ | 4 (1 if all want the same) | 32 |
    | shared | bank $= (A_l / 4) \bmod 32$ | most *different* numbers wanted of one bank | 1 pass | 32 passes |

    The first is called **coalescing**, the second a **bank conflict**. Both are arithmetic on the index formula, so you can do them on paper, and the two
    functions below are all there is to it:
    """)
    return


@app.cell
def _(mo, np):
    def sectors(addresses):
        """Sectors that a warp moves for these 32 byte addresses."""
        return len(np.unique(addresses // 32))

    def passes(places):
        """Passes over shared memory for these 32 places in an array of float32."""
        return int(np.bincount(np.unique(places) % 32).max())

    lane = np.arange(32)
    assert (sectors(4 * lane), sectors(4 * 32 * lane)) == (4, 32)
    assert (passes(lane), passes(32 * lane), passes(33 * lane), passes(0 * lane)) == (1, 32, 1, 1)
    mo.show_code()
    return lane, passes, sectors


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **A matrix product**, $C$ (M, N) $= A$ (M, K) $B$ (K, N), makes $MNK$ products. How many numbers come from the card's memory?

    | version | what a block does | numbers loaded from memory | numbers read from shared memory, per product |
    |:---|:---|:---|:---|
    | v1 | each thread reads a row of A and a column of B | $2MNK$ | none |
    | v2 | tiles of 16 x 16: each loaded number is used 16 times | $2MNK/16$ | 2 |
    | v3 | tiles of 64 x 64, each thread makes 4 x 4 outputs in registers | $2MNK/64$ | $(4+4)/16 = 0.5$ |
    | v4 | tiles of 128 x 128, 8 x 8 outputs a thread, 16 bytes at a time | $2MNK/128$ | $(8+8)/64 = 0.25$ |

    It is lesson 09's idea again: a number that was fetched must be used often, before it is dropped. There it was one cache and one set of registers; here *you* move the numbers.

    ## The code

    The first two rungs as they ship, from `kernels/tinyresnet_kernels/cuda/matmul.cu`. `real` is `float` or `double`; a block of 256 threads is numbered in one row.
    """)
    return


@app.cell(hide_code=True)
def _(ast, mo, source):
    _text = (source.FOLDER / "matmul.cu").read_text(encoding="utf-8")
    _first_two = _text[_text.index("// v1:") : _text.index("// v3:")].strip()
    _rungs = (source.FOLDER / "numba_rungs.py").read_text(encoding="utf-8")
    python_rungs = [
        "\n".join(_rungs.splitlines()[node.decorator_list[0].lineno - 1 : node.end_lineno])
        for node in ast.parse(_rungs).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("matmul_v")
    ]
    assert len(python_rungs) == 2
    mo.vstack(
        [
            mo.md(f"```cpp\n{_first_two}\n```"),
            mo.accordion(
                {
                    "The same two in Python (`numba_rungs.py`)": mo.md(
                        "```python\n" + "\n\n".join(python_rungs) + "\n```"
                    )
                }
            ),
        ]
    )
    return (python_rungs,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    v2 has **two** barriers in its loop. The first: nobody may read a tile that is not yet complete. The second: nobody may overwrite a tile that somebody still reads. And look at the
    line before the first barrier: a thread without a number of C still brings its share (a zero), because *every* thread of the block must come to the barrier.

    ## Numbers to change

    In each experiment: read the kernel, predict, press **Run**, then mend it in the editor and press **Run** again. ◀ marks a line that
    moves more than it must.

    ### 1 · Threads, blocks, and the end of the array

    8 numbers, one block of 32 threads. The kernel shall write y = 2x.
    """)
    return


@app.cell(hide_code=True)
def _(kernel_lab, language, mo, np):
    def text_of(cpp, python):
        """The kernel in the language that runs here."""
        return python if language == "python" else cpp

    def edited(text):
        """An editor with a Run button; its value is None until that is pressed."""
        return mo.ui.code_editor(
            text, language="python" if language == "python" else "cpp", show_copy_button=False
        ).form(submit_button_label="Run")

    def run(text, name, grid, block, args):
        """What the kernel did; None where kernels cannot run."""
        return kernel_lab.run(text, name, grid, block, args, language=language) if language else None

    def told(ran, text, wanted, *, output=1):
        """A report of a run: the problem with its line, what came out against what is wanted, and the counts by line."""
        if ran is None:
            return mo.callout(mo.md("Kernels cannot run on this machine: see the top of the page."), kind="warn")
        lines, said = text.splitlines(), []
        fence = "python" if language == "python" else "cpp"
        if ran.problem:
            said.append(
                f"**{ran.problem.kind.capitalize()}**"
                + (f", line {ran.problem.line}" if ran.problem.line else "")
                + f": {ran.problem.message}."
            )
            if 0 < ran.problem.line <= len(lines):
                said.append(f"```{fence}\n{lines[ran.problem.line - 1].strip()}\n```")
        good = [np.array_equal(result[output], wanted) for result in ran.results]
        names = ("threads run forward", "threads run backward") if len(good) == 2 else ("the simulator's order",)
        for name, right, result in zip(names, good, ran.results, strict=False):
            flat = " ".join(f"{value:g}" for value in result[output].ravel()[:8])
            said.append(f"- {name}: {'right' if right else 'WRONG'}, the result begins {flat}")
        if ran.sites:
            said.append("\n| line | access | requests | moved | at best | |\n|---:|:---|---:|---:|---:|:---|")
            for site in sorted(ran.sites, key=lambda site: (site["line"], site["memory"], site["write"])):
                unit = "passes" if site["memory"] == "shared" else "sectors"
                action = f"{'write to' if site['write'] else 'read from'} {'shared memory' if site['memory'] == 'shared' else 'memory'}"
                worse = " ◀" if site["moved"] > site["ideal"] else ""
                code = lines[site["line"] - 1].strip() if 0 < site["line"] <= len(lines) else ""
                said.append(
                    f"| {site['line']} | {action} | {site['requests']} | {site['moved']} {unit}{worse} | {site['ideal']} | `{code if len(code) < 50 else code[:48] + '…'}` |"
                )
        fine = ran.problem is None and all(good)
        return mo.callout(mo.md("\n".join(said)), kind="success" if fine else "danger")

    return edited, run, text_of, told


@app.cell(hide_code=True)
def _(ask, edited, mo, text_of):
    twice_text = text_of(
        """extern "C" __global__ void twice(const float* x, float* y, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        y[i] = 2 * x[i];
    }
    """,
        """@cuda.jit
    def twice(x, y, n):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        y[i] = 2 * x[i]
    """,
    )
    beyond = ask(
        "24 of the 32 threads have no number. On a real GPU, what happens?",
        ["they do nothing", "always an error message", "they read and write whatever lies behind the arrays"],
    )
    twice_form = edited(twice_text)
    mo.vstack([beyond, twice_form])
    return beyond, twice_form, twice_text


@app.cell(hide_code=True)
def _(np, run, told, twice_form, twice_text, with_compiler):
    _text = twice_form.value or twice_text
    _x = np.arange(1, 9, dtype=np.float32)
    _ran = run(_text, "twice", (1,), (32,), (_x, np.zeros(8, np.float32), np.int32(8)))
    if twice_form.value is None and _ran:
        assert _ran.problem is not None
        assert _ran.problem.kind == ("out of bounds" if with_compiler else "IndexError")
        assert "y[i] = 2 * x[i]" in _text.splitlines()[_ran.problem.line - 1]
    told(_ran, _text, 2 * _x)
    return


@app.cell(hide_code=True)
def _(beyond, reveal):
    reveal(
        beyond,
        "they read and write whatever lies behind the arrays",
        """A GPU checks nothing but whole pages of memory. Mostly no error is seen, and somebody else's numbers are overwritten. Here every
        access is checked, and the report names the line, the block and the thread: thread 8 is the first without a number. Mend it with `if (i < n)`
        (in Python `if i < n:`).""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 2 · A missing barrier

    32 threads add 32 numbers, 1 + 2 + ... + 32, by a tree in shared memory: 32 numbers become 16, 8, 4, 2, 1. One line is missing.
    """)
    return


@app.cell(hide_code=True)
def _(ask, edited, mo, text_of):
    total_text = text_of(
        """extern "C" __global__ void total(const float* x, float* y) {
        __shared__ float slots[32];
        int t = threadIdx.x;
        slots[t] = x[t];
        __syncthreads();
        for (int half = 16; half > 0; half /= 2) {
            if (t < half) slots[t] += slots[t + half];
        }
        if (t == 0) y[0] = slots[0];
    }
    """,
        """@cuda.jit
    def total(x, y):
        slots = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        slots[t] = x[t]
        cuda.syncthreads()
        half = 16
        while half > 0:
            if t < half:
                slots[t] += slots[t + half]
            half //= 2
        if t == 0:
            y[0] = slots[0]
    """,
    )
    tree = ask(
        "Somebody ran this kernel once, and the sum was right. What follows?",
        [
            "the kernel is right",
            "nothing: another order of the threads may give another sum",
            "it is right on cards with warps of 32",
        ],
    )
    total_form = edited(total_text)
    mo.vstack([tree, total_form])
    return total_form, total_text, tree


@app.cell(hide_code=True)
def _(np, run, told, total_form, total_text, with_compiler):
    numbers = np.arange(1, 33, dtype=np.float32)
    _text = total_form.value or total_text
    _ran = run(_text, "total", (1,), (32,), (numbers, np.zeros(1, np.float32)))
    if total_form.value is None and with_compiler:
        assert _ran.problem.kind == "race"
        assert "slots[t] += slots[t + half]" in _text.splitlines()[_ran.problem.line - 1]
        assert _ran.results[0][1] != 528  # forward
        assert _ran.results[1][1] == 528  # backward: right by luck
    told(_ran, _text, np.float32([528]))
    return (numbers,)


@app.cell(hide_code=True)
def _(np, numbers, reveal, run, text_of, total_text, tree, with_compiler):
    _mended = text_of(
        total_text.replace("slots[t + half];\n", "slots[t + half];\n        __syncthreads();\n"),
        total_text.replace("        half //= 2", "        cuda.syncthreads()\n        half //= 2"),
    )
    _ran = run(_mended, "total", (1,), (32,), (numbers, np.zeros(1, np.float32)))
    if _ran:
        assert _ran.problem is None
        assert all(result[1] == 528 for result in _ran.results)
    _found = (
        "Run forward the sum is wrong, run backward it is *right by luck*; the watcher calls it a race in both. "
        if with_compiler
        else "The simulator may show a wrong sum or a right one, and says nothing of a race: that needs the watcher, so a C++ compiler. "
    )
    reveal(
        tree,
        "nothing: another order of the threads may give another sum",
        f"""{_found}A **race** is two accesses to one number, at least one of them a write, with nothing between them that orders them. The watcher does not
        compare results: it asks whether a barrier *orders* the two, so it finds a race also where the numbers come out right.
        The mended loop has a barrier in each round, *outside* the `if`: behind `slots[t] += ...`, reached by all 32 threads.
        "A warp runs in step anyway" was never a promise, and since 2017 (Volta) it is not even true.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Try this too: put the barrier *into* the `if`. Half of the threads never come to it. (The watcher names it; the simulator waits for a minute and gives up.)

    ### 3 · Coalescing

    Each lane of a warp reads one float32. Choose which one:
    """)
    return


@app.cell(hide_code=True)
def _(lane, mo):
    patterns = {
        "x[i]: neighbours": lane,
        "x[31 - i]: neighbours, backward": 31 - lane,
        "x[i + 1]: neighbours, shifted": lane + 1,
        "x[2 i]: every second": 2 * lane,
        "x[8 i]: every eighth": 8 * lane,
        "x[32 i]: a column of a 32 x 32 matrix": 32 * lane,
        "x[0]: all the same": 0 * lane,
    }
    pattern = mo.ui.dropdown(list(patterns), value="x[2 i]: every second", label="access")
    pattern
    return pattern, patterns


@app.cell(hide_code=True)
def _(RawModule, lane, np, patterns, sectors, watching, with_compiler):
    _gather = RawModule(
        options=("-DREAL=float",),
        code="""extern "C" __global__ void gather(const float* x, const int* index, float* y) {
        int at = index[threadIdx.x];
        y[threadIdx.x] =
            x[at];
    }
    extern "C" __global__ void shared_gather(const int* index, float* y) {
        __shared__ float s[1056];
        for (int i = threadIdx.x; i < 1056; i += 32) s[i] = i;
        __syncthreads();
        int at = index[threadIdx.x];
        y[threadIdx.x] =
            s[at];
    }
    """,
    )

    def counted(index, *, shared=False):
        """What the watcher counts where a warp reads these 32 places: sectors of memory, or passes over shared memory."""
        x, y = np.zeros(1056, np.float32), np.zeros(32, np.float32)
        args = (index.astype(np.int32), y) if shared else (x, index.astype(np.int32), y)
        with watching() as watcher:
            _gather.get_function("shared_gather" if shared else "gather")((1,), (32,), args)
        sites = watcher.launches[0].sites
        if shared:
            return next(site.moved for site in sites if site.memory == "shared" and not site.write)
        return sum(site.moved for site in sites if not site.write) - sectors(4 * lane)  # the indices were read too

    if with_compiler:
        assert all(counted(index) == sectors(4 * index) for index in patterns.values())
    return (counted,)


@app.cell(hide_code=True)
def _(
    BLUE,
    Figure,
    GREEN,
    INK,
    counted,
    lane,
    mo,
    np,
    pattern,
    patterns,
    sectors,
    show,
    style,
    with_compiler,
):
    _at = patterns[pattern.value]
    _moved = sectors(4 * _at)
    _last = max(32, -(-(_at.max() + 1) // 8) * 8)
    with style():
        _figure = Figure(figsize=(7, 2.2), layout="constrained")
        _axes = _figure.add_subplot()
        for _first in range(0, _last, 8):
            _touched = bool(((_at >= _first) & (_at < _first + 8)).any())
            _axes.axvspan(
                _first - 0.5,
                _first + 7.5,
                0,
                0.14,
                facecolor=GREEN if _touched else "none",
                edgecolor=INK,
                linewidth=1,
            )
        _lanes = (lane + 0.5) * _last / 32 - 0.5
        for _from, _to in zip(_lanes, _at, strict=True):
            _axes.plot([_from, _to], [1, 0.16], color=BLUE, linewidth=0.9)
        _axes.plot(_lanes, np.ones(32), "o", color=BLUE, markersize=4)
        _axes.set(
            xlim=(-0.5, _last - 0.5),
            ylim=(0, 1.1),
            yticks=[0.07, 1],
            yticklabels=["sectors", "lanes"],
            xlabel="place in x",
        )
    _bytes = min(128, 4 * len(np.unique(_at)))
    _confirmed = f" The watcher counts {counted(_at)}." if with_compiler else ""
    mo.vstack(
        [
            show(
                _figure,
                alt=f"32 lanes of a warp above, memory below, cut into sectors of 8 numbers. With {pattern.value}, the lanes touch {_moved} sectors.",
            ),
            mo.md(
                f"By the formula: **{_moved} sectors**, {32 * _moved} bytes moved; the lanes want {_bytes} different bytes.{_confirmed}"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(language, mo):
    side = 8 if language == "python" else 32
    mo.md(f"""
    Now a kernel that must do both. A transpose, y = xᵀ, of a matrix of {2 * side} x {2 * side}, by blocks of {side} x {side} threads. A warp is 32 threads with neighbouring
    `threadIdx.x`{"" if side == 32 else " (here, for the simulator's sake, of 8: a card would have four rows of a block in one warp)"}.
    """)
    return (side,)


@app.cell(hide_code=True)
def _(ask, edited, mo, text_of):
    transpose_text = text_of(
        """extern "C" __global__ void transpose(const float* x, float* y, int n) {
        int column = blockIdx.x * blockDim.x + threadIdx.x;
        int row = blockIdx.y * blockDim.y + threadIdx.y;
        float value = x[row * n + column];
        y[column * n + row] = value;
    }
    """,
        """@cuda.jit
    def transpose(x, y, n):
        column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        row = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
        y[column * n + row] = x[row * n + column]
    """,
    )
    uncoalesced = ask(
        "With blocks of 32 x 32 threads: how many sectors does one warp move to write its 32 numbers?",
        ["1", "4", "8", "32"],
    )
    transpose_form = edited(transpose_text)
    mo.vstack([uncoalesced, transpose_form])
    return transpose_form, transpose_text, uncoalesced


@app.cell(hide_code=True)
def _(
    lane,
    np,
    run,
    sectors,
    side,
    told,
    transpose_form,
    transpose_text,
    with_compiler,
):
    matrix = np.arange(4 * side * side, dtype=np.float32)
    turned = matrix.reshape(2 * side, 2 * side).T.ravel()
    _text = transpose_form.value or transpose_text
    _ran = run(_text, "transpose", (2, 2), (side, side), (matrix, np.zeros_like(matrix), np.int32(2 * side)))
    if transpose_form.value is None and _ran:
        assert _ran.problem is None
        assert np.array_equal(_ran.results[0][1], turned)
    if transpose_form.value is None and with_compiler:
        _read, _write = (next(site for site in _ran.sites if site["write"] is write) for write in (False, True))
        assert _read["moved"] / _read["requests"] == sectors(4 * lane)
        assert _write["moved"] / _write["requests"] == sectors(4 * 64 * lane)
    told(_ran, _text, turned)
    return matrix, turned


@app.cell(hide_code=True)
def _(lane, reveal, sectors, uncoalesced):
    reveal(
        uncoalesced,
        "32",
        f"""The lanes of a warp have neighbouring columns. They read `x[row * n + column]`, neighbours: {sectors(4 * lane)} sectors. They write `y[column * n + row]`, which lie n numbers
        apart: {sectors(4 * 64 * lane)} sectors, of each of which 4 bytes of 32 are used. Swap `row` and `column` in the two index formulas: now the *reading* is strided. A transpose
        must turn something; so let it be turned where striding costs nothing, in shared memory.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 4 · Bank conflicts, and a pitch

    A block brings a tile in, row by row, and reads it out by columns. A row of the tile is `PITCH` numbers long in shared memory. Where do the 32 numbers of one column lie?
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    pitch = mo.ui.slider(1, 33, value=32, label="PITCH", show_value=True)
    pitch
    return (pitch,)


@app.cell(hide_code=True)
def _(
    Figure,
    ORANGE,
    counted,
    lane,
    mo,
    np,
    passes,
    pitch,
    show,
    style,
    with_compiler,
):
    _at = pitch.value * lane
    _count = passes(_at)
    with style():
        _figure = Figure(figsize=(7, 2.8), layout="constrained")
        _axes = _figure.add_subplot()
        _axes.bar(range(32), np.bincount(_at % 32, minlength=32), color=ORANGE, width=0.8)
        _axes.set(
            xlabel="bank",
            ylabel="numbers wanted of it",
            xlim=(-0.7, 31.7),
            ylim=(0, max(4, _count) * 1.1),
            xticks=range(0, 32, 4),
        )
        _axes.yaxis.get_major_locator().set_params(integer=True)
    assert all(passes(p * lane) == np.gcd(p, 32) for p in range(1, 34))
    if with_compiler:
        assert counted(_at, shared=True) == _count
    _confirmed = f" The watcher counts {counted(_at, shared=True)}." if with_compiler else ""
    mo.vstack(
        [
            show(
                _figure,
                alt=f"How many of a column's 32 numbers lie in each of the 32 banks, for a pitch of {pitch.value}: at most {_count}, so the warp needs {_count} passes.",
            ),
            mo.md(
                f"32 lanes read `tile[lane * {pitch.value}]`: **{_count} {'pass' if _count == 1 else 'passes'}**, gcd({pitch.value}, 32) = {np.gcd(pitch.value, 32)}.{_confirmed}"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(ask, edited, mo, text_of):
    tiled_text = text_of(
        """const int PITCH = 32;
    extern "C" __global__ void transpose(const float* x, float* y, int n) {
        __shared__ float tile[32 * PITCH];
        int left = blockIdx.x * 32, top = blockIdx.y * 32;
        tile[threadIdx.y * PITCH + threadIdx.x] = x[(top + threadIdx.y) * n + left + threadIdx.x];
        __syncthreads();
        y[(left + threadIdx.y) * n + top + threadIdx.x] = tile[threadIdx.x * PITCH + threadIdx.y];
    }
    """,
        """PITCH = 8
    @cuda.jit
    def transpose(x, y, n):
        tile = cuda.shared.array(8 * PITCH, float32)
        left, top = cuda.blockIdx.x * 8, cuda.blockIdx.y * 8
        i, j = cuda.threadIdx.y, cuda.threadIdx.x
        tile[i * PITCH + j] = x[(top + i) * n + left + j]
        cuda.syncthreads()
        y[(left + i) * n + top + j] = tile[j * PITCH + i]
    """,
    )
    conflicts = ask(
        "Blocks of 32 x 32, PITCH = 32. What does the tile win, and what does it cost?",
        [
            "nothing changes",
            "writes are coalesced; shared memory is passed over 32 times for each read",
            "all is as good as it can be",
        ],
    )
    tiled_form = edited(tiled_text)
    mo.vstack([conflicts, tiled_form])
    return conflicts, tiled_form, tiled_text


@app.cell(hide_code=True)
def _(
    lane,
    matrix,
    np,
    passes,
    run,
    side,
    tiled_form,
    tiled_text,
    told,
    turned,
    with_compiler,
):
    _text = tiled_form.value or tiled_text
    _ran = run(_text, "transpose", (2, 2), (side, side), (matrix, np.zeros_like(matrix), np.int32(2 * side)))
    if tiled_form.value is None and _ran:
        assert _ran.problem is None
        assert np.array_equal(_ran.results[0][1], turned)
    if tiled_form.value is None and with_compiler:
        assert all(site["moved"] == site["ideal"] for site in _ran.sites if site["memory"] == "global")
        _read = next(site for site in _ran.sites if site["memory"] == "shared" and not site["write"])
        assert _read["moved"] / _read["requests"] == passes(32 * lane) == 32
    told(_ran, _text, turned)
    return


@app.cell(hide_code=True)
def _(
    conflicts,
    lane,
    matrix,
    np,
    passes,
    reveal,
    run,
    sectors,
    side,
    text_of,
    tiled_text,
    turned,
    with_compiler,
):
    _mended = text_of(tiled_text.replace("PITCH = 32", "PITCH = 33"), tiled_text.replace("PITCH = 8", "PITCH = 9"))
    _ran = run(_mended, "transpose", (2, 2), (side, side), (matrix, np.zeros_like(matrix), np.int32(2 * side)))
    if _ran:
        assert _ran.problem is None
        assert np.array_equal(_ran.results[0][1], turned)
    if with_compiler:
        assert _ran.counts["shared_wavefronts"] == _ran.counts["shared_ideal"]
        assert all(site["moved"] == site["ideal"] for site in _ran.sites)
    reveal(
        conflicts,
        "writes are coalesced; shared memory is passed over 32 times for each read",
        f"""Both accesses to memory are now {sectors(4 * lane)} sectors. But a column of the tile lies in *one* bank: {passes(32 * lane)} passes. Make each row one number longer,
        `PITCH = 33`, and the column visits every bank once: {passes(33 * lane)} pass. The added number of each row is never read. Change it in the editor, and run.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### 5 · The ladder of the matrix product

    Four rungs, as they ship. Here each runs once, on matrices of 128 x 128, and everything is counted.
    """)
    return


@app.cell(hide_code=True)
def _(ask, matmul, np, profile, subjects, versions, with_compiler):
    rung_names = versions.VERSIONS["matmul"]
    reuse = dict(zip(rung_names, (1, 16, 64, 128), strict=True))  # how often a loaded number is used
    size = 128
    profiles = {}
    if with_compiler:
        _rng = np.random.default_rng(0)
        _a, _b = (_rng.standard_normal((size, size), np.float32) for _ in "ab")
        _problem = subjects.Problem(f"{size}", matmul, np.matmul, (_a, _b), (_a, _b))
        for _name in rung_names:
            profiles[_name] = profile(subjects.find(_name), _problem)
            assert profiles[_name].right
            assert profiles[_name].counts.load_bytes // 4 == 2 * size**3 // reuse[_name]  # as "The maths" says
            assert profiles[_name].counts.operations == 2 * size**3
    ladder_question = ask(
        "From v1 to v2 a block loads 16 times less from memory. How many of v2's multiply-adds need a read from shared memory?",
        ["one of 16", "half of them", "every one, and it needs two numbers"],
    )
    ladder_question
    return ladder_question, profiles, reuse, rung_names, size


@app.cell(hide_code=True)
def _(mo, profiles, reuse, rung_names, size, versions):
    _rows = []
    for _name in rung_names:
        _loads = 2 * size**3 // reuse[_name]
        _cells = [f"`{_name}`", versions.DESCRIPTIONS["matmul"][_name], f"{_loads:,}"]
        if profiles:
            _c = profiles[_name].counts
            _cells += [
                f"{_c.load_requests:,}",
                f"{_c.load_sectors:,}",
                f"{_c.shared_wavefronts:,}",
                f"{_c.bank_conflicts:,}",
                f"{_c.barriers:,}",
            ]
        _rows.append("| " + " | ".join(_cells) + " |")
    _counted = (
        ["requests", "sectors", "passes over shared memory", "of these, conflicts", "barriers"] if profiles else []
    )
    _head = ["rung", "what it does", "numbers loaded", *_counted]
    _table = "\n".join(["| " + " | ".join(_head) + " |", "|:---|:---|" + "---:|" * (len(_head) - 2), *_rows])
    _note = "Counted now, by the watcher." if profiles else "Without a C++ compiler: the formulas alone."
    mo.md(
        f"{_table}\n\n{_note} The command for larger problems, with all lines: `tinyresnet bench --device cuda-host --kernel matmul_v4`."
    )
    return


@app.cell(hide_code=True)
def _(ladder_question, language, np, python_rungs, reveal, run):
    if language == "python":
        _rng = np.random.default_rng(0)
        _a, _b = _rng.standard_normal((9, 11), np.float32), _rng.standard_normal((11, 5), np.float32)
        for _i, _rung in enumerate(python_rungs):
            _text = f"from __future__ import annotations\nkernel, TILE = cuda.jit, 8\n{_rung}\n"
            _ran = run(_text, f"matmul_v{_i + 1}", (1, 2), (8, 8), (_a, _b, np.zeros((9, 5), np.float32)))
            assert _ran.problem is None, _ran.problem
            assert np.allclose(_ran.results[0][2], _a @ _b, atol=1e-5)
    _simulated = (
        "v1 and v2 ran just now in the simulator, on matrices of 9 x 11 and 11 x 5, and gave NumPy's numbers. "
        if language == "python"
        else ""
    )
    reveal(
        ladder_question,
        "every one, and it needs two numbers",
        f"""{_simulated}v2 has moved the reading from memory to shared memory: `fma(tile_a[y][k], tile_b[k][x], sum)` reads two numbers for one product. Shared memory is fast, but not
        *that* fast: an SM multiplies 2 or 4 warps' worth of numbers a clock, and shared memory gives one warp's. So v3 keeps 4 x 4 sums in registers: 8 reads for 16 products. That is the
        register tile of lesson 09. v4 takes 16 bytes with each access and brings the next tiles while it multiplies.""",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **How long would that take on a card?** We cannot measure it here. What follows is a **model**, not a measurement: each part of the card works at its vendor's peak, all at the
    same time, and the busiest says how long it takes. Accesses to memory and to shared memory share one path of 128 bytes a clock (L1). It knows no waiting, no start of a kernel, no half-empty card. So it is a lower limit: it tells what a rung is *bound by*,
    and not how fast it will be.
    """)
    return


@app.cell(hide_code=True)
def _(CARDS, mo):
    card = mo.ui.dropdown(
        {value.name: key for key, value in CARDS.items()}, value="T4", label="card (vendor's figures)"
    )
    card
    return (card,)


@app.cell(hide_code=True)
def _(
    BLUE,
    CARDS,
    Figure,
    GREEN,
    GREY,
    ORANGE,
    card,
    mo,
    modelled_seconds,
    np,
    profiles,
    rung_names,
    show,
    size,
    style,
    traffic,
):
    _card = CARDS[card.value]
    _parts = {"DRAM": BLUE, "L2": GREY, "L1 and shared memory": ORANGE, "arithmetic": GREEN}

    def _modelled():
        lines = {name: modelled_seconds(traffic(profiles[name].launches[0]), _card) for name in rung_names}
        for name, line in lines.items():
            assert line.seconds == profiles[name].model(_card).seconds
        with style():
            figure = Figure(figsize=(7, 3.4), layout="constrained")
            axes = figure.add_subplot()
            for i, (part, colour) in enumerate(_parts.items()):
                values = [1e9 * (line[i] or 0) for line in lines.values()]
                axes.barh(np.arange(4) + 0.2 * (i - 1.5), values, 0.18, color=colour, label=part)
            axes.set(
                yticks=range(4),
                yticklabels=rung_names,
                xlabel="nanoseconds at the peak (a model)",
                title=f"{_card.name}: how long each part is busy",
            )
            axes.invert_yaxis()
            axes.legend()
        names = dict(zip(("dram", "l2", "shared", "flops"), _parts, strict=True))
        says = ", ".join(f"{name}: {names[line.bound]}, {1e9 * line.seconds:.0f} ns" for name, line in lines.items())
        v1, v2, v4 = (lines[f"matmul_v{i}"].seconds for i in (1, 2, 4))
        unknown = (
            " The vendor gives no figure for this card's L2, so the model leaves it out." if _card.l2 is None else ""
        )
        return mo.vstack(
            [
                show(
                    figure,
                    alt=f"Modelled time of each part of a {_card.name} for the four rungs; the longest bar counts. {says}.",
                ),
                mo.md(
                    f"""What each rung is bound by, in the model: {says}.{unknown} From v1 to v4 the limit falls by {v1 / v4:.1f}.

                    **Read a model with suspicion.** For v2 it says {v2 / v1:.2f} times v1's time: v1's repeated reads mostly hit the first cache, which is the same
                    memory as shared memory, so in the model the tiles win nothing at this size. What they win is the *waiting* (a read from a cache takes longer than the model knows), and
                    reads of matrices that no cache holds. Only a card can say how much. No figure on this page was measured on one."""
                ),
            ]
        )

    if profiles:
        _shown = _modelled()
    else:
        _ridge = _card.float32 / _card.dram
        _intensity = 2 * size**3 / (4 * 3 * size**2)
        _shown = mo.md(
            f"""The model needs the counts, so a C++ compiler. Without it, its roof alone: a {_card.name} does {_card.float32 / 1e12:g} · 10¹² operations and moves {_card.dram / 1e9:g} · 10⁹ bytes
            a second, {_ridge:.0f} operations for each byte. A product of {size} x {size} matrices, each number moved once, has {_intensity:.0f} operations a byte:
            {"the arithmetic" if _intensity > _ridge else "the memory"} would be the limit."""
        )
    _shown
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The exercise

    ```
    tinyresnet lesson start 10
    tinyresnet lesson check matmul.cu
    ```

    You write v2 yourself: a tiled matrix product of any sizes. The check needs a C++ compiler. It runs your kernel on four sizes in three orders of the threads, looks for races,
    for reads outside and for numbers nobody wrote, compares with NumPy, and counts: with tiles, enough of each sector must be used. `--hint 2` gives the next hint.

    If you have time: write the `transpose` of experiment 4 for a matrix whose sides are *no* multiples of 32. And explain, for the viva: why may `if (m >= M) return;` stand at
    the top of v1, but not of v2?

    ## What to read

    - NVIDIA, [CUDA C++ Programming Guide](https://docs.nvidia.com/cuda/cuda-c-programming-guide/): the chapter "Programming Model" (threads, blocks, memories), and
      [Best Practices Guide](https://docs.nvidia.com/cuda/cuda-c-best-practices-guide/): "Coalesced Access to Global Memory", "Shared Memory and Memory Banks".
    - M. Harris, [An efficient matrix transpose in CUDA C/C++](https://developer.nvidia.com/blog/efficient-matrix-transpose-cuda-cc/) (NVIDIA, 2013): the transpose with
      a padded tile, measured on cards. Experiments 3 and 4 follow its idea.
    - M. Harris, *Optimizing parallel reduction in CUDA* (NVIDIA, 2007): the tree of experiment 2, climbed in seven steps.
    - V. Volkov, *Better performance at lower occupancy* (GTC 2010): why registers, and not more threads, make a product fast (v3).
    - S. Boehm, [How to optimize a CUDA matmul kernel](https://siboehm.com/articles/22/CUDA-MMM) (2022): a similar ladder, measured on a card.
    - L. Lamport, [Time, clocks, and the ordering of events in a distributed system](https://doi.org/10.1145/359545.359563) (CACM 1978): the section on the partial ordering, by which the
      watcher decides what a race is.
    - S. Williams, A. Waterman, D. Patterson, [Roofline](https://doi.org/10.1145/1498765.1498785) (CACM 2009): the model.
    - In this project: `docs/cuda.md`, `kernels/tinyresnet_kernels/cuda/*.cu`, and `tinyresnet bench --device cuda-host`.
    """)
    return


if __name__ == "__main__":
    app.run()
