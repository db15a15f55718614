"""The editions of a lesson are one lesson: the same cells and code, with Chinese where the English one speaks to the reader."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from tinyresnet.course import places

ENGLISH, CHINESE = places.lesson_files(), places.lesson_files("zh")
HAN = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")  # with the full-width punctuation
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(http[^)]*\)")
MARKS = re.compile(r"^ *(#+ |\||- |\d+\. |> )", re.MULTILINE)  # headings, rows of tables, items, quotes
PARAGRAPH = re.compile(r"(?:[A-Za-z]+(?:['’-][A-Za-z]+)*[,;:.?!]?\s+){12}[A-Za-z]+")  # 13 English words in a row
WORDS = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
TRANSLATED = ("reveal", "widget")  # they speak themselves: in the Chinese edition they are told its language
SPEAKING = ("md", "ask", "reveal")

every_pair = pytest.mark.parametrize("number", CHINESE, ids=lambda number: f"{number:02}")


def text_of(lesson):
    return lesson.path.read_text(encoding="utf-8")


def named(call):
    """What a call calls: `md` of mo.md(...), `widget` of _widget(...)."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name.removeprefix("_")


def is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def literal(node):
    """What a string, or a string with expressions in it, says between the expressions."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant))


def texts_in(tree):
    """The strings of a tree, each once: not again in its parts."""
    found = [node for node in ast.walk(tree) if is_text(node)]
    parts = {id(part) for node in found if isinstance(node, ast.JoinedStr) for part in node.values}
    return sorted((node for node in found if id(node) not in parts), key=lambda node: (node.lineno, node.col_offset))


def prose(text):
    return FORMULA.sub(" . ", LINK.sub(" . ", CODE.sub(" . ", text)))


def differences(english, chinese):
    """Where two sources differ in more than their words, each with its line in the Chinese one."""
    there = ast.parse(chinese)
    untold = []
    for call in (node for node in ast.walk(there) if isinstance(node, ast.Call) and named(node) in TRANSLATED):
        others = [keyword for keyword in call.keywords if keyword.arg != "language"]
        if len(others) == len(call.keywords):
            untold.append(f'line {call.lineno}: {named(call)} without language="zh"')
        call.keywords = others
    return untold + _nodes(ast.parse(english), there, 1)


def _nodes(one, other, line):
    line = getattr(other, "lineno", line)
    if is_text(one) and is_text(other):
        return _texts(one, other, line)
    if isinstance(one, ast.AST) and type(one) is type(other):
        return [found for name in one._fields for found in _nodes(getattr(one, name), getattr(other, name), line)]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [found for pair in zip(one, other, strict=True) for found in _nodes(*pair, line)]
    return [] if one == other else [f"line {line}: other code than in the English edition"]


def _texts(one, other, line):
    found, (said, translated) = [], (literal(one), literal(other))
    if said != translated:
        if not (said and HAN.search(translated)):
            found.append(f"neither the English nor Chinese: {translated!r}")
        for what, pattern in (("links", LINK), ("marks of Markdown", MARKS)):
            if Counter(pattern.findall(said)) != Counter(pattern.findall(translated)):
                found.append(f"other {what}")
        if set(CODE.findall(said)) != set(CODE.findall(translated)):
            found.append(f"other code: {set(CODE.findall(said)) ^ set(CODE.findall(translated))}")
        if _formulas(said) != _formulas(translated):
            found.append(f"other formulas: {_formulas(said) ^ _formulas(translated)}")
        if len(re.findall(r"\n\s*\n", said)) != len(re.findall(r"\n\s*\n", translated)):
            found.append("another number of paragraphs")
    ours, theirs = ([part for part in getattr(node, "values", ()) if not is_text(part)] for node in (one, other))
    for part in ours:  # Chinese may want another order
        twin = next((k for k, candidate in enumerate(theirs) if not _nodes(part, candidate, line)), None)
        if twin is None:
            found.append(f"{{{ast.unparse(part.value)}}} is missing")
        else:
            del theirs[twin]
    found += [f"{{{ast.unparse(part.value)}}} is not in the English edition" for part in theirs]
    return [f"line {line}: {what}" for what in found]


def _formulas(text):
    """The formulas without the words in them."""
    return {
        " ".join(re.sub(r"\\text\{+[^}]*\}+", "", formula).split()) for formula in FORMULA.findall(CODE.sub("", text))
    }


def untranslated(chinese):
    """What is still English: a paragraph anywhere, or words said to the reader without a Chinese one among them."""
    tree = ast.parse(chinese)
    found = [node for node in texts_in(tree) if PARAGRAPH.search(prose(literal(node)))]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        said = [*call.args] if named(call) in SPEAKING else []
        said += [keyword.value for keyword in call.keywords if keyword.arg == "alt"]
        texts = [node for argument in said for node in texts_in(argument)]
        found += [node for node in texts if WORDS.search(prose(literal(node))) and not HAN.search(literal(node))]
    return [f"line {node.lineno}: {literal(node)[:80]!r}" for node in found]


@every_pair
def test_same_cells_and_code(number):
    assert CHINESE[number].path.name == ENGLISH[number].path.name
    assert differences(text_of(ENGLISH[number]), text_of(CHINESE[number])) == []
    assert (CHINESE[number].minutes, CHINESE[number].needs) == (ENGLISH[number].minutes, ENGLISH[number].needs)


@every_pair
def test_speaks_chinese(number):
    source = text_of(CHINESE[number])
    assert untranslated(source) == []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and named(node) == "md"]
    assert sum(bool(HAN.search(ast.unparse(call))) for call in calls) > 10


def headings(lesson):
    texts = map(literal, texts_in(ast.parse(text_of(lesson))))
    return [found for text in texts for found in re.findall(r"^ *## (.+)", text, re.MULTILINE)]


def test_headings_are_the_same_seven_in_every_lesson():
    assert len({tuple(headings(lesson)) for lesson in CHINESE.values()}) == 1
    assert len(headings(next(iter(CHINESE.values())))) == 7
    assert all(HAN.search(heading) for heading in headings(CHINESE[6]))


BROKEN = {
    "a number of the code": ("w1, w2 = -1.0, 2.0", "w1, w2 = -1.0, 3.0"),
    "a cell": ("@app.cell(hide_code=True)\ndef _(mo):", "def _(mo):"),
    "a key": ('_grads["conv1.weight"]', '_grads["conv2.weight"]'),
    "an expression in a text": ("{measured:.0f}", "{measured:.1f}"),
    "an empty string": ('return "正确"', 'return ""'),
    "the language": (', language="zh"', ""),
    "a command": ("tinyresnet lesson start 06", "tinyresnet lesson start 07"),
    "a link": ("abs/1512.03385", "abs/1512.03386"),
    "a formula": ("$z = F(x) + S(x)$", "$z = F(x) - S(x)$"),
    "a bullet": ("    - 从数值上", "    从数值上"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_difference_would_be_seen(broken):
    source = text_of(CHINESE[6])
    assert BROKEN[broken][0] in source
    assert differences(text_of(ENGLISH[6]), source.replace(*BROKEN[broken], 1))


def test_english_would_be_seen():
    source = text_of(ENGLISH[6])
    assert len(untranslated(source)) > 20
