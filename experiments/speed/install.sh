#!/usr/bin/env bash
# install.sh [PYTHON]: install pixfound into the Python that has torch and transformers, from the wheels beside this
# file alone. What that Python has already, and fits, is left as it is.
set -euo pipefail
cd "$(dirname "$0")"
python="${1:-python3}"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' ||
	{ echo "install.sh: $python is not Python 3.11 or 3.12; give another: install.sh /path/to/python" >&2; exit 1; }
"$python" -c 'import torch, transformers' ||
	{ echo "install.sh: $python lacks torch or transformers; give the Python that has them" >&2; exit 1; }
"$python" -m pip install -q --no-index --find-links wheels -r wheels/needed.txt
"$python" -m pip install -q --no-index --no-deps wheels/pixfound-*.whl
"$python" -c 'import sys, transformers; sys.exit(tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 20))' || echo \
	"transformers here is older than 5.20: the figures can be made, but Cambrian, Molmo2, ViP-LLaVA and MiniCPM-V are wrong or fail"
echo "installed; now, in $PWD: $python -m experiments.speed.gpu"
