"""Plain data shared by all floors: volumes, geometry, boxes. NumPy only."""
