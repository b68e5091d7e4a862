"""Self-test of the module in the Slicer application; it needs no weights, so it runs wherever the module does."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import slicer
import vtk

from DSMSegmentLib.application import ScriptedLoadableModuleTest, qt
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.jobs.job import JobState
from DSMSegmentLib.panel.key_events import typeText
from DSMSegmentLib.panel.setup_section import SetupSection
from DSMSegmentLib.scene.outcome import OutcomeStatus


class DSMSegmentTest(ScriptedLoadableModuleTest):  # type: ignore[misc]
    """Self-test of the panel and the pipeline from volume node to segments, with known masks.

    It needs no weights, so it runs wherever the module does. The network has its own tests.
    """

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests; Slicer calls this."""
        for test in (
            self.test_panelIsReadyForWhatIsTyped,
            self.test_masksLandWhereTheyBelong,
            self.test_cancelledRunLeavesNoTrace,
        ):
            self.setUp()
            test()

    def test_panelIsReadyForWhatIsTyped(self) -> None:
        """The panel opens, shares its values with the scene, reads what is typed, and offers to segment it.

        Slicer only logs an exception in `setup()` or `enter()`: a panel that looks as always may be dead.
        """
        if qt is None:
            self.skipTest("The panel needs the Slicer application.")
        volumeNode, _mask = _testVolume()
        slicer.util.selectModule("DSMSegment")
        panel = slicer.util.getModuleWidget("DSMSegment")
        parameters: Any = getattr(panel, "_parameterNode", None)
        self.assertIsNotNone(parameters, "The panel is not connected to the scene; the log says what failed.")
        with mock.patch.object(SetupSection, "reason", ""):  # whether or not PyTorch and a model are there
            parameters.inputVolume = volumeNode
            self.assertIs(panel.ui.inputVolumeSelector.currentNode(), volumeNode)
            panel.ui.thresholdSlider.value = 0.4
            self.assertAlmostEqual(parameters.threshold, 0.4)
            panel.ui.keepEmptyCheckBox.setChecked(True)
            self.assertTrue(parameters.keepEmpty)
            self.assertFalse(panel.ui.applyButton.enabled, "There is no prompt yet.")
            typeText(panel.ui.promptsTextEdit, "left kidney; liver")
            self.assertEqual(panel.ui.promptsTextEdit.plainText, "left kidney; liver")
            self.assertEqual(parameters.prompts, "left kidney; liver")
            self.assertTrue(panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip)

    def test_masksLandWhereTheyBelong(self) -> None:
        """A mask comes back voxel for voxel on an oblique volume, and an empty one is reported."""
        volumeNode, mask = _testVolume()
        logic = _logic({"liver": mask})
        job = logic.segment(volumeNode, "liver; spleen", wait=True)
        self.assertEqual([outcome.status for outcome in job.outcomes], [OutcomeStatus.WRITTEN, OutcomeStatus.NOT_FOUND])
        segmentId = job.outcomes[0].segmentId
        written = slicer.util.arrayFromSegmentBinaryLabelmap(job.segmentationNode, segmentId, volumeNode)
        np.testing.assert_array_equal(written.transpose(2, 1, 0), mask)
        self.assertTrue(logic.undoLast(job.segmentationNode))
        self.assertIsNone(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))

    def test_cancelledRunLeavesNoTrace(self) -> None:
        """A run that is cancelled before its first result changes nothing in the scene."""
        volumeNode, mask = _testVolume()
        numNodes = slicer.mrmlScene.GetNumberOfNodes()
        logic = _logic({"liver": mask})
        job = logic.segment(volumeNode, "liver")
        logic.cancel()
        self.assertIs(job.wait(), JobState.CANCELLED)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), numNodes)


def _logic(masks: dict[str, np.ndarray]) -> Any:
    """Return the module's logic with masks of known shape in place of the network."""
    from DSMSegment import DSMSegmentLogic  # which imports this file

    return DSMSegmentLogic(FakeBackend(masks))


def _testVolume() -> tuple[slicer.vtkMRMLScalarVolumeNode, np.ndarray]:
    """Make a small oblique volume with unequal spacings, and an uneven mask on it."""
    rotation = vtk.vtkTransform()
    rotation.RotateWXYZ(20, 1, 2, 3)
    ijkToRAS = slicer.util.arrayFromVTKMatrix(rotation.GetMatrix()) @ np.diag([-0.7, 0.9, 2.5, 1.0])
    ijkToRAS[:3, 3] = 11.0, -7.0, 40.0
    mask = np.zeros((12, 10, 8), np.uint8)
    mask[2:7, 3:9, 1:5] = 1
    mask[2:4, 3:5, 1:2] = 0
    voxels = np.where(mask, 60, -100).astype(np.int16).transpose(2, 1, 0)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS, "SelfTest"), mask
