"""Run a lesson without a network, and print as JSON what its cells showed: `python lesson_run.py FILE`."""

from __future__ import annotations

import json
import os
import re
import runpy
import socket
import sys
import time
from typing import Any, NoReturn


def no_network(*_: Any, **__: Any) -> NoReturn:
    """In the place of whatever reaches a network."""
    raise RuntimeError("a lesson must not use the network")


def problems(shown: Any, html: str) -> list[str]:
    """What a reader who cannot see, or who reads on a dark page, would miss."""
    found = []
    if type(shown).__module__.startswith("matplotlib"):
        found.append(f"{type(shown).__name__} without alt text: use course.figures.show")
    for tag in re.findall(r"<(?:svg|img)\b[^>]*>", html):
        text = re.search(r'(?:aria-label|alt)="([^"]*)"', tag)
        if text is None or len(text[1]) < 20:
            found.append(f"no alt text, or hardly any: {tag[:120]}")
    return found


def main(path: str) -> None:
    """Run, then report."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, no_network)
    socket.getaddrinfo = no_network
    began = time.perf_counter()
    app = runpy.run_path(path, run_name="lesson")["app"]
    outputs, _ = app.run()
    seconds, compute = time.perf_counter() - began, sum(os.times()[:4])  # of this process and its children
    texts = [getattr(shown, "text", "") or "" for shown in outputs]
    headings = [
        re.sub(r"<[^>]+>", "", h) for text in texts for h in re.findall(r"<h2[^>]*>(.*?)</h2>", text, re.DOTALL)
    ]
    bad = [problem for shown, text in zip(outputs, texts, strict=True) for problem in problems(shown, text)]
    figures = sum(text.count('role="img"') for text in texts)
    print(
        json.dumps({"seconds": seconds, "compute": compute, "headings": headings, "problems": bad, "figures": figures})
    )


if __name__ == "__main__":
    main(sys.argv[1])
