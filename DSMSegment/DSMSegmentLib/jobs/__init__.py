"""Runs: from a volume node and prompts to written segments, on a worker or a server."""
