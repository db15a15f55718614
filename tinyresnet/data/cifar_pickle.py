"""Reads the pickles of CIFAR's python archives without unpickling: nothing is imported and nothing is called.

A pickle is a program for a small stack machine. This is such a machine, with only the instructions that dicts, lists,
tuples, strings, bytes, integers and NumPy arrays of bytes need. Names stay names; the few calls that build an array are
recognised by them (pickle_patterns.py). Any other instruction, name or call is refused.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import warnings
from typing import Any

from ..errors import InputError
from .pickle_patterns import NAMES, Blank, Name, RefusedError, call, fill

MAX_STEPS = 2_000_000  # the largest official file needs about 300,000
MAX_BYTES = 256 << 20  # the largest official file has 155 MB

INSTRUCTIONS = {instruction.code: instruction for instruction in pickletools.opcodes}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
PYTHON2_STRINGS = {"BINSTRING", "SHORT_BINSTRING"}
ARGUMENT_IS_VALUE = NUMBERS | TEXTS | BYTES | PYTHON2_STRINGS


def read_pickle(data: bytes, source: str) -> dict[str, Any]:
    """The dictionary in `data`; its values are lists, tuples, str, bytes, int, bool, None, and uint8 arrays.

    Python 2's strings come as bytes. `source` names the file in errors. Raises InputError for anything else, within
    bounded time and memory.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{source} has {len(data)} bytes, a CIFAR pickle has at most {MAX_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in text
            return _plain(_Machine(data).run())
    except RefusedError as error:
        raise InputError(f"{source} is not a CIFAR pickle: {error}") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AttributeError) as error:
        raise InputError(f"{source} is not a CIFAR pickle: it is damaged or cut short") from error


def _plain(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise RefusedError("it holds no dictionary")
    values = [item.contents if isinstance(item, Blank) else item for item in value.values()]
    keys = [key.decode("ascii") if isinstance(key, bytes) else str(key) for key in value]
    return dict(zip(keys, values, strict=True))


class _Machine:
    """A stack, the stacks set aside at each mark, and the memo. Each `do_` method is one instruction."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.stack: list[Any] = []
        self.aside: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied, self.copies_allowed = 0, 4 * len(data)  # bytes that calls have copied

    def run(self) -> Any:
        """Run to the end; the value that is left."""
        for _ in range(MAX_STEPS):
            code = self.file.read(1).decode("latin-1")
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise RefusedError(f"it has an unknown instruction {code!r}" if code else "it is cut short")
            name = instruction.name
            if name == "STOP":
                return self.stack.pop()
            if name == "STRING":  # read here, for pickletools takes ASCII alone
                self.stack.append(_quoted(self.file.readline()))
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in ARGUMENT_IS_VALUE:
                assert instruction.arg is not None
                value = instruction.arg.reader(self.file)
                self.stack.append(value.encode("latin-1") if name in PYTHON2_STRINGS else value)
            elif do := getattr(self, f"do_{name.lower()}", None):
                do(*([instruction.arg.reader(self.file)] if instruction.arg else []))
            else:
                raise RefusedError(f"the instruction {name} is not allowed")
        raise RefusedError(f"it has more than {MAX_STEPS} instructions")

    def do_proto(self, version: int) -> None:
        if version > 5:
            raise RefusedError(f"protocol {version} is unknown")

    def do_frame(self, length: int) -> None:
        """Frames only help a reader to buffer."""

    def do_mark(self) -> None:
        self.aside.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """What was put on the stack since the last mark, taken off it."""
        items, self.stack = self.stack, self.aside.pop()
        return items

    def do_empty_tuple(self) -> None:
        self.stack.append(())

    def do_tuple(self) -> None:
        items = self.since_mark()
        self.stack.append(tuple(items))

    def take(self, count: int) -> list[Any]:
        """The top `count` values, taken off the stack."""
        if len(self.stack) < count:
            raise RefusedError("it takes more from the stack than there is")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def do_tuple1(self) -> None:
        self.stack.append(tuple(self.take(1)))

    def do_tuple2(self) -> None:
        self.stack.append(tuple(self.take(2)))

    def do_tuple3(self) -> None:
        self.stack.append(tuple(self.take(3)))

    def do_empty_list(self) -> None:
        self.stack.append([])

    def do_list(self) -> None:
        items = self.since_mark()
        self.stack.append(items)

    def do_append(self) -> None:
        self.extend(self.take(1))

    def do_appends(self) -> None:
        self.extend(self.since_mark())

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise RefusedError("it appends to what is no list")
        self.stack[-1].extend(items)

    def do_empty_dict(self) -> None:
        self.stack.append({})

    def do_dict(self) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.update(items)

    def do_setitem(self) -> None:
        self.update(self.take(2))

    def do_setitems(self) -> None:
        self.update(self.since_mark())

    def update(self, items: list[Any]) -> None:
        """Put keys and values, which take turns in `items`, into the dict on top of the stack."""
        keys, values = items[::2], items[1::2]
        if type(self.stack[-1]) is not dict or not all(type(key) in (str, bytes) for key in keys):
            raise RefusedError("it fills what is no dictionary, or with keys that are no strings")
        self.stack[-1].update(zip(keys, values, strict=True))

    def do_memoize(self) -> None:
        self.do_put(len(self.memo))

    def do_put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def do_get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    do_binput = do_long_binput = do_put
    do_binget = do_long_binget = do_get

    def do_global(self, name: str) -> None:
        if name not in NAMES:
            raise RefusedError(f"the name {name.replace(' ', '.')[:60]!r} (instruction GLOBAL) is not allowed")
        self.stack.append(Name(NAMES[name]))

    def do_stack_global(self) -> None:
        module, name = self.take(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise RefusedError("the instruction STACK_GLOBAL finds no names")
        self.do_global(f"{module} {name}")

    def do_reduce(self) -> None:
        name, arguments = self.take(2)
        result = call(name, arguments)
        self.copied += len(result) if isinstance(result, bytes) else 0
        if self.copied > self.copies_allowed:
            raise RefusedError("it encodes more text than it has")
        self.stack.append(result)

    def do_build(self) -> None:
        [state] = self.take(1)
        fill(self.stack[-1], state)


def _quoted(line: bytes) -> bytes:
    """The bytes that Python 2's `repr` wrote: 'abc\\n' with its quotes."""
    text = line.rstrip(b"\r\n")
    if len(text) < 2 or not line.endswith(b"\n") or text[:1] not in (b"'", b'"') or text[:1] != text[-1:]:
        raise RefusedError("it has a string without quotes")
    decoded, _ = codecs.escape_decode(text[1:-1])
    return decoded
