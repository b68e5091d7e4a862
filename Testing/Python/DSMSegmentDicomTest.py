"""From a DICOM series to a DICOM SEG inside the Slicer application: its database, its readers, its exporter.

Testing/slicer/test_application_tests.py runs this file in the test host, too, so that it does not rot; what stands in
for Slicer's DICOM modules there is in Testing/slicer_host/panel/dicom_modules.py.
"""

import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from dsm.text.vocabulary import load_vocabulary
from DSMSegmentLib import JobState
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.exporting import exportSegmentation
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.placement import volumeOf

# A place with nothing to say (liver), one that is changed by hand (spleen), a side (kidney), and a tumor in its organ.
NAMES = ("liver", "spleen", "left kidney", "liver tumor")
EDITED = "spleen"
ALGORITHM = "DSMSegment fake 0"

_SHAPE = (24, 20, 12)
_SPACING_MM = (0.7, 0.9, 2.5)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class DSMSegmentDicomTest(ScriptedLoadableModuleTest):
    """Segments a small series in the panel, with masks of known shape in place of the network, and exports it."""

    def setUp(self):
        try:
            from DICOMLib import DICOMUtils
        except ImportError:
            self.skipTest("Slicer was built without its DICOM modules.")
        try:
            import DICOMSegmentationPlugin  # noqa: F401  (the export needs it)
        except ImportError:
            self.skipTest("No exporter of DICOM SEG: before Slicer 5.12 it is in the extension QuantitativeReporting.")
        slicer.mrmlScene.Clear()
        self.folder = Path(tempfile.mkdtemp(prefix="DSMSegmentDicomTest"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.dicom = DICOMUtils
        database = DICOMUtils.TemporaryDICOMDatabase(str(self.folder / "database"))
        self.database = database.__enter__()
        self.addCleanup(database.__exit__, None, None, None)
        self.addCleanup(slicer.mrmlScene.Clear)
        slicer.util.selectModule("DSMSegment")
        self.widget = slicer.util.getModuleWidget("DSMSegment")
        self.widget.enter()
        self.masks = _masks()
        self.addCleanup(setattr, self.widget.logic, "_backend", self.widget.logic._backend)
        self.widget.logic._backend = FakeBackend(self.masks)

    def runTest(self):
        for test in (self.test_dicom_seg_has_masks_names_codes_and_series, self.test_slicer_reads_its_own_dicom_seg):
            try:
                self.setUp()
                test()
            except unittest.SkipTest as skipped:
                print(f"Skipped: {skipped}")  # in the Python console, for Reload and Test
            finally:
                self.doCleanups()

    def test_dicom_seg_has_masks_names_codes_and_series(self):
        """The file is read with pydicom, which shares no code with the exporter."""
        import pydicom

        seriesUid, volumeNode = self.load_series()
        data = pydicom.dcmread(self.export(self.segment(volumeNode)))
        self.assertEqual(data.Modality, "SEG")
        self.assertEqual(data.PatientID, "DSMSegmentDicomTest")
        self.assertEqual([str(one.SeriesInstanceUID) for one in data.ReferencedSeriesSequence], [seriesUid])
        segments = {str(segment.SegmentLabel): segment for segment in data.SegmentSequence}
        self.assertEqual(sorted(segments), sorted(NAMES))
        for name, segment in segments.items():
            kind = "SEMIAUTOMATIC" if name == EDITED else "AUTOMATIC"
            self.assertEqual((name, segment.SegmentAlgorithmType), (name, kind))
            self.assertEqual(segment.SegmentAlgorithmName, ALGORITHM)
            self.assertEqual((name, _codesOf(segment)), (name, _codesInVocabulary(name)))
        found = _masksIn(data, ijkToRAS(volumeNode))
        for name in NAMES:
            np.testing.assert_array_equal(found[name], self.masks[name], err_msg=name)

    def test_slicer_reads_its_own_dicom_seg(self):
        """Loaded from the database, the segmentation has the same masks, names, codes and tags."""
        if "DICOMSegmentationPlugin" not in getattr(slicer.modules, "dicomPlugins", {}):
            self.skipTest("Only the Slicer application reads a DICOM SEG into the scene.")
        import pydicom

        _, volumeNode = self.load_series()
        path = self.export(self.segment(volumeNode))
        self.dicom.importDicom(str(path.parent), self.database)
        written = pydicom.dcmread(path, stop_before_pixels=True)
        (node,) = self.load(str(written.SeriesInstanceUID), "vtkMRMLSegmentationNode")
        segmentation = node.GetSegmentation()
        for name in NAMES:
            segmentId = segmentation.GetSegmentIdBySegmentName(name)
            voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentId, volumeNode)
            np.testing.assert_array_equal(voxels.transpose(2, 1, 0) != 0, self.masks[name] != 0, err_msg=name)
            tag = segmentation.GetSegment(segmentId).GetTerminology()
            expected = load_vocabulary().find(name).terminology.to_tag()
            self.assertEqual(tag.split("~")[1:3], expected.split("~")[1:3])

    def load_series(self):
        """Write a series, import it, load it; returns its UID and the volume node."""
        seriesUid = _writeSeries(self.folder / "series", _voxels(self.masks))
        self.dicom.importDicom(str(self.folder / "series"), self.database)
        (volumeNode,) = self.load(seriesUid, "vtkMRMLScalarVolumeNode")
        return seriesUid, volumeNode

    def load(self, seriesUid, className):
        """Load a series; Slicer names every node that was added meanwhile, also helpers and those that went again."""
        nodes = [slicer.mrmlScene.GetNodeByID(nodeId) for nodeId in self.dicom.loadSeriesByUID([seriesUid])]
        return [node for node in nodes if node is not None and node.IsA(className)]

    def segment(self, volumeNode):
        """Run as the button does, without the licence's question, and change one segment in another module."""
        job = self.widget.logic.segment(
            volumeNode,
            "\n".join(NAMES),
            interactive=True,
            onResult=self.widget.onResult,
            onFinished=self.widget.onFinished,
        )
        self.assertIs(job.wait(), JobState.FINISHED)
        node = job.segmentationNode
        self.widget.exit()
        self.masks[EDITED][5:9, 3:6, 2:4] = 1
        segmentId = node.GetSegmentation().GetSegmentIdBySegmentName(EDITED)
        voxels = np.ascontiguousarray(self.masks[EDITED].transpose(2, 1, 0))
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segmentId, volumeNode)
        self.widget.enter()
        return node

    def export(self, node):
        (self.folder / "export").mkdir()
        path = self.folder / "export" / "masks.dcm"
        exportSegmentation(node, volumeOf(node), path)
        self.assertEqual([one.name for one in path.parent.iterdir()], [path.name])
        return path


def _masks():
    """Return a mask a name, `[I, J, K]`, without any symmetry; the tumor lies in the liver."""
    boxes = ((4, 14, 6, 15, 3, 10), (15, 21, 2, 9, 1, 7), (16, 23, 12, 18, 4, 11), (6, 9, 8, 12, 5, 8))
    masks = {}
    for name, (i0, i1, j0, j1, k0, k1) in zip(NAMES, boxes, strict=True):
        masks[name] = np.zeros(_SHAPE, np.uint8)
        masks[name][i0:i1, j0:j1, k0:k1] = 1
        masks[name][i0, j0, k0] = 0
    return masks


def _voxels(masks):
    """Return an image of which one cannot mistake one slice for another, HU, `[I, J, K]`."""
    ramp = np.arange(np.prod(_SHAPE), dtype=np.int16).reshape(_SHAPE) % 300
    return np.where(masks["liver"], 60, -1000 + ramp).astype(np.int16)


def _writeSeries(folder, voxels):
    """Write one CT file a slice; returns the series UID."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(voxels.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = str(folder / f"slice{99 - k}.dcm")  # names say nothing about the order
        data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = series, study, frame
        data.PatientName, data.PatientID = "Test^DSM", "DSMSegmentDicomTest"
        data.PatientBirthDate, data.PatientSex = "19700101", "O"
        data.StudyDate, data.StudyTime, data.StudyID = "20260101", "120000", "1"
        data.AccessionNumber, data.ReferringPhysicianName, data.PositionReferenceIndicator = "", "", ""
        data.Modality, data.SeriesNumber, data.SeriesDescription = "CT", 3, "Phantom"
        data.Manufacturer, data.ImageType = "DSMSegment", ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.InstanceNumber = k + 1
        data.PixelSpacing, data.SliceThickness = [_SPACING_MM[1], _SPACING_MM[0]], _SPACING_MM[2]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-11.0, 7.0, 40.0 + _SPACING_MM[2] * k]
        data.Columns, data.Rows = voxels.shape[:2]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = "1", "0", "HU"
        data.PixelData = np.ascontiguousarray(voxels[:, :, k].T).tobytes()
        data.save_as(path)
    return str(series)


def _codesOf(segment):
    """Return (scheme, value) of the category, type, its modifier, region and its modifier of a segment of the file."""
    kind, region = segment.SegmentedPropertyTypeCodeSequence[0], segment.get("AnatomicRegionSequence")
    sequences = (
        segment.SegmentedPropertyCategoryCodeSequence,
        segment.SegmentedPropertyTypeCodeSequence,
        kind.get("SegmentedPropertyTypeModifierCodeSequence"),
        region,
        region[0].get("AnatomicRegionModifierSequence") if region else None,
    )
    return [(str(one[0].CodingSchemeDesignator), str(one[0].CodeValue)) if one else None for one in sequences]


def _codesInVocabulary(name):
    """Return the same from the entry that Slicer keeps with a segment."""
    triplets = load_vocabulary().find(name).terminology.to_tag().split("~")
    codes = [triplets[n].split("^")[:2] for n in (1, 2, 3, 5, 6)]
    return [(scheme, value) if value else None for scheme, value in codes]


def _masksIn(data, affine):
    """Return the masks of a DICOM SEG by name, each pixel put where its frame says that it lies in the patient."""
    names = {segment.SegmentNumber: str(segment.SegmentLabel) for segment in data.SegmentSequence}
    masks = {name: np.zeros(_SHAPE, np.uint8) for name in names.values()}
    toIndex = np.linalg.inv(affine) @ _LPS_TO_RAS
    frames = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    for frame, own in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):

        def group(name, own=own):
            return (own if name in own else data.SharedFunctionalGroupsSequence[0])[name][0]

        number = group("SegmentIdentificationSequence").ReferencedSegmentNumber
        position = np.array(group("PlanePositionSequence").ImagePositionPatient, float)
        axes = np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3)
        rowMm, columnMm = (float(value) for value in group("PixelMeasuresSequence").PixelSpacing)
        rows, columns = np.nonzero(frame)
        points = position + np.outer(columns * columnMm, axes[0]) + np.outer(rows * rowMm, axes[1])
        i, j, k = np.rint((points @ toIndex[:3, :3].T + toIndex[:3, 3]).T).astype(int)
        masks[names[number]][i, j, k] = 1
    return masks
