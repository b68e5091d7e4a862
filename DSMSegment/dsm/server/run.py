"""The server process: its folder, its workers, and uvicorn around the application."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from dsm.errors import ConfigError
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.models.store import find_model, verify_model
from dsm.server.app import create_app
from dsm.server.limits import Limits
from dsm.server.service import ServiceOptions, open_service
from dsm.server.users import Users
from dsm.server.worker import LocalWorker

_SHUTDOWN_S = 5


def serve(
    *,
    host: str,
    port: int,
    tokens: Path | None,
    certificate: Path | None,
    key: Path | None,
    model: str,
    devices: Sequence[str],
    precision: str,
    folder: Path | None,
    limits: Limits,
    archive: str,
    archive_access: DicomwebAccess,
    on_ray: bool,
    say: Callable[[str], None],
) -> int:
    """Serve until the process is interrupted; all uploaded voxels are removed at the end.

    Args:
        host: Address to listen on.
        port: 0 for any that is free.
        tokens: File of users; None for one user and a new token, which `say` gets.
        certificate: For HTTPS.
        key: Likewise.
        model: Name or folder.
        devices: A worker process for each.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Parent of the folder for voxels; None for the system's temporary folder.
        limits: Of users.
        archive: Address of the DICOMweb server whose series are segmented; empty for none.
        archive_access: Credentials and trust for it.
        on_ray: Whether workers are actors of a Ray cluster, and Ray Serve takes the requests.
        say: Gets the address and the new token, for a person.

    Raises:
        ConfigError: If the tokens, the certificate or the address cannot be used.
        ModelError: If there is no such model.
        OutputError: If the folder cannot be written to.
        ResourceError: If the Ray cluster cannot be used.
        MissingDependencyError: If the packages for the archive are not installed.
    """
    logging.getLogger("dsm.server").setLevel(logging.INFO)
    users, token = (Users.from_file(tokens), "") if tokens is not None else Users.with_new_token()
    entry = verify_model(find_model(model))
    options = ServiceOptions(
        users=users,
        limits=limits,
        model=entry,
        devices=tuple(devices),
        precision=precision,
        folder=folder,
        archive=archive,
        archive_access=archive_access,
    )
    scheme = "https" if certificate else "http"
    with _bound(host, port) as listener:

        def say_where() -> None:
            say(f"Serving {entry.name} at {scheme}://{host}:{port or listener.getsockname()[1]}")
            if archive:
                say(f"Archive: {archive}")
            if token:
                say(f"Token: {token}")

        if on_ray:
            port = listener.getsockname()[1]
            listener.close()  # found to be free; the proxy of Ray Serve binds it
            from dsm.server.ray_serve import serve_on_ray  # noqa: PLC0415  (needs Ray)

            serve_on_ray(options, host=host, port=port, certificate=certificate, key=key, on_ready=say_where)
        else:
            _serve_here(options, listener, certificate=certificate, key=key, on_ready=say_where)
    return 0


def _serve_here(
    options: ServiceOptions,
    listener: socket.socket,
    *,
    certificate: Path | None,
    key: Path | None,
    on_ready: Callable[[], None],
) -> None:
    with open_service(options, LocalWorker) as service:
        config = uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,  # it would log the query
            server_header=False,
            loop="asyncio",  # the same on every machine, whatever else is installed there
            http="httptools",  # two thirds of the time of h11 for an upload
            timeout_graceful_shutdown=_SHUTDOWN_S,
            timeout_keep_alive=30,
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
        )
        on_ready()
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # uvicorn has shut down in order and passes the signal on
        except OSError as error:  # what ssl says of a wrong certificate is an OSError, too
            raise ConfigError(f"The certificate or its key cannot be used ({error}).") from error


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{host}:{port} cannot be listened on ({why}).", hint="Choose another port.") from error
    if sys.platform != "win32":
        listener.set_inheritable(False)  # workers must not hold the port when the server has gone
    return listener
