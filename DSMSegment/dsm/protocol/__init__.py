"""Messages between a host and the worker, arrays as files, and the host's client. Standard library and NumPy only."""
