"""DSMSegment: type the name of a structure or tumor, get it as a segment on the CT or MR volume.

The classes that Slicer looks for, by the names that it looks for. They hold no algorithm: the work is in
`DSMSegmentLib` (scene) and in the worker process (network).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from dsm.errors import DSMError
from DSMSegmentLib import (
    Backend,
    ExistingPolicy,
    JobOptions,
    JobProgress,
    JobState,
    OutcomeStatus,
    OverlapPolicy,
    Runs,
    SegmentationJob,
    WorkerBackend,
)
from DSMSegmentLib.application import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
    parameterNodeWrapper,
    qt,
    translate,
)
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.fake_backend import FakeBackend
from DSMSegmentLib.summary import resultText, stageText

# Often enough for a progress bar that moves, seldom enough for an idle window.
_POLL_INTERVAL_MS = 100


class DSMSegment(ScriptedLoadableModule):  # type: ignore[misc]
    """What Slicer's module list says about the module."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DSM Segment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["DSMSegment contributors"]
        self.parent.helpText = _(
            "Segments organs and tumors in CT and MR volumes from text prompts, on this computer. "
            "Select a volume, type one structure per line and press Segment. "
            "For research use, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "The network follows DSM: diffusion models and state space models for text-prompted segmentation."
        )


@parameterNodeWrapper
class DSMSegmentParameterNode:
    """What the scene remembers of the panel.

    inputVolume: The volume to segment.
    prompts: One structure per line.
    outputSegmentation: Where to write; none makes a new segmentation.
    existingPolicy: What to do with segments that have the name of a prompt.
    overlapPolicy: What to do where segments overlap.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    prompts: str = ""
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    existingPolicy: ExistingPolicy = ExistingPolicy.ADD
    overlapPolicy: OverlapPolicy = OverlapPolicy.ALLOW


class DSMSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # type: ignore[misc]
    """The panel: volume, prompts, output, one button that starts and cancels, and what came of it."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: Any = None
        self._timer: Any = None

    def setup(self) -> None:
        """Build the panel; called once, when the module is first opened."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DSMSegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = DSMSegmentLogic()
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_INTERVAL_MS)
        self._timer.timeout.connect(self.onTimer)
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        slicer.app.aboutToQuit.connect(self.logic.close)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """End the worker when the module is reloaded or the application closes."""
        self._timer.stop()
        self.logic.close()
        slicer.app.aboutToQuit.disconnect(self.logic.close)
        self.removeObservers()

    def onReload(self) -> None:
        """Reload the libraries too: Slicer reloads only this file."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("DSMSegmentLib", "dsm")]:
            del sys.modules[name]
        super().onReload()

    def enter(self) -> None:
        """Called each time the module is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time another module is opened; a run goes on."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Stop the run before its nodes vanish."""
        self.logic.sceneClosing()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Start with fresh parameters if the panel is open."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Connect the panel to the scene's parameters, with the first volume selected."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            firstVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if firstVolume:
                self._parameterNode.inputVolume = firstVolume

    def setParameterNode(self, inputParameterNode: Any) -> None:
        """Connect the panel to other parameters, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
            self._checkCanApply()

    def onApplyButton(self, checked: bool = False) -> None:
        """Start a run, or cancel the one that is running."""
        if self.logic.isRunning:
            self.ui.statusLabel.text = _("Cancelling...")
            self.logic.cancel()
            return
        parameters = self._parameterNode
        options = JobOptions(existing=parameters.existingPolicy, overlap=parameters.overlapPolicy)
        try:
            self.logic.segment(
                parameters.inputVolume,
                parameters.prompts,
                parameters.outputSegmentation,
                options,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
            )
        except DSMError as error:
            self.ui.statusLabel.text = error.one_line
            return
        self._timer.start()
        self._checkCanApply()

    def onTimer(self) -> None:
        """Let the results that have arrived into the scene."""
        if self.logic.poll():
            self._timer.stop()

    def onProgress(self, progress: JobProgress) -> None:
        """Show where the run is."""
        self.ui.progressBar.maximum = max(progress.total, 1)
        self.ui.progressBar.value = progress.done
        self.ui.statusLabel.text = stageText(progress)

    def onFinished(self, job: SegmentationJob) -> None:
        """Say what came of the run."""
        self.ui.statusLabel.text = resultText(job)
        if job.error is not None:
            slicer.util.errorDisplay(job.error.one_line, detailedText=job.error.details)
        elif job.segmentationNode is not None and job.segmentationNode.GetScene() is not None and self._parameterNode:
            self._parameterNode.outputSegmentation = job.segmentationNode
        self._checkCanApply()

    def _checkCanApply(self, caller: Any = None, event: Any = None) -> None:
        button = self.ui.applyButton
        running = self.logic.isRunning
        self.ui.progressBar.visible = running
        button.text = _("Cancel") if running else _("Segment")
        reason = ""
        if not running and self._parameterNode:
            if not self._parameterNode.inputVolume:
                reason = _("Select a CT or MR volume first.")
            elif not self._parameterNode.prompts.strip():
                reason = _("Type what to segment first, one structure per line.")
        button.enabled = not reason
        button.toolTip = reason or (_("Stop; finished segments stay.") if running else _("Segment the volume."))


class DSMSegmentLogic(Runs, ScriptedLoadableModuleLogic):  # type: ignore[misc]
    """Runs prompts on volumes; works without the panel, from scripts and from the Python console.

    Args:
        backend: Computes the masks; None for the worker process with the default model.

    Example:
        job = DSMSegmentLogic().segment(slicer.util.getNode("CTChest"), "liver; left kidney", wait=True)
    """

    def __init__(self, backend: Backend | None = None) -> None:
        Runs.__init__(self, backend or WorkerBackend())
        ScriptedLoadableModuleLogic.__init__(self)  # hands on to the classes after it: Runs must come before it

    def getParameterNode(self) -> Any:
        """Return the scene's parameters of this module."""
        return DSMSegmentParameterNode(super().getParameterNode())  # type: ignore[call-arg]  # made by the wrapper


class DSMSegmentTest(ScriptedLoadableModuleTest):  # type: ignore[misc]
    """Self-test: the way from a volume node to segments, with masks of known shape in place of the network.

    It needs no weights, so it runs wherever the module does. The network has its own tests.
    """

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests; Slicer calls this."""
        for test in (self.test_masksLandWhereTheyBelong, self.test_cancelledRunLeavesNoTrace):
            self.setUp()
            test()

    def test_masksLandWhereTheyBelong(self) -> None:
        """A mask comes back voxel for voxel on an oblique volume, and an empty one is reported."""
        volumeNode, mask = _testVolume()
        logic = DSMSegmentLogic(FakeBackend({"liver": mask}))
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
        logic = DSMSegmentLogic(FakeBackend({"liver": mask}))
        job = logic.segment(volumeNode, "liver")
        logic.cancel()
        self.assertIs(job.wait(), JobState.CANCELLED)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), numNodes)


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
