"""The application as a deployment of Ray Serve: its proxy takes the requests, actors of the cluster are the workers.

One replica of the application keeps users, volumes and jobs, and gives each job to the worker that has its volume
encoded. A worker that dies is replaced, on any node, and its job done again.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from dsm.errors import ResourceError
from dsm.server.app import create_app
from dsm.server.own_folder import own_folder
from dsm.server.service import ServiceOptions, open_service
from dsm.server.worker import WorkerSetup
from dsm.worker.ray_cluster import connect_to_ray

_NAME = "dsmsegment"
# Listeners hold a request each for as long as a job takes; the limits that count are those of the application.
_OPEN_REQUESTS = 10_000
_SHUTDOWN_S = 5.0


def serve_on_ray(
    options: ServiceOptions,
    *,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
    on_ready: Callable[[], None],
) -> None:
    """Serve until the process is interrupted.

    Args:
        options: Options of the service.
        host: Address to listen on.
        port: A free one.
        certificate: For HTTPS.
        key: Likewise.
        on_ready: Called once requests are answered.

    Raises:
        MissingDependencyError: If ray is not installed.
        ResourceError: If the cluster cannot be reached, has a Ray Serve already, or does not start this one.
    """
    stop = threading.Event()
    ray = connect_to_ray()
    for number in (signal.SIGINT, signal.SIGTERM):  # after Ray has set its own
        signal.signal(number, lambda *_: stop.set())
    try:
        _start(options, host=host, port=port, certificate=certificate, key=key)
        on_ready()
        stop.wait()
    finally:
        _end()
        ray.shutdown()
        # The replica removes its folder, but Ray does not wait for it for long; what is left is removed here.
        with own_folder(options.folder):
            pass


def _start(options: ServiceOptions, *, host: str, port: int, certificate: Path | None, key: Path | None) -> None:
    from ray import serve  # noqa: PLC0415  (seconds, and only here)
    from ray.serve.config import HTTPOptions  # noqa: PLC0415
    from ray.serve.schema import LoggingConfig  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    if serve.status().proxies:
        raise ResourceError(
            "The cluster has a Ray Serve already, with an address of its own.",
            code="ray",
            hint="Shut it down with: serve shutdown. Or take another cluster.",
        )
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")  # it would log the query
    http = HTTPOptions(
        host=host,
        port=port,
        ssl_certfile=str(certificate) if certificate else None,
        ssl_keyfile=str(key) if key else None,
    )
    serve.start(http_options=http, logging_config=quiet)

    def build() -> FastAPI:
        return _application(options)

    deployment = serve.deployment(
        name=_NAME,
        num_replicas=1,
        max_ongoing_requests=_OPEN_REQUESTS,
        graceful_shutdown_timeout_s=_SHUTDOWN_S,
        ray_actor_options={"num_cpus": 0},
        logging_config=quiet,
    )(serve.ingress(build)(_Front))
    try:
        serve.run(deployment.bind(), name=_NAME, logging_config=quiet)
    except (RuntimeError, TimeoutError) as error:
        raise ResourceError(
            f"Ray Serve does not start ({' '.join(str(error).split())[:200]}).",
            code="ray",
            hint="See /tmp/ray/session_latest/logs/serve on the head node.",
        ) from error


def _end() -> None:
    from ray import serve  # noqa: PLC0415

    serve.shutdown()


class _Front:
    """Replica of the deployment; the application does all."""


def _application(options: ServiceOptions) -> FastAPI:
    """Make the application; called in the process of the replica, which may be on another machine."""
    from dsm.server.ray_worker import RayWorker  # noqa: PLC0415  (imports Ray)

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("dsm.server").setLevel(logging.INFO)

    def start_worker(setup: WorkerSetup, device: str) -> Any:
        return RayWorker(replace(setup, folder=options.folder), device)  # the folder of its own node

    stack = ExitStack()
    service = stack.enter_context(open_service(options, start_worker))
    return create_app(service, at_end=stack.close)
