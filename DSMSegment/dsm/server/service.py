"""Parts of the service: users, their volumes, and workers for their jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsm.server.limits import Limits
from dsm.server.own_folder import own_folder
from dsm.server.scheduler import Scheduler
from dsm.server.users import Users
from dsm.server.volumes import VolumeStore
from dsm.server.worker import Worker, WorkerSetup


@dataclass(frozen=True, slots=True)
class Service:
    """Parts that the application puts together."""

    users: Users
    volumes: VolumeStore
    scheduler: Scheduler
    limits: Limits
    model: str
    model_sha256: str
    num_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Options of the service.

    Args:
        users: Names and hashed tokens.
        limits: Of each user.
        model: Name of the model.
        model_path: Its folder.
        model_sha256: Its digest.
        devices: A worker for each.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Where voxels are kept, in a folder of their own; None for the system's temporary files.
    """

    users: Users
    limits: Limits
    model: str
    model_path: str
    model_sha256: str
    devices: Sequence[str]
    precision: str
    folder: Path | None


@contextmanager
def open_service(options: ServiceOptions, start_worker: Callable[[WorkerSetup, str], Worker]) -> Iterator[Service]:
    """Yield the service; its folder, with all that users have sent, is removed at the end.

    Args:
        options: What is served.
        start_worker: Starts a worker on a device.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    with own_folder(options.folder) as own:
        volumes_folder, work_folder = own / "volumes", own / "work"
        volumes_folder.mkdir()
        work_folder.mkdir()
        volumes = VolumeStore(volumes_folder, options.limits)
        setup = WorkerSetup(options.model_path, options.model_sha256, options.precision, work_folder)
        starts = [partial(start_worker, setup, device) for device in options.devices]
        yield Service(
            users=options.users,
            volumes=volumes,
            scheduler=Scheduler(starts, volumes, options.limits),
            limits=options.limits,
            model=options.model,
            model_sha256=options.model_sha256,
            num_workers=len(starts),
        )
