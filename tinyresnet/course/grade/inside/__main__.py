"""The student's process: loads the file that the judge sends, calls what the judge asks for, sends back what came out.

Run as `python -I -S -B inside/__main__.py`. Requests come on stdin, answers go to what was stdout; what the student prints goes to stderr.
It is the student's process: its arrays are compared, never believed. What it says of its own manners is only as honest as the file is.
"""

import os
import sys
import time
import types
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
_settings = sys.argv[1:]
sys.path.append(_settings[0])  # where NumPy is; taken off again once it is loaded, since other packages may be there

import guard  # type: ignore[import-not-found]  # noqa: E402
import wire  # type: ignore[import-not-found]  # noqa: E402

MOST_BYTES = 1 << 30
MOST_TEXT, MOST_CODE = 300, 100
STATE: dict[str, Any] = {}


def main(folder: str, memory: int, seconds: int, user: int) -> None:
    """Answer requests until there are no more."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    os.close(0)
    guard.become(user if user >= 0 else None)
    guard.die_with_parent()  # after the change of user, which would take it back
    inside = sys.path[0]
    sys.path[:] = [path for path in sys.path if path not in (inside, folder)]
    packages = [os.path.join(folder, name) for name in ("numpy", "numpy.libs")]  # noqa: PTH118
    sys.argv[1:] = []
    guard.limit(memory, seconds)
    guard.lock(sys.path, packages)

    def read(size: int) -> bytes:
        parts = []
        while size and (part := os.read(requests, min(size, 1 << 20))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    send({"id": 0}, sys.version.split()[0], answers)
    while (frame := wire.unpack(read, MOST_BYTES)) is not None:
        header, value = frame
        guard.refused.clear()
        began = time.perf_counter()
        try:
            extra, result = DO[header["do"]](header["name"], value)
        except BaseException as error:
            extra, result = {"error": told(error)}, None
        more = {"id": header["id"], "refused": guard.refused[:4], "seconds": time.perf_counter() - began}
        try:
            send(more | extra, result, answers)
        except (wire.WireError, MemoryError) as error:
            send(more | {"error": {"kind": "answer", "text": str(error)[:MOST_TEXT]}}, None, answers)


def send(header: dict[str, Any], value: object, to: int) -> None:
    """Write a frame, all of it."""
    rest = memoryview(wire.pack(header, value))
    while rest:
        rest = rest[os.write(to, rest) :]


def load(name: str, source: Any) -> tuple[dict[str, Any], object]:
    """Run the file as a module of its own; the names of its functions."""
    import linecache

    text = bytes(source)
    lines = text.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[name] = (len(text), None, lines, name)  # so that a traceback can show a line
    module = types.ModuleType("submission")  # never the name of a module that something else needs
    module.__file__ = name
    STATE["file"], STATE["module"] = name, module
    sys.modules[module.__name__] = module
    try:
        code = compile(text, name, "exec")
    except SyntaxError:
        guard.refused.clear()  # Python looked for the file itself, to show its line
        raise
    exec(code, module.__dict__)
    return {}, [key for key, one in list(module.__dict__.items()) if isinstance(one, types.FunctionType)][:500]


def call(name: str, args: Any) -> tuple[dict[str, Any], object]:
    """Call a function; which arguments it has changed goes with what it gives."""
    function = STATE["module"].__dict__.get(name)
    if not callable(function):
        return {"error": {"kind": "missing", "text": ""}}, None
    before = bytes_of(args)
    result = function(*args)
    after = bytes_of(args)
    return {"changed": [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]}, result


def look_up(name: str, _: object) -> tuple[dict[str, Any], object]:
    """A value of the module: a number, a dict of numbers."""
    found = STATE["module"].__dict__
    return ({}, found[name]) if name in found else ({"error": {"kind": "missing", "text": ""}}, None)


def bytes_of(args: Any) -> list[Any]:
    """Of each argument its arrays' bytes."""
    found = []
    for one in args:
        arrays: list[bytes] = []
        found.append((repr(wire.encode(one, arrays)), arrays))
    return found


def told(error: BaseException) -> dict[str, Any]:
    """An exception in plain words: its type, its message, and the last line of the student's own file that it went through."""
    where, text = None, ""
    kinds = {NotImplementedError: "unwritten", MemoryError: "memory", SystemExit: "exit", RecursionError: "recursion"}
    kind = next((name for one, name in kinds.items() if isinstance(error, one)), "raised")
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename == STATE.get("file"):
            where = (step.tb_lineno, code.co_name)
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename == STATE.get("file"):
        where = (error.lineno or 0, "")
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)[:MOST_TEXT]
    except BaseException:
        text = "(its message cannot be shown)"
    line = ""
    if where:
        import linecache

        line = linecache.getline(STATE["file"], where[0]).strip()[:MOST_CODE]
    found = {"kind": kind, "type": type(error).__name__[:80], "text": text, "code": line}
    return found | ({"line": where[0], "function": where[1][:80]} if where else {})


DO = {"load": load, "call": call, "look up": look_up}

if __name__ == "__main__":
    main(_settings[0], *map(int, _settings[1:]))
