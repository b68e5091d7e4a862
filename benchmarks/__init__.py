"""Comparisons with other networks, and the model of the tests: run from a checkout, in no package and not in Slicer."""
