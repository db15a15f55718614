"""Makes a file of this folder from a run's best weights, with the command that trained them.

tinyresnet train --task segment --out runs/segment ...
python -m tinyresnet.trained runs/segment --made-by "tinyresnet train --task segment ..." --out segment.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..weights import read_arrays, write_arrays
from . import pack


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinyresnet.trained", description="Pack a run's best weights.")
    parser.add_argument("run", type=Path, help="the folder of a run of `tinyresnet train`")
    parser.add_argument("--made-by", required=True, help="the command that trained it; kept in the file")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args(argv)
    arrays, header = read_arrays(args.run / "best.safetensors")
    about = {"about": {"data": header.extra["about"]["data"]}, "settings": {"seed": header.extra["settings"]["seed"]}}
    write_arrays(args.out, pack(arrays), replace(header, extra={**about, "made_by": args.made_by}))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
