"""Write down what the diagnoses say now, to be read and kept: what changes later is seen.

Run from the repository's root, with tinyresnet installed: python tests/golden/make_diagnoses.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from test_diagnose import GOLDEN, GROUPS, told  # noqa: E402 (the tests' folder is known only now)

if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({group: told(group) for group in GROUPS}, indent=1) + "\n", encoding="utf-8")
