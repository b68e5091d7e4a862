"""Opening of a scan: a file, or a series of a folder; the user chooses among several. Or of segments of that scan."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from trame_server.state import State

from dsm.errors import DSMError, InputError
from dsm.io.dicom import Series
from dsm.io.seg_nrrd_reader import holds_segments
from DSMSegmentWeb.scan import OpenedScan, read_scan, series_to_choose_from
from DSMSegmentWeb.transfer import TemporaryFolder


class Opening:
    """Read scans, and manage the folders of the open scan and of a pending choice.

    Args:
        state: Of the page.
        check_idle: Raises while a run is going on.
        show: Puts a scan in place of the one before.
        add_segments: Adds the segments of a file to the open scan.
    """

    def __init__(
        self,
        state: State,
        check_idle: Callable[[], None],
        show: Callable[[OpenedScan], None],
        add_segments: Callable[[Path], Awaitable[None]],
    ) -> None:
        self._state = state
        self._check_idle = check_idle
        self._show = show
        self._add_segments = add_segments
        # An export may look into it.
        self._folder: TemporaryFolder | None = None
        self._waiting: tuple[Path, TemporaryFolder | None] | None = None

    async def open(self, path: Path, *, series_uid: str | None = None, folder: TemporaryFolder | None = None) -> None:
        """Open a scan, replacing the current one, or segments of it; if it cannot be read, nothing changes.

        Args:
            path: A file, or a folder of DICOM files.
            series_uid: Which series; None asks on the page where there are several, and returns meanwhile.
            folder: Temporary folder of the path, removed when no longer needed; unless this raises.

        Raises:
            DSMError: If it cannot be read, or a run is going on.
        """
        self._check_idle()
        reading = f"Reading {_name(path)}..."
        with self._state as state:
            state.opening, state.status, state.error = True, reading, ""
        try:
            if await asyncio.to_thread(holds_segments, path):
                await self._add_segments(path)
                _remove(folder)
                return
            # Not on the event loop: the page stays alive meanwhile.
            several = [] if series_uid else await asyncio.to_thread(series_to_choose_from, path)
            if several:
                self._ask(path, folder, several)
                return
            scan = await asyncio.to_thread(read_scan, path, series_uid)
            self._check_idle()
        except DSMError as error:
            if folder is None:
                raise
            raise _without_our_path(error, path) from error
        finally:
            with self._state as state:
                state.opening = False
                state.status = state.status if state.status != reading else ""
        if self._waiting and self._waiting[1] is not folder:
            self.cancel()
        self._waiting = None
        before, self._folder = self._folder, folder
        _remove(before)
        self._show(scan)
        with self._state as state:
            state.series = []

    async def choose(self, series_uid: str) -> None:
        """Open one of the offered series; if it cannot be read, another one can be chosen."""
        if self._waiting is None or self._state.opening:
            return
        path, folder = self._waiting
        try:
            await self.open(path, series_uid=series_uid, folder=folder)
        except DSMError as error:
            with self._state as state:
                state.error = error.one_line

    def cancel(self) -> None:
        """Choose none of the series; the current scan stays."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            _remove(waiting[1])
        with self._state as state:
            state.series, state.error = [], ""

    def close(self) -> None:
        """Remove uploads."""
        self.cancel()
        _remove(self._folder)

    def _ask(self, path: Path, folder: TemporaryFolder | None, several: list[Series]) -> None:
        self.cancel()
        self._waiting = path, folder
        with self._state as state:
            state.series = [_line(series) for series in several]


def _line(series: Series) -> dict[str, str]:
    columns, rows, slices = series.size
    return {
        "uid": series.uid,
        "title": f"{series.modality}: {series.description or 'without a description'}",
        "size": f"{slices} slice{'s' * (slices != 1)} of {columns} × {rows}",
    }


def _without_our_path(error: DSMError, path: Path) -> InputError:
    """Return an error about an upload without its path on the server."""
    text = str(error).replace(f"{path}/", "").replace(str(path), _name(path))
    if path.is_dir():
        text = text[:1].upper() + text[1:]
    return InputError(text, code=error.code, hint=error.hint, details=error.details)


def _name(path: Path) -> str:
    """Return the display name of a scan: names of upload folders are generated."""
    return "the folder" if path.is_dir() else path.name


def _remove(folder: TemporaryFolder | None) -> None:
    if folder is not None:
        folder.cleanup()
