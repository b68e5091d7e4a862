#!/usr/bin/env bash
# Tests of the engine and of the Slicer side with the NumPy and SciPy of Slicer 5.10, on its Python 3.12 if there is a PyTorch
# without CUDA for that, else on 3.11.
#   SLICER_PYTHON=/path/to/python3.12 bash scripts/test_slicer_python.sh .venv-slicer
set -euo pipefail
venv=$1
export PYTHONUTF8=1
unset PYTHONDONTWRITEBYTECODE

set_up() { PYTHON=$1 bash scripts/setup.sh "$venv" 5.10; }

if ! { [ -x "$venv/bin/python" ] && set_up "$venv/bin/python"; }; then
  rm -rf "$venv"
  for python in ${SLICER_PYTHON:-python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python3.12 python3.11 python3}; do
    "$python" -c '' 2>/dev/null || continue
    set_up "$python" && break
    echo "$python: no environment for the tests; trying the next." >&2
    rm -rf "$venv"
  done
fi
[ -x "$venv/bin/python" ] || { echo "No Python was found that PyTorch without CUDA is for." >&2; exit 1; }
"$venv/bin/python" - <<'PYTHON'
import platform, numpy, scipy, torch
print(f"Python {platform.python_version()}, NumPy {numpy.__version__}, SciPy {scipy.__version__}, PyTorch {torch.__version__}")
PYTHON
nice -n 5 "$venv/bin/python" -m pytest -n 2 --dist loadgroup --max-worker-restart=0 -q \
  Testing/unit Testing/property Testing/parity Testing/worker Testing/slicer
