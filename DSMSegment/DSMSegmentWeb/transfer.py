"""Files in and out over HTTP, beside the page's web socket: streamed, so that neither side holds them in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from dsm.errors import DSMError
from DSMSegmentWeb.uploads import MAX_UPLOAD_BYTES, check_self_contained, checked_name, receive, too_large

_CHUNK_BYTES = 1 << 20


class Transfer:
    """The addresses `upload` and `export/KIND`.

    Args:
        open_scan: Opens a file; it may be gone when the call has ended.
        export: Writes what is shown as a file of a kind into a folder, and returns the file.
        show_error: Puts an error on the page.
    """

    def __init__(
        self,
        open_scan: Callable[[Path], Awaitable[None]],
        export: Callable[[str, Path], Path],
        show_error: Callable[[DSMError], None],
    ) -> None:
        self._open_scan = open_scan
        self._export = export
        self._show_error = show_error

    def add_routes(self, app: web.Application) -> None:
        """Make the addresses known."""
        app.router.add_post("/upload", self._receive)
        app.router.add_get("/export/{kind}", self._send)

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            name = checked_name(request.query.get("name", ""))
            if (request.content_length or 0) > MAX_UPLOAD_BYTES:
                raise too_large(name)
            with tempfile.TemporaryDirectory(prefix="dsm-upload-") as folder:
                path = Path(folder) / name
                await receive(request.content.iter_chunked(_CHUNK_BYTES), path)
                check_self_contained(path)
                await self._open_scan(path)
        except DSMError as error:
            return self._refuse(error)
        return web.Response(text="opened")

    async def _send(self, request: web.Request) -> web.StreamResponse:
        with tempfile.TemporaryDirectory(prefix="dsm-export-") as folder:
            try:
                path = self._export(request.match_info["kind"], Path(folder))
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
