"""Uploads and downloads over HTTP, streamed beside the page's web socket."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from aiohttp import BodyPartReader, web

from dsm.errors import DSMError
from dsm.io.formats import SEG_NRRD
from DSMSegmentWeb.archive import unpack, unpack_segments
from DSMSegmentWeb.uploads import (
    MAX_UPLOAD_BYTES,
    check_self_contained,
    checked_name,
    receive,
    receive_folder,
    too_large,
)

_CHUNK_BYTES = 1 << 20

TemporaryFolder = tempfile.TemporaryDirectory[str]


class OpenScan(Protocol):
    """Callback that opens an upload."""

    async def __call__(self, path: Path, *, folder: TemporaryFolder) -> None:
        """Open a file or a folder in the temporary folder, which the callee then owns unless it raises."""


class Transfer:
    """Routes `upload`, `upload-folder` and `export/KIND`.

    Args:
        open_scan: Opens what was sent.
        export: Writes what is shown as a file of a kind into a folder, and returns the file.
        show_error: Puts an error on the page.
    """

    def __init__(
        self,
        open_scan: OpenScan,
        export: Callable[[str, Path], Awaitable[Path]],
        show_error: Callable[[DSMError], None],
    ) -> None:
        self._open_scan = open_scan
        self._export = export
        self._show_error = show_error

    def add_routes(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_post("/upload", self._receive_file)
        app.router.add_post("/upload-folder", self._receive_folder)
        app.router.add_get("/export/{kind}", self._send)

    async def _receive_file(self, request: web.Request) -> web.Response:
        async def save(folder: Path) -> Path:
            name = checked_name(request.query.get("name", ""))
            if (request.content_length or 0) > MAX_UPLOAD_BYTES:
                raise too_large(name)
            path = folder / name
            await receive(request.content.iter_chunked(_CHUNK_BYTES), path)
            if path.suffix.lower() != ".zip":
                check_self_contained(path)
                return path
            unpacked = folder / "unpacked"
            unpacked.mkdir()
            if segments := await asyncio.to_thread(unpack_segments, path, unpacked):
                segments = segments.rename(folder / f"{path.stem}{SEG_NRRD.suffix}")
                check_self_contained(segments)
            else:
                await asyncio.to_thread(unpack, path, unpacked)
            path.unlink()
            return segments or unpacked

        return await self._open(save)

    async def _receive_folder(self, request: web.Request) -> web.Response:
        async def save(folder: Path) -> Path:
            if (request.content_length or 0) > MAX_UPLOAD_BYTES:
                raise too_large("The folder")
            parts = await request.multipart()
            files = (_chunks(part) async for part in parts if isinstance(part, BodyPartReader))
            await receive_folder(files, folder)
            return folder

        return await self._open(save)

    async def _open(self, save: Callable[[Path], Awaitable[Path]]) -> web.Response:
        folder = TemporaryFolder(prefix="dsm-upload-")
        try:
            await self._open_scan(await save(Path(folder.name)), folder=folder)
        except DSMError as error:
            folder.cleanup()
            return self._refuse(error)
        except BaseException:
            folder.cleanup()
            raise
        return web.Response(text="opened")

    async def _send(self, request: web.Request) -> web.StreamResponse:
        with tempfile.TemporaryDirectory(prefix="dsm-export-") as folder:
            try:
                path = await self._export(request.match_info["kind"], Path(folder))
            except DSMError as error:
                return self._refuse(error)
            response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{path.name}"'})
            response.content_type = "application/octet-stream"
            response.content_length = path.stat().st_size
            await response.prepare(request)
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    await response.write(chunk)
            await response.write_eof()
            return response

    def _refuse(self, error: DSMError) -> web.Response:
        self._show_error(error)
        return web.Response(status=400, text=error.one_line)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        yield bytes(chunk)
