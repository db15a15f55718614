"""The stepper's screen as lines of text: 80 x 24 characters hold every step, larger ones more terms and a second plane.

Step 41 of 48: back through the convolution: ...          the sentence
conv1 relu maxpool layer1[fork conv1 <conv2< bn2 ...      the network, and the bead on it
in: dy  kept: x  parameters: weight  out: dx dweight      the step's tensors
dx: picture 0, channel 0         dy: picture 0, ...       planes: the cursor's, and the marked factor's
dx[0,0,1,2] = +0.75   sum over the outputs ...            the arithmetic
"""

from __future__ import annotations

from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from ..words import sentence, ways
from . import arithmetic
from .panes import HERE, NEGATIVE, POSITIVE, QUIET, STRONG, pane
from .places import groups
from .planes import MOST
from .walk import Walk

DIGITS = 4
GAP = 3  # between two planes
LEAST = 3  # columns of a second plane


def draw(walk: Walk, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` characters."""
    if walk.mode in ("help", "end"):
        lines = _help(walk, width) if walk.mode == "help" else _end(walk, width)
    else:
        lines = [*_top(walk, width), *_tensors(walk, width), *_planes(walk, width)]
        lines += _arithmetic(walk, width, height - len(lines))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines[:height]


def wrapped(text: str, width: int, style: str = "") -> list[Text]:
    """The text in lines; at spaces, or anywhere where it has none, as in Chinese."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and cell_len(f"{line} {word}") <= width:
            line = f"{line} {word}"
            continue
        lines += [line] if line else []
        line = word
        while cell_len(line) > width:
            fits = next(n for n in range(len(line), 0, -1) if cell_len(line[:n]) <= width or n == 1)
            lines.append(line[:fits])
            line = line[fits:]
    return [Text(one, style=style) for one in (*lines, line) if one]


def _top(walk: Walk, width: int) -> list[Text]:
    """The sentence and the map; a message or the prompt stands in the map's line, a longer message in both their places."""
    said = wrapped(sentence(walk.trace, walk.step, walk.language), width, STRONG)
    if walk.mode == "jump":
        prompt = walk.words["prompt"].format(typed=walk.typed, found="  ".join(walk.matches))
        return [*said, Text(prompt, style=HERE)]
    message = wrapped(walk.message, width, HERE)
    if message:
        return [*said, *message] if len(message) == 1 else message
    hint = Text(f"  {walk.words['hint']}", style=QUIET)
    way = _map(walk, width - hint.cell_len)
    way.pad_right(max(0, width - hint.cell_len - way.cell_len))
    return [*said, way + hint]


def _map(walk: Walk, width: int) -> Text:
    """The layers in the order of the forward pass, blocks in brackets; of a deep network what lies around the bead."""
    paths = list(dict.fromkeys(step.path for step in walk.trace))
    arrow = ">" if walk.step.direction == "forward" else "<"
    line, here = Text(), 0
    for block, members in groupby(paths, lambda path: path.rpartition(".")[0]):
        line.append(f"{block}[" if block else "", style=QUIET)
        for i, path in enumerate(members):
            name = path.rpartition(".")[2] or walk.step.kind
            line.append(" " if i else "")
            here = len(line) if path == walk.step.path else here
            line.append(*((f"{arrow}{name}{arrow}", HERE) if path == walk.step.path else (name,)))
        line.append("] " if block else " ", style=QUIET)
    line.rstrip()
    start = min(max(0, here - width // 2 + 5), max(0, len(line) - width))
    cut = line[start : start + width]
    if start:
        cut = Text("…", style=QUIET) + cut[1:]
    return cut[:-1] + Text("…", style=QUIET) if start + width < len(line) else cut


def _tensors(walk: Walk, width: int) -> list[Text]:
    """The names of the step's tensors by what they are to it, the chosen one marked."""
    lines = [Text()]
    for group, names in groups(walk.explainer, walk.cell.step).items():
        for i, name in enumerate(names):
            word = Text().append("" if i else f"{walk.words[group]}: ", style=QUIET)
            word.append(*((f"[{name}]", HERE) if name == walk.cell.name else (name,)))
            space = "" if not lines[-1] else " " if i else "  "
            if lines[-1].cell_len + len(space) + word.cell_len > width:
                lines.append(word)
            else:
                lines[-1].append(space).append_text(word)
    return lines


def _planes(walk: Walk, width: int) -> list[Text]:
    """The plane under the cursor; beside it, where there is room, the plane that the marked factor is read from, its cells marked."""
    left = pane(walk.explainer, walk.cell, walk.words, {walk.cell.at: "["})
    room = width - max(line.cell_len for line in left) - GAP
    source = walk.marked and walk.marked.cell
    if not source:
        return left
    lit = {
        factor.cell.at: "*"
        for term in walk.found.terms
        for factor in term.factors
        if factor.cell and factor.cell[:2] == source[:2] and factor.cell.at[:-2] == source.at[:-2]
    }
    for columns in range(MOST, LEAST - 1, -1):
        right = pane(walk.explainer, source, walk.words, lit | {source.at: ">"}, columns, ranges=False)
        if max(line.cell_len for line in right) <= room:
            return _beside(left, right)
    return left


def _beside(left: list[Text], right: list[Text]) -> list[Text]:
    at = max(line.cell_len for line in left) + GAP
    for line in left:
        line.pad_right(at - line.cell_len)
    blank = Text(" " * at)
    rows = max(len(left), len(right))
    return [
        (left[i] if i < len(left) else blank.copy()) + (right[i] if i < len(right) else Text()) for i in range(rows)
    ]


def _arithmetic(walk: Walk, width: int, room: int) -> list[Text]:
    """Which cell, its rule, and as many of its terms as there is room for, around the marked one."""
    head = arithmetic.head(walk.explainer, walk.cell, walk.found, walk.language, DIGITS)
    lines = [line for text in head for line in wrapped(text, width, STRONG)]
    ending = [Text(f"   {text}") for text in arithmetic.ending(walk.found, walk.language, DIGITS)]
    return [*lines, *term_lines(walk, width, max(1, room - len(lines) - len(ending))), *ending]


def term_lines(walk: Walk, width: int, room: int) -> list[Text]:
    """The terms, one line each if they fit with their partial sums, or without, else two lines each."""
    count = len(walk.found.terms)
    called = ways(walk.trace, walk.trace[walk.found.cell.step])
    forms = [(1, True), (1, False), (2, True), (2, False)]
    if 2 * count <= room:
        forms.remove((1, False))  # there is room for the sums
    for tall, sums in forms:
        most = max(1, room // tall if count * tall <= room else (room - 1) // tall)
        start = min(max(0, walk.place.term - most // 2), max(0, count - most))
        span = slice(start, start + most)
        block = arithmetic.lines(walk.found, DIGITS, span, called=called)
        lines = _block(walk, block, start, width, tall, sums)
        if all(line.cell_len <= width for line in lines):
            break
    if most < count:
        lines.append(Text(walk.words["terms"].format(first=start + 1, last=span.stop, count=count), style=QUIET))
    return lines


def _block(walk: Walk, block: list[arithmetic.Line], start: int, width: int, tall: int, sums: bool) -> list[Text]:
    """Some terms in columns: number, share, symbols = values = product, sum."""
    wide = {field: max((cell_len(text) for text in column), default=0) for field, column in _columns(block).items()}
    lines = []
    for number, one in enumerate(block, start):
        here = number == walk.place.term
        label = Text(f"{'>' if here else ' '}{number + 1:>2} ", style=HERE if here else "")
        if wide["part"]:
            label.append(f"{one.part.ljust(wide['part'])} ", style=QUIET)
        symbols = Text(one.symbols.ljust(wide["symbols"] if tall == 1 else 0))
        if tall == 2 and label.cell_len + symbols.cell_len > width:
            symbols = Text(one.symbols.replace(" × ", "×"))
        if here and walk.marked:
            at = one.symbols.find(walk.marked.symbol)
            symbols.stylize("underline", at, at + len(walk.marked.symbol))
        figures = Text(f" = {one.values.rjust(wide['values'] if tall == 1 else 0)}" if " × " in one.values else "")
        sign = NEGATIVE if one.product.startswith("-") else POSITIVE
        figures.append(" = ").append(one.product.rjust(wide["product"] if tall == 1 else 0), style=sign)
        if sums and one.total:
            figures.append(f"   {walk.words['sum']} {one.total.rjust(wide['total'])}", style=QUIET)
        lines += [label + symbols + figures] if tall == 1 else [label + symbols, Text("     ") + figures]
    return lines


def _columns(block: list[arithmetic.Line]) -> dict[str, tuple[str, ...]]:
    return (
        dict(zip(arithmetic.Line._fields, zip(*block, strict=True), strict=True))
        if block
        else dict.fromkeys(arithmetic.Line._fields, ())
    )


def _help(walk: Walk, width: int) -> list[Text]:
    words = walk.words
    keys = max(cell_len(key) for key, _ in words["help"]) + 2
    rows = [Text(key, style=STRONG) + " " * (keys - cell_len(key)) + what for key, what in words["help"]]
    parts = [*wrapped(words["help_title"], width, STRONG), Text(), *rows, Text()]
    return [*parts, *wrapped(words["help_marks"], width), Text(), Text(words["any_key"], style=QUIET)]


def _end(walk: Walk, width: int) -> list[Text]:
    said = [*wrapped(walk.words["end"], width, STRONG), Text(), *wrapped(walk.finale, width), Text()]
    return [*said, Text(walk.words["any_key"], style=QUIET)]
