"""Download of model archives."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from dsm.errors import InputError, ModelError
from dsm.progress import ProgressCallback, ignore_progress

_CHUNK = 1 << 20  # bytes between two reports of progress
_TIMEOUT_S = 60.0  # without one byte
_MAX_BYTES = 4 << 30


class DownloadError(ModelError):
    """An archive could not be fetched."""

    code = "model.download"


class _OnlyEncrypted(urllib.request.HTTPRedirectHandler):
    """Follow a redirection only to https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            fp.close()
            message = f"it redirects to {newurl}, which is not encrypted"
            raise urllib.error.URLError(message)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_url(source: str) -> bool:
    """Return whether `source` is a URL rather than a path."""
    return "://" in source


def local_path(url: str) -> Path | None:
    """Return the path of a `file://` address, and None for any other."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):  # a share of Windows
        return Path(f"//{parts.netloc}{unquote(parts.path)}")
    return Path(urllib.request.url2pathname(parts.path))


def download(url: str, folder: Path, *, progress: ProgressCallback = ignore_progress) -> Path:
    """Fetch a file over https.

    Args:
        url: An https address of a `.zip` file.
        folder: Existing folder for the file, which gets the last part of the address as its name.
        progress: Stage `"download"`, in bytes (a total of 0: unknown); may raise `JobCancelled`, which leaves the part
            that was fetched in `folder`.

    Returns:
        The file.

    Raises:
        InputError: If the address is of another kind.
        DownloadError: If the server cannot be reached, answers with an error, or breaks off.
    """
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(f"{url} is not an https:// or file:// address.", hint="Models are fetched encrypted only.")
    if not name.endswith(".zip") or "\\" in name or ":" in name:
        raise InputError(f"{url} does not name a .zip file.", hint="Give the address of the archive itself.")
    opener = urllib.request.build_opener(_OnlyEncrypted)
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as answer, (folder / name).open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            progress("download", 0, total)
            while chunk := answer.read(_CHUNK):
                done += len(chunk)
                if done > _MAX_BYTES:
                    raise DownloadError(f"{url} is larger than {_MAX_BYTES >> 30} GB, more than any model.")
                file.write(chunk)
                progress("download", done, max(total, done) if total else 0)
    except urllib.error.HTTPError as error:
        error.close()
        hint = "Check the address." if error.code in (404, 410) else "Try again later, or fetch it with a browser."
        raise DownloadError(f"{url} could not be fetched: {error.code} {error.reason}.", hint=hint) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise DownloadError(
            f"{url} could not be fetched: {reason}.",
            hint="Check the connection and the proxy, or fetch it with a browser and install the file.",
        ) from error
    if total and done != total:
        raise DownloadError(f"The connection broke after {done} of {total} bytes of {url}.", hint="Try again.")
    return folder / name
