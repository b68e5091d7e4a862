"""DICOMweb addresses: a server, a study or series of it, or a search."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, replace

from dsm.core.loopback import is_loopback
from dsm.errors import ConfigError, InputError

#: What a search can ask for, by DICOM keyword: of studies and of their series.
STUDY_KEYS = ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber", "StudyDescription")
SERIES_KEYS = ("SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined")

_UID = r"(?![0-9.]{65})[0-9]+(?:\.[0-9]+)*"
_PATH = re.compile(rf"(.*?)(?:/studies/({_UID})(?:/series/({_UID}))?|/studies|/series)?/?")
_EXAMPLE = "Write it as https://HOST/dicom-web/studies/STUDY_UID/series/SERIES_UID."


@dataclass(frozen=True, slots=True)
class DicomwebAddress:
    """Address of what a DICOMweb server holds.

    Args:
        server: Address of the service, e.g. `"https://pacs/dicom-web"`.
        study: Study instance UID; empty for all that the search finds.
        series: Series instance UID, likewise.
        search: Pairs of a keyword of `STUDY_KEYS` or `SERIES_KEYS` and its value, as DICOM matches them (`*` and `?`
            in texts, `20240101-20241231` in dates).

    Example:
        >>> address = DicomwebAddress.parse("https://pacs/dicom-web/studies/1.2/series/3.4")
        >>> address.server, address.study, address.series
        ('https://pacs/dicom-web', '1.2', '3.4')
    """

    server: str
    study: str = ""
    series: str = ""
    search: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> DicomwebAddress:
        """Read an address.

        Raises:
            InputError: If it is malformed, or holds a password or a token.
            ConfigError: If it is of another machine and not encrypted.
        """
        try:
            parts = urllib.parse.urlsplit(text.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port, parts = "", None, urllib.parse.urlsplit("")
        if parts.username or parts.password or "@" in parts.netloc:
            raise InputError(
                "The address holds a name or a password, which logs and lists of processes would show.",
                code="dicomweb.address",
                hint="Put NAME:PASSWORD into $DSM_DICOMWEB_TOKEN or the file of --token-file.",
            )
        path = _PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or not host or parts.fragment or path is None:
            raise InputError("This is no address of a DICOMweb server.", code="dicomweb.address", hint=_EXAMPLE)
        server_path, study, series = (group or "" for group in path.groups())
        if re.search(r"/(studies|series|instances)(/|$)", server_path):
            raise InputError("The address is of no study or series.", code="dicomweb.address", hint=_EXAMPLE)
        if parts.scheme == "http" and not is_loopback(host):
            raise ConfigError(
                f"Scans and tokens would cross the network to {host} unencrypted.",
                code="dicomweb.no_tls",
                hint="Write https://; without TLS only a server of this machine (127.0.0.1) is used. A proxy such as "
                "nginx gives TLS to a server that has none.",
            )
        shown = f"[{host}]" if ":" in host else host
        server = f"{parts.scheme}://{shown}{f':{port}' if port else ''}{server_path}"
        return cls(server, study, series, _search(parts.query))

    def at(self, study: str, series: str) -> DicomwebAddress:
        """Return the address of a series of the same server."""
        return replace(self, study=study, series=series, search=())

    def __str__(self) -> str:
        study = f"/studies/{self.study}" if self.study else ""
        series = f"/series/{self.series}" if self.series else ""
        return self.server + study + series


def is_address(text: str) -> bool:
    """Return whether a text is meant as an address and not as a path."""
    return text.lower().startswith(("http://", "https://"))


def _search(query: str) -> tuple[tuple[str, str], ...]:
    pairs = tuple(urllib.parse.parse_qsl(query, keep_blank_values=True))
    for key, _ in pairs:
        if key not in (*STUDY_KEYS, *SERIES_KEYS):
            raise InputError(
                f"{key[:40]} is nothing that can be searched for; a token never belongs into an address.",
                code="dicomweb.address",
                hint=f"Search by {', '.join((*STUDY_KEYS, *SERIES_KEYS))}; a token goes into $DSM_DICOMWEB_TOKEN.",
            )
    return pairs
