"""Installation of the worker's Python packages from within Slicer."""
