"""`python kernels/bench.py SUITE ...`: `tinyresnet bench` from a checkout that is not installed. The code stands in tinyresnet/bench/."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

if __name__ == "__main__":
    from tinyresnet.cli import main

    sys.exit(main(["bench", *sys.argv[1:]]))
