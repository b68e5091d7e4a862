#!/usr/bin/env bash
# Lint and all tests. Those of the page mostly wait, for a browser and for as long as a hand needs, so they run beside
# the others, which are nice to them: a click that comes too late hits something else. What they say comes last.
#   bash scripts/test.sh .venv/bin
set -uo pipefail
bin=$1
export PYTHONUTF8=1
# Many tests start a Python of their own, which takes twice as long where the environment forbids to keep what is compiled.
unset PYTHONDONTWRITEBYTECODE

said=$(mktemp)
set -m # a process group of its own, which Ctrl+C reaches by the trap only: browser and servers are ended in order
"$bin/python" -m pytest -q -p no:cacheprovider Testing/web >"$said" 2>&1 </dev/null &
page=$!
set +m
trap 'kill -INT -- "-$page" 2>/dev/null; wait "$page"; rm -f "$said"' EXIT
trap 'exit 130' INT

failed=0
nice -n 5 make --no-print-directory lint || failed=1
# No new process for one that crashed: with `loadgroup`, pytest-xdist 3.8 gives it nothing to do and waits for it for ever.
nice -n 5 "$bin/python" -m pytest -n 2 --dist loadgroup --max-worker-restart=0 -q Testing --ignore Testing/web || failed=1
wait "$page" || failed=1
cat "$said"
exit "$failed"
