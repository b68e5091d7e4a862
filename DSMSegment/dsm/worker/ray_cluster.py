"""Connection to a Ray cluster: the one that `RAY_ADDRESS` names, else a local one."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from dsm.core.extras import install_hint
from dsm.errors import MissingDependencyError, ResourceError

_CONNECT_S = 10.0
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


def connect_to_ray() -> Any:
    """Connect, and return the package `ray`; call its `shutdown` at the end.

    Raises:
        MissingDependencyError: If ray is not installed.
        ResourceError: If the cluster cannot be reached.
    """
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    # Read when Ray is imported. It tells its makers how it is used unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address and "RAY_AUTH_MODE" not in os.environ:
        # A local cluster listens on all interfaces; other hosts must not submit work.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray  # noqa: PLC0415  (0.5 s, and only for clusters)
    except ImportError as error:
        raise MissingDependencyError("A cluster needs the package ray.", hint=install_hint("ray")) from error
    # A cluster of our own needs no web page.
    own = {} if address else {"include_dashboard": False}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": _PACKAGE_PARENT}},
            **own,
        )
    except Exception as error:  # a node that does not start within 30 s raises no class of its own
        raise _unusable(address or "of this machine", error) from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto"
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _unusable(address, error) from error


def _unusable(cluster: str, error: Exception) -> ResourceError:
    why = " ".join(str(error).split())[:200]
    return ResourceError(
        f"The Ray cluster {cluster} cannot be used ({why}).", code="ray", hint="Check RAY_ADDRESS, or do without Ray."
    )
