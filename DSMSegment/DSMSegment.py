"""DSMSegment: type the name of a structure or tumor, get it as a segment on the CT or MR volume.

The classes that Slicer looks for, by the names that it looks for. They hold no algorithm: the work is in
`DSMSegmentLib` (scene) and in the worker process (network).
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from DSMSegmentLib import (
    Backend,
    ExistingPolicy,
    JobOptions,
    OverlapPolicy,
    Runs,
    SegmentationJob,
    SegmentOutcome,
    WorkerBackend,
)
from DSMSegmentLib.application import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
    WithinRange,
    parameterNodeWrapper,
    translate,
)
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.run_estimate import RunEstimates
from DSMSegmentLib.jobs.run_log import RunLog
from DSMSegmentLib.jobs.shared_backend import sharedBackend
from DSMSegmentLib.panel.estimate_section import EstimateSection
from DSMSegmentLib.panel.hints import PromptContext
from DSMSegmentLib.panel.history_menu import HistoryMenu
from DSMSegmentLib.panel.learned_organs import LearnedOrgansButton
from DSMSegmentLib.panel.prompt_clicks import PromptClicks, segmentOptions
from DSMSegmentLib.panel.prompt_edit import PromptEdit
from DSMSegmentLib.panel.results_section import ResultsSection
from DSMSegmentLib.panel.run_section import RunSection, reasonOfInputs
from DSMSegmentLib.panel.self_test import DSMSegmentTest  # noqa: F401  (Slicer looks for it here)
from DSMSegmentLib.panel.settings import Settings
from DSMSegmentLib.panel.setup_section import SetupSection
from DSMSegmentLib.panel.structure_tree import StructureTree
from DSMSegmentLib.registration import registerEffect, registerSampleData, reloadEffect, whenStarted
from DSMSegmentLib.scene.modality_choice import ModalityChoice
from DSMSegmentLib.scene.mrml import decideModality, modalityOfNode
from DSMSegmentLib.scene.output_choice import OutputChoice
from DSMSegmentLib.scene.sequence_item import browserOf

_DOCUMENTATION = "https://github.com/DSMSegment/SlicerDSMSegment/blob/main/docs"


class DSMSegment(ScriptedLoadableModule):  # type: ignore[misc]
    """Module metadata for Slicer's module list."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DSM Segment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups", "Sequences", "SubjectHierarchy"]
        self.parent.contributors = ["DSMSegment contributors"]
        self.parent.helpText = _(
            "Segments organs and tumors in CT and MR volumes from text prompts, on this computer or on a server "
            "of your department. Select a volume, type one structure per line and press Segment. "
            "For research use, not a medical device."
        )
        self.parent.helpText += self.getDefaultModuleDocumentationLink()
        self.parent.acknowledgementText = _(
            "The network follows DSM: diffusion models and state space models for text-prompted segmentation."
        )
        # Two callbacks: where there is no module SampleData, there is an effect all the same.
        whenStarted(registerSampleData)
        whenStarted(registerEffect)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        """Return the sentence with the link to our own pages: those of Slicer do not describe extensions."""
        url = f"{_DOCUMENTATION}/{docPage or 'tutorial/slicer.md'}"
        text = _("For more information, see the {url_start}online documentation{url_end}.")
        return "<p>" + text.format(url_start=f'<a href="{url}">', url_end="</a>") + "</p>"


@parameterNodeWrapper
class DSMSegmentParameterNode:
    """Parameters of the panel that are saved in the scene.

    inputVolume: Volume to segment.
    prompts: One structure per line.
    roi: Segment only inside; none for the whole volume.
    allSequenceItems: Whether every item of a sequence is segmented.
    outputSegmentation: Where to write; none makes a new segmentation.
    existingPolicy: Policy for segments that have the name of a prompt.
    overlapPolicy: Policy where segments overlap.
    threshold: Probability from which a voxel is inside.
    postprocess: Remove small islands: organs keep their largest part, tumors all of 0.1 ml or more.
    keepEmpty: Create an empty segment for a prompt without a result.
    fast: Leave out the diffusion prompts of tumors.
    uncertainty: Make maps of uncertainty, too.
    guess: Let the network guess at names that it has not learned.
    modality: Take the volume for CT or MR whatever it looks like.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    prompts: str = ""
    roi: slicer.vtkMRMLMarkupsROINode
    allSequenceItems: bool = False
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    existingPolicy: ExistingPolicy = ExistingPolicy.ADD
    overlapPolicy: OverlapPolicy = OverlapPolicy.ALLOW
    threshold: Annotated[float, WithinRange(0.01, 0.99)] = 0.5  # Slicer connects no slider to an unbounded number
    postprocess: bool = True
    keepEmpty: bool = False
    fast: bool = False
    uncertainty: bool = False
    guess: bool = False
    modality: ModalityChoice = ModalityChoice.AUTOMATIC


class DSMSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # type: ignore[misc]
    """Panel of the module, which connects its sections to each other and to the scene."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: Any = None
        self._updating = False
        self._output = OutputChoice()

    def setup(self) -> None:
        """Build the panel; called once, when the module is first opened."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DSMSegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = DSMSegmentLogic(WorkerBackend(device="auto"))
        self._log = RunLog()
        self._settings = Settings()
        self._run = RunSection(self.ui, self.logic, self._log, self.onResult, self.onFinished, self.onTick)
        clicks = PromptClicks(self.ui.clickButton, self.logic, self._run, self.reasonNotReady, self._updateContext)
        self._results = ResultsSection(self.ui, self.logic, self.onRerun, clicks.start, clicks.prepared, self._run.say)
        self._clicks, clicks.results = clicks, self._results
        self._prompts = PromptEdit(self.ui.promptsTextEdit, self.ui.hintsLabel, self.onSubmit, self.onPromptsEdited)
        self._tree = StructureTree(self.ui.structureTree, self.ui.structureFilterEdit, self._prompts.append)
        self._organs = LearnedOrgansButton(self.ui.learnedOrgansButton, self._prompts.append)
        self._history = HistoryMenu(self.ui.historyButton, self._settings, self._prompts.setText)
        estimates = RunEstimates(self._settings.encodingSpeeds, self._settings.keepEncodingSpeeds)
        self._estimate = EstimateSection(
            self.ui.estimateLabel, estimates, self.logic, self._modality, self._updateContext
        )
        self._setup = SetupSection(
            self.ui,
            self._settings,
            self.logic.backend,
            self.logic.use,
            self._updateContext,
            self._estimate.measured,
            self._run.say,
        )
        self.ui.browseButton.toggled.connect(self._tree.setVisible)
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.ui.copyReportButton.clicked.connect(self.onCopyReport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        slicer.app.aboutToQuit.connect(self.logic.close)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """End the worker when the module is reloaded or the application closes."""
        self.setParameterNode(None)  # first: a panel that was not built whole must not be called any more
        self.removeObservers()
        self._run.close()
        self._results.unload()
        self.logic.close()
        sharedBackend().close()
        slicer.app.aboutToQuit.disconnect(self.logic.close)

    def onReload(self) -> None:
        """Reload the libraries and the effect too: Slicer reloads only this file."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("DSMSegmentLib", "dsm")]:
            del sys.modules[name]
        reloadEffect()
        super().onReload()

    def enter(self) -> None:
        """Update the panel each time the module is opened, also after a visit to the Segment Editor."""
        self.initializeParameterNode()
        self._results.noteEdits()

    def exit(self) -> None:
        """Watch for manual edits while another module is open; a run continues."""
        self._results.leave()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Stop the run before its nodes vanish."""
        self.logic.sceneClosing()
        self._results.close()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Show the parameters of the new or opened scene if the panel is open."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller: Any, event: Any) -> None:
        """Disconnect from the parameters during an import: node references cannot be resolved yet."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller: Any, event: Any) -> None:
        """Show the parameters of the opened scene; now their nodes are there."""
        self.logic.getParameterNode().Modified()
        self.onSceneEndClose(caller, event)

    def initializeParameterNode(self) -> None:
        """Connect the panel to the scene's parameters, with the first volume selected."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            firstVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if firstVolume:
                self._parameterNode.inputVolume = firstVolume

    def setParameterNode(self, inputParameterNode: Any) -> None:
        """Connect the panel to another parameter node, or to none.

        It stays connected while another module is open: Slicer 5.10 leaves an observer behind at each `disconnectGui`.
        """
        if self._parameterNode is not inputParameterNode:
            if self._parameterNode:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
                self.removeObserver(
                    self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply
                )
            self._parameterNode = None
            if inputParameterNode:
                self._parameterNodeGuiTag = inputParameterNode.connectGui(self.ui)
                self._parameterNode = inputParameterNode
                self.addObserver(inputParameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
        self._updateContext()

    def onPromptsEdited(self, prompts: str) -> None:
        """Store the typed prompts in the scene."""
        if self._parameterNode:
            self._parameterNode.prompts = prompts

    def onApplyButton(self, checked: bool = False) -> None:
        """Start a run, or cancel the one that is running."""
        if self.logic.isRunning:
            self._run.cancel()
            self._results.cancelClicks()
        else:
            self._start(self._parameterNode.prompts)

    def onSubmit(self) -> None:
        """Start a run on Ctrl+Enter; never cancel one."""
        if not self.logic.isRunning and self.ui.applyButton.enabled:
            self._start(self._parameterNode.prompts)

    def onRerun(self, volumeNode: Any, prompts: list[str], into: dict[str, list[str]]) -> None:
        """Run prompts again, replacing exactly their segments."""
        self._start(prompts, volumeNode, into)

    def onResult(self, outcome: SegmentOutcome) -> None:
        """Show a segment as soon as it is written."""
        self._results.addOutcome(self.logic.segmentationNode, outcome)

    def onFinished(self, job: SegmentationJob) -> None:
        """Select the output of the run, and watch for manual edits from now on."""
        self._estimate.learn(job)
        node, parameters = job.segmentationNode, self.logic.getParameterNode()  # the panel may not be open
        isOnAnother = parameters.inputVolume not in (None, job.volumeNode)  # selected during the run
        if node is not None and node.GetScene() is slicer.mrmlScene and not isOnAnother:
            parameters.outputSegmentation = node
        self._results.endRun(job)
        self._updateContext()

    def onTick(self) -> None:
        """Poll helper threads and the shown sequence item."""
        self._results.follow()
        self._setup.poll()
        self._estimate.poll()
        if self._parameterNode:
            self._estimate.follow(self._parameterNode.inputVolume, self._parameterNode.roi)

    def onCopyReport(self, checked: bool = False) -> None:
        """Copy the log and system report to the clipboard."""
        backend = self.logic.backend
        report = self._log.report(device=backend.provenance.device, worker=getattr(backend, "log", ""))
        slicer.app.clipboard().setText(report)
        self._run.say(_("The report was copied to the clipboard."))

    def reasonNotReady(self) -> str:
        """Return the reason why no run can start, after asking for consents; empty when one can."""
        return str(self._setup.reason or self._setup.confirm())

    def promptContext(self, volumeNode: Any) -> PromptContext:
        """Return the context of the hints: modality of the volume, abilities of the model, and the choice to guess."""
        guess, clicks = bool(self._parameterNode and self._parameterNode.guess), not self.logic.backend.reasonNoClicks
        return self._setup.promptContext(self._modality(volumeNode), guess=guess, clicks=clicks)

    def chooseModel(self, name: str) -> None:
        """Choose the model for the next run by its name; not during one."""
        self._setup.choose(name)

    def _start(self, prompts: Any, volumeNode: Any = None, into: dict[str, list[str]] | None = None) -> None:
        parameters = self._parameterNode
        if reason := self.reasonNotReady():
            self._run.say(reason)
            return
        options = JobOptions(
            segmentOptions(parameters),
            existing=parameters.existingPolicy if into is None else ExistingPolicy.ADD,
            overlap=parameters.overlapPolicy,
            keepEmpty=parameters.keepEmpty,
            roi=parameters.roi,
            modality=parameters.modality.value,
            into=into or {},
        )
        volumeNode = volumeNode or parameters.inputVolume
        all4D = parameters.allSequenceItems and browserOf(volumeNode) is not None
        self._results.startRun(volumeNode)
        if self._run.start(volumeNode, prompts, parameters.outputSegmentation, options, all4D=all4D):
            self._settings.addToHistory(parameters.prompts)
        self._updateContext()

    def _updateContext(self) -> None:
        """Propagate changes of one section to the others."""
        if not self._parameterNode:
            return
        self._estimate.refresh(self._parameterNode.inputVolume, self._parameterNode.roi)
        self._checkCanApply()

    def _checkCanApply(self, caller: Any = None, event: Any = None) -> None:
        if self._updating or not self._parameterNode:
            return
        self._updating = True
        try:
            self._show(self._parameterNode)
        finally:
            self._updating = False

    def _show(self, parameters: Any) -> None:
        self._prompts.setText(parameters.prompts)
        self._output.follow(parameters)
        context, running = self.promptContext(parameters.inputVolume), self.logic.isRunning
        self._prompts.setContext(context)
        self._organs.update(context)
        self._showModality(parameters.inputVolume, parameters.modality.value)
        reason = self._setup.reason or reasonOfInputs(parameters)
        self._run.update(reason)
        self._clicks.update(reason, parameters)
        self._setup.setRunning(running)
        self.ui.allSequenceItemsCheckBox.visible = browserOf(parameters.inputVolume) is not None
        if running:
            self._results.update()
        else:
            self._estimate.show(parameters.inputVolume, parameters.roi)
            self._results.setNode(parameters.outputSegmentation)
        self.ui.logTextEdit.setPlainText(self._log.text)

    def _modality(self, volumeNode: Any) -> str:
        return modalityOfNode(volumeNode, self._parameterNode.modality.value if self._parameterNode else "")

    def _showModality(self, volumeNode: Any, chosen: str) -> None:
        """Show the modality of the volume, and the reason."""
        found = modalityOfNode(volumeNode)
        self.ui.modalityComboBox.setItemText(0, ModalityChoice.automaticLabel(found))
        self.ui.inputNotesLabel.text = decideModality(volumeNode, chosen).reason if found else ""
        self.ui.inputNotesLabel.visible = bool(found)


class DSMSegmentLogic(Runs, ScriptedLoadableModuleLogic):  # type: ignore[misc]
    """Logic of the module: runs of prompts, also without the panel, from scripts and the Python console.

    Args:
        backend: Computes the masks; None for the worker with the default model, which all such logics share.

    Example:
        job = DSMSegmentLogic().segment(slicer.util.getNode("CTChest"), "liver; left kidney", wait=True)
    """

    def __init__(self, backend: Backend | None = None) -> None:
        Runs.__init__(self, backend or sharedBackend())
        ScriptedLoadableModuleLogic.__init__(self)  # hands on to the classes after it: Runs must come before it
        self._parameters: Any = None

    def getParameterNode(self) -> Any:
        """Return the scene's parameters of this module: the same object as long as the node is the same."""
        node = super().getParameterNode()
        if self._parameters is None or self._parameters.parameterNode is not node:
            self._parameters = DSMSegmentParameterNode(node)  # type: ignore[call-arg]  # made by the wrapper
        return self._parameters
