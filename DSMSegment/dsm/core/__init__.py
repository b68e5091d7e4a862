"""Plain data shared by all floors: volumes, geometry, boxes, memory. NumPy and psutil only."""
