"""Limits per user, and of all users together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits, which command-line arguments can change.

    Args:
        upload_bytes: Size of the largest volume.
        volumes_per_user: Volumes of a user.
        bytes_per_user: Total size of the volumes of a user.
        jobs_per_user: Queued and running jobs of a user.
        waiting_jobs: Queued jobs of all users.
        finished_jobs_per_user: Finished jobs that are kept; the oldest goes first.
        volume_idle_s: Time in s after which an unused volume is removed.
        job_idle_s: Time in s after which a finished job is removed, since its end or last request.
        upload_idle_s: Time in s without data after which an upload is aborted.
    """

    upload_bytes: int = 2 * 2**30
    volumes_per_user: int = 8
    bytes_per_user: int = 8 * 2**30
    jobs_per_user: int = 16
    waiting_jobs: int = 200
    finished_jobs_per_user: int = 50
    volume_idle_s: float = 1800.0
    job_idle_s: float = 600.0
    upload_idle_s: float = 30.0
