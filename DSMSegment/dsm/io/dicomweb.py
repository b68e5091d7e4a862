"""DICOMweb client: search (QIDO-RS), fetch a series (WADO-RS), store a file (STOW-RS)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.core.error_codes import make_error
from dsm.core.extras import install_hint
from dsm.core.modality import MODALITIES
from dsm.errors import DSMError, ImageError, MissingDependencyError, RemoteError
from dsm.io.atomic import atomic_output
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.io.dicomweb_address import SERIES_KEYS, STUDY_KEYS, DicomwebAddress
from dsm.progress import ProgressCallback, ignore_progress

if TYPE_CHECKING:
    import requests
    from pydicom.dataset import Dataset

_CONNECT_S, _READ_S = 10.0, 60.0  # the second without one byte

# As the server keeps it: what it would otherwise decompress travels compressed, and the reader knows more syntaxes.
_AS_STORED = (("application/dicom", "*"),)

_SERIES_FIELDS = ("Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances")

_FIND_HINT = "`dsm dicomweb find` lists what the server has."

# Answers for one instance of a series that the server lists and cannot give.
_LOST = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.INTERNAL_SERVER_ERROR)

# Reasons that a server gives for not storing (PS3.18, Table I.2-2).
_REASONS = {
    0x0110: "processing failed there",
    0x0111: "it has an instance of that UID already",
    0x0122: "it does not take segmentations (SOP class not supported)",
    0x0124: "the user may not store there",
    0xA700: "it is out of resources",
}


@dataclass(frozen=True, slots=True)
class RemoteSeries:
    """A series on a server.

    Args:
        address: Of the series.
        modality: E.g. `"CT"`; empty where the server does not say.
        description: What the scanner called it.
        study_date: `YYYYMMDD`, or empty.
        num_instances: Its files; 0 where the server does not say.
    """

    address: DicomwebAddress
    modality: str
    description: str
    study_date: str
    num_instances: int

    def __str__(self) -> str:
        images = f"{self.num_instances} images" if self.num_instances else ""
        return ", ".join(filter(None, (self.modality or "?", self.study_date, images, self.description)))


@contextmanager
def naming_address(folder: Path, address: DicomwebAddress) -> Iterator[None]:
    """Let errors name the address of a series instead of the temporary folder with its files."""
    try:
        yield
    except DSMError as error:
        text, hint = (part.replace(str(folder), str(address)) for part in (str(error), error.hint))
        raise make_error(error.code, text, hint=hint, details=error.details) from error


class DicomwebServer:
    """One server.

    Args:
        server: Address of the service, `DicomwebAddress.server`.
        access: Credentials and trust.

    Raises:
        MissingDependencyError: If dicomweb-client is not installed.
        RemoteError: If the certificate file cannot be read.
    """

    def __init__(self, server: str, access: DicomwebAccess) -> None:
        try:
            from dicomweb_client.web import DICOMwebClient  # noqa: PLC0415  (0.5 s, for this alone)

            from dsm.io.dicomweb_transport import make_session  # noqa: PLC0415
        except ImportError as error:
            raise MissingDependencyError(
                "DICOMweb needs the package dicomweb-client.", hint=install_hint("dicomweb")
            ) from error
        self._server = server
        try:
            session = make_session(server, access)
        except (OSError, ssl.SSLError) as error:
            raise RemoteError(
                f"The certificate file {access.certificate} cannot be read.",
                code="remote.certificate_file",
                hint="Give a PEM file.",
            ) from error
        self._client = DICOMwebClient(server, session, permissive_uid=True, timeout=(_CONNECT_S, _READ_S))
        self._client.set_http_retry_params(retry=False)  # the session does, without trying a wrong certificate again

    def find_series(self, address: DicomwebAddress, *, modalities: Sequence[str] = MODALITIES) -> list[RemoteSeries]:
        """Return the series that an address names or its search finds, in the order of their addresses.

        Args:
            address: Of the server, a study, a series, or a search.
            modalities: Only these.

        Raises:
            RemoteError: If the server cannot be reached, refuses, or knows no such study.
        """
        wanted = dict(address.search)
        if address.series:
            wanted["SeriesInstanceUID"] = address.series
        in_series = {key: value for key, value in wanted.items() if key in SERIES_KEYS}
        in_studies = {key: value for key, value in wanted.items() if key in STUDY_KEYS}
        if address.study:
            in_studies["StudyInstanceUID"] = address.study
        found: list[RemoteSeries] = []
        with self._explained(str(address)):
            studies = self._search(self._client.search_for_studies, "StudyInstanceUID", in_studies)
            for study in studies:
                uid = str(study.StudyInstanceUID)
                if address.study in ("", uid):  # some servers ignore what they do not know
                    date = str(study.get("StudyDate") or "")
                    found += self._series_of(address, uid, date, in_series)
        return sorted(
            (one for one in found if one.modality in modalities or not one.modality), key=lambda one: str(one.address)
        )

    def _series_of(
        self, address: DicomwebAddress, study: str, date: str, wanted: dict[str, str]
    ) -> Iterator[RemoteSeries]:
        def search(**options: Any) -> list[dict[str, Any]]:
            return self._client.search_for_series(study, fields=_SERIES_FIELDS, **options)

        for row in self._search(search, "SeriesInstanceUID", wanted):
            uid, modality = str(row.SeriesInstanceUID), str(row.get("Modality") or "")
            if address.series in ("", uid) and wanted.get("Modality", modality) == modality:
                num_instances = int(row.get("NumberOfSeriesRelatedInstances") or 0)
                description = str(row.get("SeriesDescription") or "")
                yield RemoteSeries(address.at(study, uid), modality, description, date, num_instances)

    def _search(
        self, search: Callable[..., list[dict[str, Any]]], key: str, filters: dict[str, str] | None = None
    ) -> list[Dataset]:
        """Return all rows, page by page, until one brings nothing new: some servers give the same page for ever."""
        from pydicom.dataset import Dataset  # noqa: PLC0415

        found: dict[str, Dataset] = {}
        while True:
            page = [Dataset.from_json(row) for row in search(search_filters=filters or None, offset=len(found) or None)]
            count = len(found)
            found |= {str(row[key].value): row for row in page if key in row}
            if len(found) == count:
                return list(found.values())

    def one_series(self, address: DicomwebAddress) -> DicomwebAddress:
        """Return the one CT or MR series that an address names.

        Raises:
            ImageError: If there is none, or several.
            RemoteError: See `find_series`.
        """
        if address.series:
            return address
        found = self.find_series(address)
        if len(found) == 1:
            return found[0].address
        if not found:
            raise ImageError(
                f"There is no CT or MR series at {address}.",
                code="bad_image.no_series",
                hint=_FIND_HINT,
            )
        listing = "; ".join(f"{one.address} ({one})" for one in found)
        raise ImageError(
            f"There are {len(found)} series at {address}.",
            code="bad_image.several_series",
            hint=f"Give one of them: {listing}.",
        )

    def fetch(self, address: DicomwebAddress, folder: Path, *, progress: ProgressCallback = ignore_progress) -> None:
        """Write all instances of a series as files, as the server keeps them.

        What a broken connection left out is asked for again, one by one.

        Args:
            address: Of a series.
            folder: Existing folder.
            progress: Stage `"download"`, in instances; may raise `JobCancelled`.

        Raises:
            RemoteError: If the server cannot be reached or refuses, or does not give all instances.
            OutputError: If the files cannot be written.
        """
        fetched: set[str] = set()
        with self._explained(str(address)):
            expected = self._instance_uids(address)
            progress("download", 0, len(expected))
            for dataset in self._instances(address, expected):
                with atomic_output(folder / f"{len(fetched):06d}.dcm") as part:
                    dataset.save_as(part, enforce_file_format=True)
                fetched.add(str(dataset.SOPInstanceUID))
                progress("download", len(fetched), max(len(expected), len(fetched)))
        if missing := len(expected - fetched):
            raise RemoteError(
                f"{missing} of the {len(expected)} images of the series cannot be fetched from {self._server}; the "
                "scan would have gaps.",
                code="dicomweb.incomplete",
                hint="Try again later; if it stays so, have the series sent to the server again.",
            )
        if not fetched:
            raise RemoteError(f"{address} has no images.", code="dicomweb.not_found", hint=_FIND_HINT)

    def _instance_uids(self, address: DicomwebAddress) -> set[str]:
        """Return the UIDs of a series; none where the server cannot be searched for instances."""
        from requests.exceptions import HTTPError  # noqa: PLC0415

        def search(**options: Any) -> list[dict[str, Any]]:
            return self._client.search_for_instances(address.study, address.series, **options)

        try:
            return {str(row.SOPInstanceUID) for row in self._search(search, "SOPInstanceUID")}
        except HTTPError as error:
            if _status(error) in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED):
                return set()  # what the server says to the fetching counts
            raise

    def _instances(self, address: DicomwebAddress, expected: set[str]) -> Iterator[Dataset]:
        """Yield each instance once: from one stream, then one by one what a broken stream left out."""
        from pydicom.errors import InvalidDicomError  # noqa: PLC0415
        from requests.exceptions import HTTPError, RequestException  # noqa: PLC0415

        came: set[str] = set()
        try:
            for dataset in self._client.iter_series(address.study, address.series, media_types=_AS_STORED):
                uid = str(dataset.SOPInstanceUID)
                if uid not in came and _is_whole(dataset):
                    came.add(uid)
                    yield dataset
        except (RequestException, InvalidDicomError, EOFError, ValueError) as error:
            if not expected or isinstance(error, HTTPError):
                raise
        for uid in sorted(expected - came):
            yield from self._instance(address, uid)

    def _instance(self, address: DicomwebAddress, uid: str) -> Iterator[Dataset]:
        """Yield one instance, or none where the server cannot give it."""
        from requests.exceptions import HTTPError  # noqa: PLC0415

        try:
            dataset = self._client.retrieve_instance(address.study, address.series, uid, media_types=_AS_STORED)
        except HTTPError as error:
            if _status(error) not in _LOST:
                raise
            return
        if _is_whole(dataset):
            yield dataset

    def store(self, file: Path) -> DicomwebAddress:
        """Store a DICOM file in the study that it belongs to, and return the address of its series.

        Raises:
            ImageError: If it is no DICOM file.
            RemoteError: If the server cannot be reached, refuses, or does not confirm it.
        """
        from pydicom import dcmread  # noqa: PLC0415
        from pydicom.errors import InvalidDicomError  # noqa: PLC0415

        try:
            dataset = dcmread(file)
        except (OSError, InvalidDicomError) as error:
            raise ImageError(
                f"{file} is not a DICOM file.", code="bad_image.format", hint="Give .dcm files."
            ) from error
        with self._explained(self._server):
            answer = self._stored(dataset)
        uid = str(dataset.SOPInstanceUID)
        failed = answer.get("FailedSOPSequence") or answer.get("OtherFailuresSequence") or ()
        for item in failed:
            raise self._not_stored(file, int(item.get("FailureReason") or 0))
        stored = {str(item.get("ReferencedSOPInstanceUID")) for item in answer.get("ReferencedSOPSequence") or ()}
        if uid not in stored and not self._holds(dataset):
            raise self._not_stored(file, 0)
        return DicomwebAddress(self._server, str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID))

    def _stored(self, dataset: Dataset) -> Dataset:
        from pydicom.dataset import Dataset  # noqa: PLC0415
        from requests.exceptions import HTTPError  # noqa: PLC0415

        try:
            return self._client.store_instances([dataset])
        except HTTPError as error:
            if _status(error) != HTTPStatus.CONFLICT:
                raise
            return Dataset.from_json(error.response.json()) if error.response is not None else Dataset()

    def _holds(self, dataset: Dataset) -> bool:
        """Return whether the server has an instance, for a server that does not say what it has stored."""
        address = DicomwebAddress(self._server, str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID))
        with self._explained(str(address)):
            return str(dataset.SOPInstanceUID) in self._instance_uids(address)

    def _not_stored(self, file: Path, reason: int) -> RemoteError:
        why = _REASONS.get(reason, f"reason {reason:04X}" if reason else "it does not say why")
        return RemoteError(
            f"{self._server} has not stored {file.name}: {why}.",
            code="dicomweb.not_stored",
            hint="Ask the administrator of the server whether it takes such objects from you.",
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise errors of the connection and of the server as `RemoteError`."""
        from dsm.io.dicomweb_transport import explain  # noqa: PLC0415

        try:
            yield
        except DSMError:
            raise
        except OSError as error:  # those of requests are, too
            raise explain(error, what, self._server) from error
        except (ValueError, KeyError, AttributeError) as error:
            raise RemoteError(
                f"{self._server} does not speak DICOMweb.",
                code="dicomweb.not_dicomweb",
                hint="Check the path: it is /dicom-web for Orthanc, /dcm4chee-arc/aets/AET/rs for dcm4chee.",
                details=repr(error),
            ) from error


def _status(error: requests.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 0


def _is_whole(dataset: Dataset) -> bool:
    """Return whether all voxels of an instance came; those of a compressed one are checked where they are decoded."""
    from pydicom.pixels.utils import get_expected_length  # noqa: PLC0415

    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return True
    return len(dataset.PixelData) >= int(get_expected_length(dataset))
