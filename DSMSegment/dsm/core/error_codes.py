"""Error codes: what each means, and what programs do about it. Each code stands here once.

Codes are stable: hosts, scripts and servers of other versions compare them. `docs/reference/error-codes.md` is made
from this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsm.errors import (
    ConfigError,
    DeviceError,
    DSMError,
    GeometryError,
    ImageError,
    InputError,
    JobCancelled,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
    OutOfMemoryError,
    OutputError,
    PromptError,
    ProtocolError,
    RemoteError,
    ResourceError,
    ServerError,
    ShapeError,
    WeightsError,
    WorkerError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """One code.

    Args:
        code: As in `DSMError.code`.
        error: Class of the exception, also where it is made again from a message.
        meaning: One sentence for the user.
        http_status: Of the answer of a server; 422 for what the user can change.
        worker_lost: The worker is gone: a batch tries the case once more in a new one.
        requeued: A server runs the job again, in another worker.
        ends_cohort: No other case of a batch can succeed either.
        transient: Of a connection, not of a request: asking again may help.
        busy: The server wants to be asked later.
    """

    code: str
    error: type[DSMError]
    meaning: str
    http_status: int = 422
    worker_lost: bool = False
    requeued: bool = False
    ends_cohort: bool = False
    transient: bool = False
    busy: bool = False


def _row(code: str, error: type[DSMError], meaning: str, **columns: int) -> ErrorCode:
    return ErrorCode(code=code, error=error, meaning=meaning, **columns)  # type: ignore[arg-type]  # bool is an int


_ROWS = (
    # Images
    _row("bad_image", ImageError, "A file is no image that can be segmented."),
    _row("bad_image.damaged", ImageError, "A file is damaged or cut short."),
    _row("bad_image.detached", ImageError, "An upload is a header whose voxels are in another file."),
    _row("bad_image.dicom_file", ImageError, "One DICOM file was given; the folder of its series is needed."),
    _row("bad_image.empty", ImageError, "A file is empty."),
    _row("bad_image.format", ImageError, "The file type is not supported."),
    _row(
        "bad_image.incomplete_header",
        ImageError,
        "The series lacks header fields that DICOM SEG and RT Structure Set need.",
    ),
    _row("bad_image.lookup_table", ImageError, "The values of a DICOM series go through a table that is not read."),
    _row("bad_image.missing", ImageError, "There is no such file or folder."),
    _row("bad_image.modality", ImageError, "The series is neither CT nor MR."),
    _row("bad_image.multi_frame", ImageError, "The multi-frame DICOM object is of a kind that cannot be read."),
    _row("bad_image.no_data_file", ImageError, "A header names a data file that is missing."),
    _row("bad_image.no_dicom", ImageError, "The folder holds no DICOM images."),
    _row("bad_image.no_position", ImageError, "DICOM slices do not say where they lie in the patient."),
    _row("bad_image.no_scan", ImageError, "Below the folder there is no scan."),
    _row("bad_image.no_segmentation", ImageError, "The file holds no segmentation of 3D Slicer."),
    _row("bad_image.no_series", ImageError, "The folder holds no series with the given UID."),
    _row("bad_image.several_series", ImageError, "The folder holds several series; choose one."),
    _row("bad_image.too_large", ImageError, "The image or upload has more voxels or bytes than is allowed."),
    _row("bad_image.unreadable", ImageError, "The file cannot be read."),
    _row("bad_image.zip", ImageError, "The archive is damaged, or is no .zip of files."),
    # Geometry
    _row("geometry", GeometryError, "The position of the voxels in the patient is impossible."),
    _row("geometry.affine", GeometryError, "The affine matrix is malformed."),
    _row(
        "geometry.contradiction",
        GeometryError,
        "The header states two different positions, or sizes that are negative.",
    ),
    _row("geometry.doubled_slices", GeometryError, "Several DICOM slices lie at the same position."),
    _row("geometry.field_of_view", GeometryError, "The field of view is impossible for a patient."),
    _row("geometry.label", InputError, "A label map lies on another grid than its image."),
    _row("geometry.missing_slices", GeometryError, "Slices of the series are missing."),
    _row("geometry.mixed_slices", GeometryError, "Slices differ in size, spacing or direction."),
    _row("geometry.no_orientation", GeometryError, "The file has no orientation; for NIfTI, give --orientation."),
    _row("geometry.other_grid", GeometryError, "The segments lie on another grid than the DICOM series."),
    _row("geometry.sheared", GeometryError, "The axes are not perpendicular."),
    _row("geometry.singular", GeometryError, "An axis has no length, or two are parallel."),
    _row("geometry.transform", GeometryError, "A volume lies under a transform that is not linear."),
    _row("geometry.uneven_slices", GeometryError, "The slices have uneven distances."),
    _row("geometry.units", GeometryError, "Lengths are not in millimetres."),
    # Other input
    _row("input", InputError, "Something that was given cannot be used."),
    _row("input.axes", ShapeError, "The image does not have three axes."),
    _row("input.box", ShapeError, "A box or mask reaches outside of the grid."),
    _row("input.dtype", ShapeError, "The voxels are of a type that is not supported."),
    _row("input.edit", InputError, "The segment cannot be edited in this way."),
    _row("input.edited", InputError, "The segment was corrected by hand and keeps its mask."),
    _row("input.empty", InputError, "The volume or segmentation holds nothing."),
    _row("input.export", InputError, "There is nothing to export, or not in this format."),
    _row("input.folder", InputError, "The folder holds another data set."),
    _row("input.job", InputError, "The job was started already."),
    _row("input.labelmap", InputError, "The volume is a label map, not an image."),
    _row("input.modality", InputError, "The modality is neither CT nor MR."),
    _row(
        "input.no_dicom",
        InputError,
        "The scan is no DICOM series, so DICOM SEG and RT Structure Set cannot refer to it.",
    ),
    _row("input.not_finite", ShapeError, "The voxels hold infinities or NaN."),
    _row("input.orientation", GeometryError, "The axis letters are no orientation."),
    _row("input.probability", InputError, "No probability map is kept of the segment."),
    _row("input.prompt", InputError, "The segment or job has no usable prompt."),
    _row("input.representation", InputError, "The segmentation is stored as something else than a binary label map."),
    _row("input.roi", InputError, "The region of interest is empty, rotated or outside of the volume."),
    _row("input.sequence", InputError, "The volume belongs to no sequence that can be run."),
    _row("input.series", InputError, "A series UID was given, but the input is no folder of DICOM files."),
    _row("input.shape", ShapeError, "An array has the wrong shape."),
    _row("input.slice", ShapeError, "The image is a single slice."),
    _row("input.threshold", InputError, "The threshold does not lie between 0 and 1."),
    _row("input.twice", InputError, "The same series lies in several folders."),
    _row("input.values", InputError, "The values are not those of a CT in Hounsfield units."),
    _row("input.volume", InputError, "There is no volume, or it is not in the scene any more."),
    _row("input.workers", InputError, "The number of workers is not positive."),
    _row("click", InputError, "A click is malformed."),
    _row("click.inside", InputError, "No click of a prompt is inside, and there is no mask to correct."),
    _row("click.outside", InputError, "A click lies outside of the volume."),
    _row("click.too_many", InputError, "A prompt has more clicks than are allowed."),
    _row("clicks_file", InputError, "A CSV file of clicks cannot be used."),
    _row("threshold", InputError, "The threshold does not lie between 0 and 1."),
    _row("dataset.label", ImageError, "A label map of a data set holds unknown values."),
    _row("dataset.layout", ImageError, "The folder is not laid out as the data set is published."),
    _row("dataset.name", ImageError, "The data set has no description of its labels."),
    # Prompts, configuration
    _row("prompt", PromptError, "A prompt cannot be used."),
    _row("prompt.empty", PromptError, "There is no prompt."),
    _row("prompt.negation", PromptError, "A prompt says what is not to be segmented."),
    _row("config", ConfigError, "A configuration has an unknown key or a value out of range."),
    _row("config.no_tls", ConfigError, "A server for other machines needs a certificate."),
    # Output
    _row("output", OutputError, "A result cannot be written."),
    _row("output.busy", OutputError, "Another run writes into the folder."),
    _row("output.dicom", OutputError, "3D Slicer cannot export this as DICOM."),
    _row("output.format", OutputError, "The file name ends in no known file type."),
    _row("output.is_file", OutputError, "A file stands where a folder is needed."),
    _row("output.is_folder", OutputError, "A folder stands where a file is to be written."),
    _row("output.is_input", OutputError, "The output would replace the input."),
    _row("output.no_folder", OutputError, "The folder of the output does not exist."),
    _row("output.not_a_file", OutputError, "The output is a device or a pipe."),
    _row("output.nothing_found", OutputError, "Nothing was found, and the format cannot hold an empty result."),
    _row("output.permission", OutputError, "The output may not be written there.", ends_cohort=True),
    _row("output.segment", OutputError, "3D Slicer refused the mask of a segment."),
    _row("output.settings", OutputError, "The folder holds results of other settings."),
    _row("output.time_point", OutputError, "Another time point of the sequence was shown meanwhile."),
    _row("output.twice", OutputError, "Two outputs have the same name."),
    _row("disk_full", OutputError, "The disk or quota is full.", http_status=507, ends_cohort=True),
    # Models and packages
    _row("no_model", ModelNotFoundError, "No model of that name is installed.", ends_cohort=True),
    _row("bad_checksum", WeightsError, "The files of a model are damaged.", ends_cohort=True),
    _row("model.clicks", ModelError, "The model has no click network.", ends_cohort=True),
    _row("model.download", ModelError, "The archive of a model cannot be fetched."),
    _row("model.schema", WeightsError, "The model was made for another version of DSMSegment."),
    _row("model.unsafe", WeightsError, "The archive of a model would write outside of its folder."),
    _row("import_failed", MissingDependencyError, "A package is missing or cannot be imported.", ends_cohort=True),
    _row("text.tower", MissingDependencyError, "Free text needs a text encoder that is not installed."),
    _row("hub", ResourceError, "The text encoder cannot be fetched."),
    _row("install", DSMError, "Packages could not be installed."),
    # Machine
    _row("resource", ResourceError, "The machine lacks what the job needs."),
    _row("resource.scenes", ResourceError, "As many browser sessions as are allowed are open."),
    _row("oom_ram", OutOfMemoryError, "The main memory does not suffice."),
    _row("oom_gpu", OutOfMemoryError, "The memory of the GPU does not suffice."),
    _row("device", DeviceError, "The device does not exist or does not work.", ends_cohort=True),
    _row("cuda_broken", DeviceError, "The GPU or its driver does not work."),
    _row("ray", ResourceError, "The Ray cluster cannot be used."),
    # Worker
    _row("worker", WorkerError, "The worker process answered with an error."),
    _row("worker.start", WorkerError, "The worker process does not start.", ends_cohort=True),
    _row("worker.died", WorkerError, "The worker process ended unexpectedly.", worker_lost=True, requeued=True),
    _row("worker.timeout", WorkerError, "The worker process does not answer.", worker_lost=True, requeued=True),
    _row("worker.closed", WorkerError, "The worker was closed.", worker_lost=True, ends_cohort=True),
    _row("bench.job", WorkerError, "A measurement of the benchmark failed."),
    _row("protocol", ProtocolError, "A message cannot be understood."),
    _row("protocol.path", ProtocolError, "A message names a file outside of the job's folder."),
    _row("protocol.too_long", ProtocolError, "A message is too long."),
    _row("unsupported", ProtocolError, "The other side does not know this request."),
    _row("cancelled", JobCancelled, "The user cancelled the job."),
    _row("internal", DSMError, "An unexpected error; please report it with its details."),
    # Server
    _row("request", ServerError, "The server cannot serve the request."),
    _row("token", ServerError, "The token is wrong or missing.", http_status=401),
    _row("not_found", ServerError, "There is no such job or file, or it belongs to another user.", http_status=404),
    _row("no_volume", InputError, "The volume is not kept any more; it is sent again.", http_status=404, requeued=True),
    _row("busy", ServerError, "Other jobs are running.", http_status=429, busy=True),
    _row("quota", ServerError, "The user has as many jobs or volumes as are allowed.", http_status=429, busy=True),
    _row("closing", ServerError, "The server is shutting down.", http_status=503),
    _row("upload.checksum", ServerError, "An upload arrived with other content than announced.", http_status=400),
    _row("upload.length", ServerError, "An upload does not say its length.", http_status=411),
    _row("upload.too_large", ServerError, "An upload is larger than allowed.", http_status=413),
    _row("upload.truncated", ServerError, "An upload ended too early.", http_status=400),
    # Connection to a server
    _row("remote", RemoteError, "The server cannot be used."),
    _row("remote.address", RemoteError, "The address is malformed."),
    _row("remote.broken", RemoteError, "The connection broke off.", transient=True),
    _row("remote.certificate", RemoteError, "The certificate of the server is not trusted."),
    _row("remote.certificate_file", RemoteError, "The certificate file cannot be read."),
    _row("remote.consent", RemoteError, "The user has not agreed to send images to the server."),
    _row("remote.name", RemoteError, "There is no machine of that name."),
    _row("remote.not_dsm", RemoteError, "The address is no server of DSMSegment."),
    _row("remote.refused", RemoteError, "Nothing listens at the port.", transient=True),
    _row("remote.starting", RemoteError, "The server has no worker that is ready yet."),
    _row("remote.timeout", RemoteError, "The server does not answer in time.", transient=True),
    _row("remote.tls", RemoteError, "The server does not speak HTTPS."),
    _row("remote.token", RemoteError, "The server refuses the token."),
    _row("remote.unreachable", RemoteError, "The server cannot be reached.", transient=True),
    _row("remote.version", RemoteError, "The server speaks another version of the protocol."),
    # DICOMweb
    _row("dicomweb.address", InputError, "The address is none of a DICOMweb server, study or series."),
    _row("dicomweb.archive", ServerError, "The server cannot use its archive."),
    _row("dicomweb.incomplete", RemoteError, "The server does not give all images of a series."),
    _row("dicomweb.no_archive", InputError, "The server segments uploads alone; no archive was configured."),
    _row("dicomweb.no_tls", ConfigError, "The connection to another machine would not be encrypted."),
    _row("dicomweb.not_dicomweb", RemoteError, "The address does not speak DICOMweb."),
    _row("dicomweb.not_found", RemoteError, "The server has no such study or series."),
    _row("dicomweb.not_stored", RemoteError, "The server has not stored a file."),
    _row("dicomweb.other_server", InputError, "The address is not of the archive that the server was configured for."),
    _row("dicomweb.status", RemoteError, "The server answers with an error."),
)
ERROR_CODES = {row.code: row for row in _ROWS}
_UNKNOWN = ErrorCode(code="", error=WorkerError, meaning="A code of another version of DSMSegment.")


def error_code(code: str) -> ErrorCode:
    """Return the row of a code; for one of another version, that of the part before its dot, or a general one."""
    return ERROR_CODES.get(code) or ERROR_CODES.get(code.partition(".")[0]) or _UNKNOWN


def make_error(code: str, message: str, *, hint: str = "", details: str = "") -> DSMError:
    """Return the exception that was sent as a message, of the class that was raised on the other side."""
    return error_code(code).error(message, code=code, hint=hint, details=details)
