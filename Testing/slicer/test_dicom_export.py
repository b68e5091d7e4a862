"""Input of Slicer's DICOM exporter is complete, or the message names what is missing.

Slicer's plug-in needs the application: here it is a stand-in that refuses what the plug-in refuses, and records what it
is given. The codes and tags are checked against what highdicom demands of a segment description.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from dicom_exporter import DICOMSegmentationExporter
from phantoms import mask_of, plain_affine, tag_of, volume_node

from dsm.errors import InputError, OutputError
from DSMSegmentLib import SegmentationJob
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.dicom_export import dicomProblems, exportDicom
from DSMSegmentLib.scene.exporting import exportSegmentation
from DSMSegmentLib.scene.mrml import volumeFromNode

sys.path.insert(0, str(Path(__file__).parents[1] / "dicom_phantoms"))

MASKS = {"liver": mask_of(seed=1), "liver tumor": mask_of(seed=2), "grey thing": mask_of(seed=3)}


@pytest.fixture
def volume() -> Any:
    volume = volume_node(plain_affine())
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, volume)
    return volume


@pytest.fixture
def node(volume: Any) -> Any:
    job = SegmentationJob(volume, list(MASKS), FakeBackend(MASKS))
    job.wait()
    return job.segmentationNode


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for Slicer's plug-in; holds what it was given."""
    given: list[Any] = []

    class Plugin(DICOMSegmentationExporter):
        result = ""
        names = (DICOMSegmentationExporter.file_name,)

        def fileForInstance(self, uid: str) -> str:
            return f"{uid}.dcm"

        def write(self, path: Path, node: Any, segment_ids: list[str], volume: Any) -> None:
            given.append(types.SimpleNamespace(node=node, segment_ids=segment_ids, directory=path.parent))
            if self.result:
                raise ValueError(self.result)
            for name in self.names:
                path.with_name(name).write_bytes(b"DICM")

    module = types.ModuleType("DICOMSegmentationPlugin")
    module.DICOMSegmentationPluginClass = Plugin
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", module)
    return given


def test_segments_from_prompts_are_complete(node: Any, volume: Any) -> None:
    assert dicomProblems(node, volume) == []


def test_codes_and_algorithm_make_segment_descriptions_of_highdicom(node: Any) -> None:
    hd = pytest.importorskip("highdicom")
    from pydicom.sr.coding import Code

    segmentation = node.GetSegmentation()
    for number, segment_id in enumerate(segmentation.GetSegmentIDs(), start=1):
        segment = segmentation.GetSegment(segment_id)
        category, kind = (
            Code(*(one.split("^")[index] for index in (1, 0, 2))) for one in segment.GetTerminology().split("~")[1:3]
        )
        algorithm = hd.AlgorithmIdentificationSequence(
            tag_of(segment, "DICOM.SegmentAlgorithmName"), Code("123109", "DCM", "Manual Processing"), "0"
        )
        description = hd.seg.SegmentDescription(
            number, segment.GetName(), category, kind, tag_of(segment, "DICOM.SegmentAlgorithmType"), algorithm
        )
        assert description.SegmentAlgorithmType == "AUTOMATIC"


def test_plugin_gets_the_segmentation_under_the_study_of_the_volume(
    node: Any, volume: Any, exported: list[Any], tmp_path: Path
) -> None:
    exportDicom(node, volume, tmp_path / "liver.dcm")
    (one,) = exported
    assert one.node is node
    assert one.segment_ids == ["DSM_liver", "DSM_liver_tumor", "DSM_gray_thing"]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = (hierarchy.GetItemByDataNode(each) for each in (node, volume))
    assert len({hierarchy.GetItemParent(item) for item in items}) == 1


def test_file_has_the_name_that_the_user_chose(node: Any, volume: Any, exported: list[Any], tmp_path: Path) -> None:
    (tmp_path / "liver.dcm").write_bytes(b"of an earlier export")
    exportSegmentation(node, volume, tmp_path / "liver.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["liver.dcm"]
    assert (tmp_path / "liver.dcm").read_bytes() == b"DICM"
    assert not Path(exported[0].directory).exists()


@pytest.mark.parametrize("names", [(), ("a.dcm", "b.dcm")])
def test_other_than_one_file_is_an_error(
    node: Any, volume: Any, exported: list[Any], tmp_path: Path, names: tuple[str, ...]
) -> None:
    sys.modules["DICOMSegmentationPlugin"].DICOMSegmentationPluginClass.names = names
    with pytest.raises(OutputError, match=f"{len(names)} files instead of one"):
        exportDicom(node, volume, tmp_path / "liver.dcm")
    assert not list(tmp_path.iterdir())


def test_slicer_without_an_exporter_is_said(
    node: Any, volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", None)
    with pytest.raises(OutputError) as caught:
        exportDicom(node, volume, tmp_path / "liver.dcm")
    assert "QuantitativeReporting" in caught.value.hint


def test_structure_set_refers_to_the_files_of_the_database(
    node: Any, volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pydicom = pytest.importorskip("pydicom")
    write_images(tmp_path / "database", volume)
    files = sorted((tmp_path / "database").iterdir())
    uids = {str(pydicom.dcmread(file).SOPInstanceUID): str(file) for file in files}
    database = types.SimpleNamespace(fileForInstance=lambda uid: uids.get(uid, ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    exportSegmentation(node, volume, tmp_path / "liver.rtstruct.dcm")
    data = pydicom.dcmread(tmp_path / "liver.rtstruct.dcm")
    assert [item.ROIName for item in data.StructureSetROISequence] == ["liver", "liver tumor", "gray thing"]
    volumes = [float(item.ROIVolume) for item in data.StructureSetROISequence]
    voxel_ml = abs(np.linalg.det(plain_affine()[:3, :3])) / 1000
    assert volumes == pytest.approx([mask.sum() * voxel_ml for mask in MASKS.values()], rel=1e-4)
    referred = {
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        for region in data.ROIContourSequence
        for contour in region.ContourSequence
    }
    assert referred <= set(uids)

    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    with pytest.raises(InputError, match="not in the DICOM database"):
        exportSegmentation(node, volume, tmp_path / "other.rtstruct.dcm")
    assert not (tmp_path / "other.rtstruct.dcm").exists()


def write_images(folder: Path, node: Any) -> None:
    """Write the slices of a volume, axial and without shear, as a DICOM series."""
    import dicom_series

    volume = volumeFromNode(node)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_series, "ROW", tuple(to_lps[:3, 0] / spacing[0]))
        patch.setattr(dicom_series, "COLUMN", tuple(to_lps[:3, 1] / spacing[1]))
        patch.setattr(dicom_series, "ORIGIN", tuple(to_lps[:3, 3]))
        patch.setattr(dicom_series, "SPACING", tuple(spacing))
        depths = (
            np.arange(volume.shape[2]) * (to_lps[:3, 2] @ np.cross(to_lps[:3, 0], to_lps[:3, 1])) / spacing[:2].prod()
        )
        dicom_series.write_series(folder, voxels=np.zeros(volume.shape, np.int16), depths=list(depths))


def test_volume_that_is_not_dicom_is_said(node: Any, volume: Any, exported: list[Any], tmp_path: Path) -> None:
    volume.RemoveAttribute("DICOM.instanceUIDs")
    with pytest.raises(InputError, match="not loaded from DICOM"):
        exportDicom(node, volume, tmp_path / "liver.dcm")
    assert exported == []


def test_segment_without_codes_and_one_without_an_algorithm_are_named(node: Any, volume: Any) -> None:
    segmentation = node.GetSegmentation()
    first, second = (segmentation.GetSegment(name) for name in ("DSM_liver", "DSM_liver_tumor"))
    first.SetTerminology("")
    second.RemoveTag("DICOM.SegmentAlgorithmName")
    assert [problem.split()[0] for problem in dicomProblems(node, volume)] == ["liver", "liver"]


def test_failure_of_the_plugin_is_said(node: Any, volume: Any, exported: list[Any], tmp_path: Path) -> None:
    sys.modules["DICOMSegmentationPlugin"].DICOMSegmentationPluginClass.result = "disk full"
    with pytest.raises(OutputError, match="disk full"):
        exportDicom(node, volume, tmp_path / "liver.dcm")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("goes_on", [True, False])
def test_slicer_asks_about_segments_that_it_takes_for_empty(
    node: Any, volume: Any, exported: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda _: goes_on)
    segmentation = node.GetSegmentation()
    segmentation.SeparateSegmentLabelmap("DSM_liver")
    image = segmentation.GetSegment("DSM_liver").GetRepresentation("Binary labelmap")
    image.GetPointData().GetScalars().Fill(0)
    if goes_on:
        exportDicom(node, volume, tmp_path / "liver.dcm")
        assert exported[0].segment_ids == ["DSM_liver_tumor", "DSM_gray_thing"]
    else:
        with pytest.raises(OutputError, match="Export canceled"):
            exportDicom(node, volume, tmp_path / "liver.dcm")
