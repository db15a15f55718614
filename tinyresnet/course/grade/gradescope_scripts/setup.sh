#!/usr/bin/env bash
# Run once, as root, when Gradescope builds its image: a Python of 3.11 or newer, NumPy, and bubblewrap.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq python3 python3-venv bubblewrap
python=python3
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  apt-get install -y -qq python3.11 python3.11-venv
  python=python3.11
fi
"$python" -m venv /autograder/venv
/autograder/venv/bin/pip install --quiet numpy==@NUMPY@
chmod 700 /autograder/source # submissions must not read the answers, whatever else fails
