"""The panel inside the Slicer application: real CTK and MRML widgets, real module factory, real Segment Editor.

Testing/slicer/test_application_tests.py runs this file in the test host, too, so that it does not rot.
"""

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from DSMSegmentLib import JobState
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.panel.key_events import typeText

PATIENCE_S = 60.0


class DSMSegmentPanelTest(ScriptedLoadableModuleTest):
    """Drives the panel with masks of known shape in place of the network."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("DSMSegment")
        self.widget = slicer.util.getModuleWidget("DSMSegment")
        self.widget.enter()
        self.mask = np.zeros((24, 20, 16), np.uint8)
        self.mask[4:14, 6:15, 3:10] = 1
        voxels = np.where(self.mask, 60, -100).astype(np.int16).transpose(2, 1, 0)
        self.volumeNode = slicer.util.addVolumeFromArray(voxels, np.diag([-0.7, -0.9, 2.5, 1.0]), "PanelTest")
        self.backend = self.widget.logic._backend
        self.widget.logic._backend = FakeBackend({"liver": self.mask, "spleen": self.mask[::-1].copy()})

    def tearDown(self):
        self.widget.logic._backend = self.backend
        slicer.mrmlScene.Clear()

    def runTest(self):
        for test in (
            self.test_widgets_and_parameters_agree,
            self.test_run_is_undone_and_redone,
            self.test_output_follows_the_volume,
            self.test_segment_editor_opens_on_the_selected_segment,
            self.test_effect_is_registered,
            self.test_panel_works_after_the_scene_is_closed,
        ):
            self.setUp()
            try:
                test()
            finally:
                self.tearDown()

    def run_prompts(self, prompts):
        """Run as the button does, without the licence's question."""
        parameters = self.widget._parameterNode
        parameters.inputVolume = self.volumeNode
        parameters.prompts = prompts
        job = self.widget.logic.segment(
            self.volumeNode,
            prompts,
            parameters.outputSegmentation,
            interactive=True,
            onResult=self.widget.onResult,
            onFinished=self.widget.onFinished,
        )
        job.wait()
        self.assertIs(job.state, JobState.FINISHED)
        return job.segmentationNode

    def test_widgets_and_parameters_agree(self):
        """Widgets and parameter node agree, in both directions."""
        parameters = self.widget._parameterNode
        self.widget.ui.inputVolumeSelector.setCurrentNode(self.volumeNode)
        self.assertIs(parameters.inputVolume, self.volumeNode)
        typeText(self.widget.ui.promptsTextEdit, "left kidney; liver")
        self.assertEqual(self.widget.ui.promptsTextEdit.plainText, "left kidney; liver")
        self.assertEqual(parameters.prompts, "left kidney; liver")
        parameters.prompts = "spleen"
        self.assertEqual(self.widget.ui.promptsTextEdit.plainText, "spleen")
        self.widget.ui.keepEmptyCheckBox.setChecked(True)
        self.assertTrue(parameters.keepEmpty)
        parameters.threshold = 0.4
        self.assertAlmostEqual(self.widget.ui.thresholdSlider.value, 0.4)

    def test_run_is_undone_and_redone(self):
        """Segments have the right voxels, the table shows them, Undo takes them back and Redo brings them again."""
        node = self.run_prompts("liver\nspleen\npancreas")
        written = slicer.util.arrayFromSegmentBinaryLabelmap(node, "DSM_liver", self.volumeNode)
        np.testing.assert_array_equal(written.transpose(2, 1, 0), self.mask)
        self.assertEqual(self.widget.ui.resultsTable.rowCount, 3)
        self.assertTrue(self.widget.ui.undoButton.enabled)
        self.widget.ui.undoButton.click()
        self.assertIsNone(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
        self.widget.ui.redoButton.click()
        self.assertIs(self.widget.ui.outputSegmentationSelector.currentNode(), node)
        again = slicer.util.arrayFromSegmentBinaryLabelmap(node, "DSM_liver", self.volumeNode)
        np.testing.assert_array_equal(again, written)

    def test_output_follows_the_volume(self):
        """Another volume gets a segmentation of its own, and the first one shows its results again."""
        node = self.run_prompts("liver")
        other = slicer.util.addVolumeFromArray(np.zeros((8, 9, 10), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]), "Other")
        self.widget.ui.inputVolumeSelector.setCurrentNode(other)
        self.assertIsNone(self.widget._parameterNode.outputSegmentation)
        self.assertIsNone(self.widget.ui.outputSegmentationSelector.currentNode())
        self.widget.ui.inputVolumeSelector.setCurrentNode(self.volumeNode)
        self.assertIs(self.widget._parameterNode.outputSegmentation, node)
        self.assertIs(self.widget.ui.outputSegmentationSelector.currentNode(), node)

    def test_segment_editor_opens_on_the_selected_segment(self):
        """The Segment Editor opens on the same node, volume and segment."""
        node = self.run_prompts("liver")
        self.widget.ui.resultsTable.selectRow(0)
        self.widget.ui.editButton.click()
        editorNode = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        self.assertIs(editorNode.GetSegmentationNode(), node)
        self.assertEqual(editorNode.GetSelectedSegmentID(), "DSM_liver")
        slicer.util.selectModule("DSMSegment")

    def test_effect_is_registered(self):
        """The Segment Editor has the effect, where there is an editor widget."""
        if not hasattr(slicer, "qMRMLSegmentEditorWidget"):
            return
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        self.assertIn("Text prompt", editor.availableEffectNames())

    def test_panel_works_after_the_scene_is_closed(self):
        """Closing the scene leaves an empty panel that works again."""
        self.run_prompts("liver")
        slicer.mrmlScene.Clear()
        self.widget.enter()
        self.assertIsNone(self.widget._parameterNode.outputSegmentation)
        self.assertFalse(self.widget.ui.applyButton.enabled)
