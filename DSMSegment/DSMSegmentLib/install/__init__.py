"""Python packages that the worker needs, installed from within Slicer."""
