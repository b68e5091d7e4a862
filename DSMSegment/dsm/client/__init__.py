"""Clients of a worker process or a server."""
