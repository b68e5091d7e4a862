"""Error codes of exceptions."""

from __future__ import annotations

import errno

import pytest

from dsm.errors import ImageError, JobCancelled, OutputError, WeightsError
from dsm.worker.error_mapping import error_message


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's own, which is known by its name so that PyTorch need not be imported."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WeightsError("x"), "bad_checksum"),
        (ImageError("x", code="bad_image"), "bad_image"),
        (JobCancelled("x"), "cancelled"),
        (MemoryError(), "oom_ram"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "oom_ram"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate"), "oom_gpu"),
        (RuntimeError("CUDA error: device-side assert triggered"), "cuda_broken"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "import_failed"),
        (OSError(22, '[WinError 126] Error loading "c10.dll" or one of its dependencies.'), "import_failed"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EFBIG, "File too large"), "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "output"),
        (ValueError("x"), "internal"),
        (RecursionError(), "internal"),
    ],
)
def test_code_of_an_exception(error: Exception, code: str) -> None:
    message = error_message(error, "job-1")
    assert (message.id, message.code) == ("job-1", code)
    assert message.text


def test_full_disk_is_recognised_as_the_cause() -> None:
    error = OutputError("The result cannot be written.")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert error_message(error, "1").code == "disk_full"


def test_unexpected_error_carries_its_traceback() -> None:
    try:
        _ = dict[str, int]()["key"]
    except KeyError as error:
        message = error_message(error, "1")
    assert "test_error_mapping.py" in message.details
    assert "KeyError" in message.text
    assert message.hint


def test_hint_and_details_of_our_errors_are_kept() -> None:
    message = error_message(WeightsError("Damaged.", hint="Again.", details="d" * 50_000), "1")
    assert (message.text, message.hint) == ("Damaged.", "Again.")
    assert len(message.details) == 20_000
