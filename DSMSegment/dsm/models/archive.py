"""Model archives: one `.zip` per model, written for a release, unpacked as untrusted input."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.io.atomic import atomic_output
from dsm.models.config import CONFIG_FILE
from dsm.models.store import MANIFEST_FILE, model_files, sha256_of_file, verify_model

_MAX_BYTES = 8 << 30  # unpacked; hundreds of times what a model of today takes
_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same archive


def pack_model(folder: str | Path, archive: str | Path) -> str:
    """Write the files of a model's manifest into a `.zip` file; the same model gives the same bytes.

    Args:
        folder: Model folder; every file is checked first.
        archive: File to write; it appears whole or not at all.

    Returns:
        SHA-256 of the archive, in hexadecimal.

    Raises:
        ModelNotFoundError: If the folder is no model.
        WeightsError: If a file of it is damaged.
        OutputError: If the archive cannot be written.
    """
    entry = verify_model(folder)
    files = {**model_files(entry.path), MANIFEST_FILE: entry.path / MANIFEST_FILE}
    with atomic_output(archive) as part:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, path in sorted(files.items()):
                info = zipfile.ZipInfo(f"{entry.name}/{name}", _DATE)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                packed.writestr(info, path.read_bytes())
        return sha256_of_file(part)


def unpack_model(archive: Path, folder: Path) -> Path:
    """Unpack an archive that holds one model; nothing is written outside `folder`.

    Args:
        archive: A `.zip` file.
        folder: Empty folder to unpack into.

    Returns:
        Folder of the model: `folder` or one below it. Its files are not yet checked against its manifest.

    Raises:
        WeightsError: If the archive is damaged, or an entry is a link, leads out of the folder or is too large.
        ModelNotFoundError: If it holds no model.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            _check(packed.infolist(), archive)
            for info in packed.infolist():
                path = folder / info.filename
                if info.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(info) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{archive} does not exist.", hint="Check the path.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError) as error:
        raise WeightsError(
            f"{archive.name} is damaged or not a .zip file ({error}).", hint="Download it again."
        ) from error
    found = sorted(folder.rglob(CONFIG_FILE), key=lambda path: len(path.parts))
    if not found:
        raise ModelNotFoundError(
            f"{archive.name} holds no model (no {CONFIG_FILE}).", hint="Use an archive made by `dsm models pack`."
        )
    if len(found) > 1:
        raise WeightsError(f"{archive.name} holds {len(found)} models.", hint="Install them one at a time, as folders.")
    return found[0].parent


def _check(entries: Iterable[zipfile.ZipInfo], archive: Path) -> None:
    total = 0
    for info in entries:
        name = info.filename
        parts = PurePosixPath(name).parts
        kind = stat.S_IFMT(info.external_attr >> 16)
        leads_out = name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name
        if leads_out or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise WeightsError(
                f"{archive.name} has the entry {name!r}, which is a link or leads out of the model's folder.",
                code="model.unsafe",
                hint="Do not use it; get the model from where it was published.",
            )
        total += info.file_size
    if total > _MAX_BYTES:
        raise WeightsError(
            f"{archive.name} unpacks to {total / 1e9:.1f} GB, more than any model.",
            code="model.unsafe",
            hint="Do not use it; get the model from where it was published.",
        )
