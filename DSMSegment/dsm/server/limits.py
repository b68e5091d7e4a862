"""Limits per user, and of all users together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers that a department can change on the command line.

    Args:
        upload_bytes: Largest volume.
        volumes_per_user: Volumes that a user may keep at a time.
        bytes_per_user: Their size together.
        jobs_per_user: Jobs of a user that wait or run.
        waiting_jobs: Jobs of all users that wait.
        finished_jobs_per_user: Finished jobs that are kept; the oldest goes first.
        volume_idle_s: A volume that nobody used for so long is removed.
        job_idle_s: Likewise a finished job, from its end or when it was last asked for.
        upload_idle_s: An upload of which nothing came for so long is given up.
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
