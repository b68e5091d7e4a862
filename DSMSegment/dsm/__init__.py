"""DSM: text-prompted segmentation of CT and MR volumes. Encode the volume once, prompt it as often as you like.

Importing this package loads neither torch nor NumPy; each name is loaded on first use (PEP 562).
Research use, not a medical device.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsm._version import __version__

if TYPE_CHECKING:
    from dsm.core.boxes import Box, CroppedArray
    from dsm.core.click import Click
    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult
    from dsm.core.structure import Structure
    from dsm.core.volume import Volume
    from dsm.errors import DSMError
    from dsm.inference.lesion_list import MeasuredLesion, list_lesions
    from dsm.inference.scan import Scan
    from dsm.inference.segment_metadata import segment_records
    from dsm.inference.segmenter import Segmenter
    from dsm.io.dicom import Series, list_series
    from dsm.io.dicom_seg import write_dicom_seg
    from dsm.io.image import read_volume
    from dsm.io.labelmap import write_labelmap
    from dsm.io.probabilities import write_probabilities
    from dsm.io.rtstruct import write_rtstruct
    from dsm.io.seg_nrrd import write_seg_nrrd
    from dsm.io.seg_nrrd_reader import read_segments
    from dsm.io.segment_record import SegmentRecord
    from dsm.models.store import ModelEntry, list_models
    from dsm.text.prompt import parse_prompts
    from dsm.text.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    "Box",
    "Click",
    "CroppedArray",
    "DSMError",
    "MeasuredLesion",
    "ModelEntry",
    "Prompt",
    "PromptResult",
    "Scan",
    "SegmentRecord",
    "Segmenter",
    "Series",
    "Structure",
    "Vocabulary",
    "Volume",
    "__version__",
    "list_lesions",
    "list_models",
    "list_series",
    "load_vocabulary",
    "parse_prompts",
    "read_segments",
    "read_volume",
    "segment_records",
    "write_dicom_seg",
    "write_labelmap",
    "write_probabilities",
    "write_rtstruct",
    "write_seg_nrrd",
]

_MODULES = {
    "Box": "dsm.core.boxes",
    "Click": "dsm.core.click",
    "CroppedArray": "dsm.core.boxes",
    "DSMError": "dsm.errors",
    "MeasuredLesion": "dsm.inference.lesion_list",
    "ModelEntry": "dsm.models.store",
    "Prompt": "dsm.core.prompt",
    "PromptResult": "dsm.core.result",
    "Scan": "dsm.inference.scan",
    "SegmentRecord": "dsm.io.segment_record",
    "Segmenter": "dsm.inference.segmenter",
    "Series": "dsm.io.dicom",
    "Structure": "dsm.core.structure",
    "Vocabulary": "dsm.text.vocabulary",
    "Volume": "dsm.core.volume",
    "list_lesions": "dsm.inference.lesion_list",
    "list_models": "dsm.models.store",
    "list_series": "dsm.io.dicom",
    "load_vocabulary": "dsm.text.vocabulary",
    "parse_prompts": "dsm.text.prompt",
    "read_segments": "dsm.io.seg_nrrd_reader",
    "read_volume": "dsm.io.image",
    "segment_records": "dsm.inference.segment_metadata",
    "write_dicom_seg": "dsm.io.dicom_seg",
    "write_labelmap": "dsm.io.labelmap",
    "write_probabilities": "dsm.io.probabilities",
    "write_rtstruct": "dsm.io.rtstruct",
    "write_seg_nrrd": "dsm.io.seg_nrrd",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
