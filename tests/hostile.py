# ruff: noqa: E501 - one submission a line
"""Submissions that want to crash, hang, outlive or deceive the grader, or to read and reach what is not theirs.

Each is the relu exercise with a good `relu_forward` and a hostile rest; `said` is a pattern of what the report says of `relu_backward`.
`wall`: what only the outer wall stops, and a process without one must not be given.
"""

from __future__ import annotations

from typing import NamedTuple

HEAD = """
import numpy as np

def relu_forward(x):
    return np.maximum(x, 0), x

"""


class Hostile(NamedTuple):
    name: str
    code: str
    said: str
    points: float = 0
    forward: float = 1
    wall: bool = False


def backward(body: str, before: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{HEAD}{before}\ndef relu_backward(dy, x):\n{lines}\n"


FRAME = """
import json, os
def frame(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "big") + text + data
def everywhere(data):
    for fd in range(3, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
"""
UNHEARD = "import sys, subprocess\nsys.audit = lambda *a: None\n"  # so that the inner wall does not hear of a process

HOSTILE = (
    # never ends
    Hostile("a loop without end", backward("while True: pass"), "no answer after"),
    Hostile("a loop while it is loaded", HEAD + "while True: pass", "no answer after", forward=0),
    Hostile("a loop in an exception's message", backward("raise E()", "class E(Exception):\n    def __str__(self):\n        while True: pass"), "no answer after"),
    Hostile("all signals caught", backward("while True: pass", "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, lambda *a: None)\n    except (OSError, ValueError): pass"), "no answer after"),
    Hostile("one long C call", backward("return 9 ** 9 ** 9 * dy"), "no answer after|memory"),
    Hostile("sleeps", backward("import time\ntime.sleep(1000)"), "no answer after"),
    # ends at once
    Hostile("sys.exit", backward("import sys\nsys.exit(0)"), "calls sys.exit"),
    Hostile("os._exit", backward("import os\nos._exit(0)"), "ended by itself with exit code 0"),
    Hostile("sys.exit while it is loaded", HEAD + "import sys; sys.exit()", "calls sys.exit", forward=0),
    Hostile("an interrupt", backward("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    Hostile("a segmentation fault", backward("import faulthandler\nfaulthandler._sigsegv()"), "died of a segmentation fault"),
    Hostile("ctypes", backward("import ctypes\nreturn ctypes.string_at(0)"), "tries to reach into memory by ctypes"),
    Hostile("an abort", backward("import os\nos.abort()"), "died of an abort"),
    Hostile("recursion", backward("return relu_backward(dy, x)"), "calls itself without end"),
    Hostile("recursion without limit", backward("import sys\nsys.setrecursionlimit(10**9)\nreturn relu_backward(dy, x)"), "no answer|memory|died"),
    Hostile("no Python", "this is no Python", "SyntaxError: invalid syntax, line 1", forward=0),
    Hostile("null bytes", HEAD + "\0", "null bytes", forward=0),
    Hostile("brackets", HEAD + "(" * 100_000, "too many nested|SyntaxError|memory", forward=0),
    Hostile("a tower of minus signs", HEAD + "x = " + "-" * 200_000 + "1", "Recursion|memory|died|calls itself", forward=0),
    # takes all there is
    Hostile("a memory bomb", backward("return np.ones(10**11)"), "more memory than is allowed"),
    Hostile("a slow memory bomb", backward("all = []\nwhile True: all.append(np.ones(10**7))"), "more memory than is allowed|no answer"),
    Hostile("huge output", backward("while True: print('x' * 10**6)"), "prints without end"),
    Hostile("a fork bomb", backward("import os\nwhile True: os.fork()"), "tries to start a process"),
    Hostile("a fork bomb unheard", backward("while True: subprocess.Popen(['/bin/sh'])", UNHEARD), "BlockingIOError|unavailable", wall=True),
    Hostile("threads that stay", backward("import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\nreturn dy * (x > 0)"), "can't start new thread", wall=True),
    Hostile("a grandchild as a daemon", backward("import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\nreturn dy"), "tries to start a process"),
    Hostile("a shell", backward("import os\nos.system('sleep 1000 &')\nreturn dy"), "tries to start a process"),
    Hostile("fills the disk", backward("f = open('/t' 'mp/full', 'wb')\nwhile True: f.write(bytes(10**7))"), "tries to write to the file /[t]mp/full"),
    Hostile("fills memory files", backward("import os\nfor i in range(100):\n    f = os.memfd_create('x')\n    os.write(f, bytes(10**8))\nreturn dy"), "OSError|too large|died"),
    # looks elsewhere
    Hostile("reads /etc/passwd", backward("return open('/etc/passwd').read()"), "tries to read /etc/passwd"),
    Hostile("reads it lower down", backward("import os\nreturn os.read(os.open('/etc/passwd', os.O_RDONLY), 100)"), "tries to read /etc/passwd"),
    Hostile("reads the solution", backward("import os\nraise Exception(open(SOLUTION).read())"), "tries to read"),
    Hostile("reads the library", backward("import importlib.machinery as m\nreturn m.SourceFileLoader('r', LIBRARY).load_module().relu_backward(dy, x)"), "tries to read"),
    Hostile("opens a socket", backward("import socket\nsocket.create_connection(('1.1.1.1', 80))"), "tries to use the network"),
    Hostile("kills the judge", backward("import os\nos.kill(os.getppid(), 9)\nreturn dy"), "tries to send a signal"),
    Hostile("kills the judge unheard", backward("import os, signal\nfor pid in [os.getppid(), 1, JUDGE]:\n    try: signal.pidfd_send_signal(os.pidfd_open(pid), 9)\n    except OSError: pass\nreturn dy"), "wrong", wall=True),
    Hostile("prints the environment", backward("import os\nraise Exception(sorted(os.environ))"), r"Exception: \['LANG', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'"),
    # has others do the work
    Hostile("imports the library", backward("import tinyresnet\nreturn tinyresnet.layers.relu.relu_backward(dy, x)"), "calls a library in place of an answer: import tinyresnet"),
    Hostile("imports torch at the top", "import torch\n" + HEAD, "calls a library in place of an answer: import torch", forward=0),
    Hostile("imports by a trick", backward("import importlib\nreturn importlib.import_module('to' + 'rch').relu"), "calls a library in place of an answer: import torch"),
    Hostile("takes the finder off", backward("import sys\nsys.meta_path.pop(0)\nsys.path.append(PACKAGES)\nimport tinyresnet"), "tries to read|ModuleNotFoundError"),
    # lies
    Hostile("writes answers itself", backward("everywhere(frame({'id': 1, 'value': 1.0, 'nbytes': 0}))\nreturn dy * (x > 0)", FRAME), "answers"),
    Hostile("writes nonsense", backward("everywhere(b'nonsense' * 100)", FRAME), "impossible length"),
    Hostile("promises too much", backward("everywhere(frame({'id': 1, 'nbytes': 10**15}))", FRAME), "is too large: 1,000,000,000,000,000 bytes"),
    Hostile("promises less than it sends", backward("everywhere(frame({'id': 1, 'value': {'array': '<f8', 'shape': [1000, 1000]}, 'nbytes': 8}, bytes(8)))", FRAME), "fewer bytes"),
    Hostile("a deep header", backward("everywhere(len(b'[' * 60000).to_bytes(4, 'big') + b'[' * 60000)", FRAME), "no JSON"),
    Hostile("closes its lines", backward("import os\nos.closerange(0, 64)"), "closed its line|died|ended"),
    Hostile("replaces NumPy's functions", backward("return np.zeros(3)", "np.array_equal = np.allclose = lambda *a, **k: True\nnp.abs = np.zeros_like\nnp.testing.assert_allclose = print"), "dx has shape"),
    Hostile("replaces builtins", backward("return dy * (x > 0) + 1", "import builtins\nbuiltins.abs = builtins.max = lambda *a, **k: 0"), "wrong"),
    Hostile("breaks builtins", backward("return dy", "import builtins\nbuiltins.isinstance = builtins.len = None"), "ended by itself", forward=0),
    Hostile("rewrites the judge's program", backward("return 1", "import sys\nm = sys.modules['__main__']\nm.told = m.bytes_of = lambda *a: []\nm.wire.encode = lambda *a: 'right'"), "dx is a str", forward=0),
    Hostile("an array that lies", backward("return Lie()", "class Lie:\n    def __array__(self, *a, **k): return np.zeros(1)\n    def __eq__(self, other): return True\n    shape = (1,)"), "gives an object, .*Lie"),
    Hostile("a subclass of ndarray", backward("return (dy * (x > 0)).view(Sub)", "class Sub(np.ndarray):\n    def __eq__(self, other): return True"), "a subclass of ndarray"),
    Hostile("objects", backward("return (dy * (x > 0)).astype(object)"), "an array of object"),
    Hostile("NaN", backward("return dy * np.nan"), "is off"),
    Hostile("None", backward("pass"), "dx is None"),
    Hostile("a huge array", backward("return np.zeros(6_000_000)"), "is too large: 48,000,000 bytes"),
    Hostile("a giant view", backward("return np.broadcast_to(dy.ravel()[:1], (10**15,))"), "memory"),
    Hostile("nested without end", backward("a = []\na.append(a)\nreturn a"), "nested too deep"),
    Hostile("escape codes", backward("raise Exception('\\x1b[2J\\x07 gone')"), r"Exception:  \[2J  gone"),
    # plays nearly fair
    Hostile("changes its argument", backward("dy *= x > 0\nreturn dy"), "changes its argument number 1", points=1),
    Hostile("draws by chance", backward("return dy * (x > 0) * (1 + 1e-13 * np.random.default_rng().random())"), "another answer", points=1),
    Hostile("keeps a state", backward("global n\nn += 1\nreturn dy * (x > 0) + (n > 12) * 1e-12", "n = 0"), "another answer", points=1),
    Hostile("another dtype", backward("return (dy * (x > 0)).astype(np.float32)"), "dtype float32", points=1),
    Hostile("tries and goes on", backward("try: import torch\nexcept ImportError: pass\nreturn dy * (x > 0)"), "right", points=2),
)  # fmt: skip
