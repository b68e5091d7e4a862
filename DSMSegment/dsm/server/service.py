"""Parts of the service: users, their volumes, and workers for their jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dsm.io.dicomweb_access import DicomwebAccess
from dsm.models.store import ModelEntry
from dsm.server.archive import Archive
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
    archive: Archive | None
    limits: Limits
    model: ModelEntry
    num_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Options of the service.

    Args:
        users: Names and hashed tokens.
        limits: Of each user.
        model: The model.
        devices: A worker for each.
        precision: Of the encoding, see `dsm.core.precision`.
        folder: Parent of the folder for voxels; None for the system's temporary folder.
        archive: Address of the DICOMweb server whose series are segmented; empty for none.
        archive_access: Credentials and trust for it.
    """

    users: Users
    limits: Limits
    model: ModelEntry
    devices: Sequence[str]
    precision: str
    folder: Path | None
    archive: str = ""
    archive_access: DicomwebAccess = field(default_factory=DicomwebAccess)


@contextmanager
def open_service(options: ServiceOptions, start_worker: Callable[[WorkerSetup, str], Worker]) -> Iterator[Service]:
    """Yield the service; its folder, with all that users have sent, is removed at the end.

    Args:
        options: Options of the service.
        start_worker: Starts a worker on a device.

    Raises:
        OutputError: If the folder cannot be written to.
        MissingDependencyError: If the packages for the archive are not installed.
        RemoteError: If the certificate file of the archive cannot be read.
    """
    with own_folder(options.folder) as own:
        volumes_folder, work_folder, series_folder = own / "volumes", own / "work", own / "series"
        for folder in (volumes_folder, work_folder, series_folder):
            folder.mkdir()
        volumes = VolumeStore(volumes_folder, options.limits)
        model = options.model
        setup = WorkerSetup(str(model.path.resolve()), model.digest, options.precision, work_folder)
        starts = [partial(start_worker, setup, device) for device in options.devices]
        scheduler = Scheduler(starts, volumes, options.limits)
        archive = None
        if options.archive:
            archive = Archive(
                options.archive,
                options.archive_access,
                volumes=volumes,
                scheduler=scheduler,
                model=model,
                folder=series_folder,
                num_threads=len(starts) + 1,  # the next series is fetched while the workers segment
            )
        yield Service(
            users=options.users,
            volumes=volumes,
            scheduler=scheduler,
            archive=archive,
            limits=options.limits,
            model=model,
            num_workers=len(starts),
        )
