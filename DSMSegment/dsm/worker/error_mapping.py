"""Mapping of exceptions to error messages with stable codes."""

from __future__ import annotations

import errno
import traceback

from dsm.core.local_computing import torch_hint
from dsm.errors import DSMError
from dsm.wire.messages import Error

# No space, over the user's quota, over the largest file that the process or the file system may write.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_MAX_DETAILS = 20_000


def error_message(error: BaseException, job_id: str) -> Error:
    """Describe `error` for the host; never raises.

    Args:
        error: Exception that ended the job.
        job_id: The job, or `""`.

    Returns:
        The message. Errors of DSM keep their code; full disks, exhausted memory, missing packages and broken CUDA are
        recognised in errors of the libraries; the rest is `"internal"` with the traceback in `details`.
    """
    if _is_full_disk(error):
        return Error(
            id=job_id,
            code="disk_full",
            text="The disk with the temporary folder is full; the result could not be written.",
            hint="Free some space, or choose another temporary folder.",
            details=_trace(error),
        )
    if isinstance(error, DSMError):
        return Error(
            id=job_id, code=error.code, text=str(error), hint=error.hint, details=error.details[-_MAX_DETAILS:]
        )
    code, text, hint = _recognise(error)
    return Error(id=job_id, code=code, text=text, hint=hint, details=_trace(error))


def _recognise(error: BaseException) -> tuple[str, str, str]:
    kind, words = type(error).__name__, str(error)
    if kind == "OutOfMemoryError" or "CUDA out of memory" in words or "MPS backend out of memory" in words:
        return "oom_gpu", "The memory of the GPU does not suffice.", "Close other programs or choose the CPU."
    # PyTorch's CPU allocator raises a plain RuntimeError.
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in words:
        return "oom_ram", "The main memory does not suffice.", "Close other programs or take a smaller volume."
    # PyTorch loads its libraries on Windows by hand.
    if isinstance(error, ImportError) or (isinstance(error, OSError) and "or one of its dependencies" in words):
        return "import_failed", f"A package cannot be imported ({words}).", _how_to_import(error)
    if isinstance(error, RuntimeError) and any(word in words for word in ("CUDA error", "cuDNN", "CUBLAS")):
        return "cuda_broken", "The GPU does not work.", "Update the driver, restart, or choose the CPU."
    if isinstance(error, OSError):
        return "output", f"A file cannot be read or written ({error.strerror or words}).", "Check the temporary folder."
    return "internal", f"An unexpected error occurred ({kind}: {words[:300]}).", "Please report it with the details."


def _how_to_import(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return torch_hint()
    if not isinstance(error, ImportError) or "DLL load failed" in str(error):
        return "Install Microsoft's Visual C++ Redistributable, then the packages of DSMSegment again."
    return "Install the packages of DSMSegment again."


def _is_full_disk(error: BaseException) -> bool:
    link: BaseException | None = error
    while link is not None and isinstance(link, (OSError, DSMError)):
        if isinstance(link, OSError) and link.errno in _FULL:
            return True
        link = link.__cause__
    return False


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_MAX_DETAILS:]
