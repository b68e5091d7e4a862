#!/usr/bin/env bash
# Run the self-tests inside a Slicer application, without building the extension.
#   Testing/run_in_slicer.sh /path/to/Slicer            (5.10 or newer, a display or xvfb-run)
# Exit status 0 when all passed. Nothing is installed: the tests need no PyTorch and no weights. Those of DICOM are
# skipped, and say so, where Slicer has no exporter of DICOM SEG (before 5.12 it is in QuantitativeReporting).
set -euo pipefail
slicer=${1:?usage: Testing/run_in_slicer.sh PATH_TO_SLICER}
root=$(cd "$(dirname "$0")/.." && pwd)

# A function and no array: in the bash of macOS, 3.2, `set -u` takes an empty array for an unset variable.
on_display() {
  if [ -z "${DISPLAY:-}" ] && [ "$(uname)" = Linux ] && command -v xvfb-run >/dev/null; then
    xvfb-run -a "$@"
  else
    "$@"
  fi
}

for script in "$root/DSMSegment/DSMSegment.py" \
  "$root/Testing/Python/DSMSegmentPanelTest.py" "$root/Testing/Python/DSMSegmentDicomTest.py"; do
  name=$(basename "$script" .py)
  echo "== $name"
  on_display "$slicer" --no-splash --testing --ignore-slicerrc \
    --additional-module-paths "$root/DSMSegment" \
    --python-code "import sys; sys.path.append('$(dirname "$script")'); import slicer.testing; slicer.testing.runUnitTest(['$root/DSMSegment', '$(dirname "$script")'], '$name')"
done
