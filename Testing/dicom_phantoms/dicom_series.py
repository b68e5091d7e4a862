"""DICOM series made for tests: classic and enhanced, whole and broken, with a patient who must never leak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

PATIENT = "Vertraulich^Erika"
PATIENT_ID = "SECRET4711"
DESCRIPTION = "Abdomen portal"

ROW = (1.0, 0.0, 0.0)
COLUMN = (0.0, 1.0, 0.0)
ORIGIN = (-60.0, -50.0, 20.0)
SPACING = (2.5, 2.0, 3.0)  # along i, j, k

Change = Callable[[int, FileDataset], None]


def phantom(shape: tuple[int, int, int] = (48, 44, 20)) -> np.ndarray:
    """Soft tissue with a denser core in air, `[I, J, K]` HU."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    hu = np.where(radius < 0.9, 40, -1000) + np.where(radius < 0.4, 80, 0)
    return (hu + np.random.default_rng(0).integers(-9, 10, shape)).astype(np.int16)


def write_series(
    folder: Path,
    *,
    voxels: np.ndarray | None = None,
    modality: str = "CT",
    uid: str = "",
    depths: Sequence[float] | None = None,
    shear: float = 0.0,
    change: Change | None = None,
    prefix: str = "IM",
    patient: str = PATIENT,
) -> str:
    """Write one file a slice, named against their order in space, and return the series UID."""
    voxels = phantom() if voxels is None else voxels
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    study, frame_of_reference = generate_uid(), generate_uid()
    normal = np.cross(ROW, COLUMN)
    places = [SPACING[2] * k for k in range(voxels.shape[2])] if depths is None else list(depths)
    for k, depth in enumerate(places):
        data = _file(folder / f"{prefix}{9999 - k:04d}.dcm", CTImageStorage if modality == "CT" else MRImageStorage)
        _describe(data, modality, uid, study, frame_of_reference, patient)
        data.InstanceNumber = k + 1
        data.PixelSpacing = [SPACING[1], SPACING[0]]
        data.SliceThickness = SPACING[2]
        data.ImageOrientationPatient = [*ROW, *COLUMN]
        data.ImagePositionPatient = [float(x) for x in ORIGIN + depth * (normal + shear * np.array(COLUMN))]
        _set_pixels(data, voxels[:, :, k % voxels.shape[2]].T)
        data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
        if change is not None:
            change(k, data)
        data.save_as(data.filename)
    return uid


def write_enhanced(
    folder: Path,
    *,
    voxels: np.ndarray | None = None,
    modality: str = "CT",
    order: Sequence[int] | None = None,
    depths: Sequence[float] | None = None,
    change: Callable[[FileDataset], None] | None = None,
) -> str:
    """Write one multi-frame file whose frames are the slices `order`, and return the series UID."""
    voxels = phantom() if voxels is None else voxels
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid()
    storage = EnhancedCTImageStorage if modality == "CT" else EnhancedMRImageStorage
    data = _file(folder / "enhanced.dcm", storage)
    _describe(data, modality, uid, generate_uid(), generate_uid(), PATIENT)
    slices = list(range(voxels.shape[2])) if order is None else list(order)
    places = [SPACING[2] * k for k in range(voxels.shape[2])] if depths is None else list(depths)
    data.NumberOfFrames = len(slices)
    data.InstanceNumber = 1
    _set_pixels(data, np.stack([voxels[:, :, k].T for k in slices]))
    shared = Dataset()
    shared.PlaneOrientationSequence = _one(ImageOrientationPatient=[*ROW, *COLUMN])
    shared.PixelMeasuresSequence = _one(PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=SPACING[2])
    shared.PixelValueTransformationSequence = _one(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")
    data.SharedFunctionalGroupsSequence = DicomSequence([shared])
    normal = np.cross(ROW, COLUMN)
    frames = []
    for n, k in enumerate(slices):
        frame = Dataset()
        position = [float(x) for x in ORIGIN + places[k] * normal]
        frame.PlanePositionSequence = _one(ImagePositionPatient=position)
        frame.FrameContentSequence = _one(StackID="1", InStackPositionNumber=n + 1, DimensionIndexValues=[1, n + 1])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    if change is not None:
        change(data)
    data.save_as(data.filename)
    return uid


def _file(path: Path, storage: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    return data


def _describe(data: FileDataset, modality: str, series: str, study: str, frame_of_reference: str, patient: str) -> None:
    data.SpecificCharacterSet = "ISO_IR 192"
    data.Modality, data.SeriesInstanceUID, data.StudyInstanceUID = modality, series, study
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame_of_reference, ""
    data.PatientName, data.PatientID = patient, PATIENT_ID
    data.PatientBirthDate, data.PatientSex = "19700101", "F"
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "120000", "1", "ACC1"
    data.ReferringPhysicianName = "Arzt^Anna"
    data.SeriesNumber, data.SeriesDescription = 3, DESCRIPTION
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Manufacturer = "Phantom"


def _set_pixels(data: FileDataset, hu: np.ndarray) -> None:
    data.Rows, data.Columns = hu.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = (hu.astype(np.int32) + 1024).astype("<u2").tobytes()


def _one(**values: object) -> DicomSequence:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return DicomSequence([item])
