"""Segment Editor effect that fills the selected segment from a text prompt.

The editor's own masking, overwriting and undo apply, as for every other effect. Slicer takes the name of the class from
the name of this file, and the name of the module from that of the folder.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect

from dsm.core.click import Click
from dsm.core.name_status import ResultSource, result_label
from dsm.core.options import SegmentOptions
from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.click_runs import isCorrectable, reasonOfVolume
from DSMSegmentLib.jobs.job import JobState
from DSMSegmentLib.jobs.mask_job import MaskJob
from DSMSegmentLib.jobs.one_prompt import parseOne
from DSMSegmentLib.panel.button_reason import enableOrExplain
from DSMSegmentLib.panel.label_text import labelText
from DSMSegmentLib.panel.prompt_edit import PromptEdit
from DSMSegmentLib.scene.editor_bridge import EditWatch
from DSMSegmentLib.scene.editor_clicks import EditorClicks
from DSMSegmentLib.scene.mrml import resampleInto
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.tag_writer import tagResult
from DSMSegmentLib.scene.taken_voxels import TakenVoxels, giveBack

_ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DSMSegment.png"
_CONFIRMED_WITHOUT_DIALOG = 1  # of `qSlicerSegmentEditorAbstractEffect.ConfirmCurrentSegmentVisibleResult`
_SET, _ADD, _REMOVE = "Set", "Add", "Remove"
# Those of all editors, and the one that they are cloned from.
EFFECTS: weakref.WeakSet[SegmentEditorTextPromptEffect] = weakref.WeakSet()


class SegmentEditorTextPromptEffect(AbstractScriptedSegmentEditorEffect):  # type: ignore[misc]
    """Segment Editor effect *Text prompt*; shares the worker with the panel."""

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "Text prompt"  # not translated: modules find effects by it
        scriptedEffect.title = _("Text prompt")
        scriptedEffect.perSegment = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self._job: MaskJob | None = None
        self._clicks: EditorClicks | None = None
        self._isOutdated = False  # by a click during the run
        self._options: Any = None
        self._offered = ""
        self._observed: list[tuple[Any, int]] = []
        EFFECTS.add(self)

    def clone(self) -> Any:
        """Create the effect for another editor widget."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        clonedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
        clonedEffect.setPythonSource(__file__.replace("\\", "/"))
        return clonedEffect

    def icon(self) -> Any:
        """Return the icon of the module."""
        return qt.QIcon(str(_ICON))

    def helpText(self) -> str:
        """Return the help text that the editor shows below the effect."""
        return _(
            "<html>Type one structure or tumor, for example <i>left kidney</i>, and press Apply: the selected segment "
            "gets what the network finds. Where that is nothing or the wrong thing, press Click and click on the "
            "structure in a slice view; with Ctrl, on what does not belong to it; Backspace takes a click back. "
            "Masking, overwriting and undo of the editor apply; modality and guesses are those of the module DSM "
            "Segment, section Advanced. Research use only.</html>"
        )

    def setupOptionsFrame(self) -> None:
        """Build the options; called once."""
        self._options = qt.QFrame()
        layout = qt.QFormLayout(self._options)
        layout.setContentsMargins(0, 0, 0, 0)
        self._promptEdit = qt.QTextEdit()
        self._promptEdit.setAcceptRichText(False)
        self._promptEdit.setMaximumHeight(40)
        self._hintsLabel = qt.QLabel()
        self._hintsLabel.setWordWrap(True)
        self._modeCombo = qt.QComboBox()
        self._modeCombo.addItem(_("Replace segment"), _SET)
        self._modeCombo.addItem(_("Add to segment"), _ADD)
        self._modeCombo.addItem(_("Remove from segment"), _REMOVE)
        self._applyButton = qt.QPushButton(_("Apply"))
        self._clickButton = qt.QPushButton(_("Click"))
        self._clickButton.setCheckable(True)
        self._clickButton.setToolTip(
            _("Click on the structure in the slice views, with Ctrl on what does not belong to it.")
        )
        self._takeBackButton = qt.QPushButton(_("Take back click"))
        self._takeBackButton.setToolTip(_("Take back the last click (Backspace in a slice view)."))
        self._statusLabel = qt.QLabel()
        self._statusLabel.setWordWrap(True)
        layout.addRow(_("Structure:"), self._promptEdit)
        for widget in (self._hintsLabel, self._modeCombo, self._applyButton):
            layout.addRow(widget)
        layout.addRow(self._clickButton, self._takeBackButton)
        layout.addRow(self._statusLabel)
        self.scriptedEffect.addOptionsWidget(self._options)
        self._prompts = PromptEdit(self._promptEdit, self._hintsLabel, self.onApply)
        self._applyButton.clicked.connect(self.onApply)
        self._clickButton.toggled.connect(self._onClicking)
        self._hintsLabel.linkActivated.connect(self._onModel)
        self._takeBackButton.clicked.connect(self.onTakeBack)
        self._updateTakeBack()

    def activate(self) -> None:
        """Update the options when the effect is chosen: the selected segment may have changed."""
        self._observe()
        self._updateHints()

    def deactivate(self) -> None:
        """Stop the run when another effect is chosen: it would write in the background."""
        self._stopObserving()
        if self._options is not None:
            self._clickButton.setChecked(False)
        self._endClicks()
        if self._job is not None:
            self._job.cancel()

    def cleanup(self) -> None:
        """Disconnect when the editor is deleted; a connection would keep this object and its widgets alive."""
        self.deactivate()
        self._job = None
        if self._options is not None:
            self._prompts.close()
            self._applyButton.clicked.disconnect(self.onApply)
            self._clickButton.toggled.disconnect(self._onClicking)
            self._hintsLabel.linkActivated.disconnect(self._onModel)
            self._takeBackButton.clicked.disconnect(self.onTakeBack)
        EFFECTS.discard(self)

    def renew(self) -> None:
        """Replace the effect's class after a reload, also in an open editor."""
        scriptedEffect, options = self.scriptedEffect, self._options
        self.cleanup()
        scriptedEffect.setPythonSource(__file__.replace("\\", "/"))
        if options is not None:
            options.setParent(None)
            options.deleteLater()
            renewed = scriptedEffect.self()
            renewed.setupOptionsFrame()
            if scriptedEffect.active():
                renewed.updateGUIFromMRML()
                renewed.activate()

    def setMRMLDefaults(self) -> None:
        """Nothing is kept in the scene: the prompt belongs to one segment."""

    def updateGUIFromMRML(self) -> None:
        """Offer the name of the selected segment as the prompt, unless the user has typed another one."""
        segment = _segmentOf(self.scriptedEffect.parameterSetNode())
        if segment is None or self._promptEdit.plainText.strip() not in ("", self._offered):
            return
        self._offered = segment.GetName().strip()
        self._prompts.setText(self._offered)

    def updateMRMLFromGUI(self) -> None:
        """Nothing is kept in the scene."""

    def onApply(self, checked: bool = False) -> None:  # noqa: ARG002  (Qt's signature)
        """Start a run, or cancel the one that is running."""
        if self._isRunning:
            self._isOutdated = False
            self._cancel()
            return
        if not self._isSelected() or not self.scriptedEffect.confirmCurrentSegmentVisible():
            return
        self._endClicks()
        self._run()

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        """Take clicks in slice views while the button Click is down; Slicer calls this.

        Returns:
            Whether the view itself shall do nothing with the event.
        """
        if self._options is None or not self._clickButton.checked or viewWidget.className() != "qMRMLSliceWidget":
            return False
        if eventId == vtk.vtkCommand.KeyPressEvent and callerInteractor.GetKeySym() == "BackSpace":
            self.onTakeBack()
            return True
        modified = callerInteractor.GetShiftKey() or callerInteractor.GetAltKey()
        if eventId != vtk.vtkCommand.LeftButtonPressEvent or modified:
            return False
        # As Slicer's own effects: who was just asked has not meant this click.
        if self.scriptedEffect.confirmCurrentSegmentVisible() != _CONFIRMED_WITHOUT_DIALOG:
            return True
        world = self.xyToRas(callerInteractor.GetEventPosition(), viewWidget)
        self._click(world, inside=not callerInteractor.GetControlKey())
        return True

    def onTakeBack(self, checked: bool = False) -> None:  # noqa: ARG002  (Qt's signature)
        """Take back the last click."""
        if self._clicks is None:
            return
        if not self._isRunning:
            self._clicks.follow()
        if self._clicks.takeBack():
            self._answer()

    def _click(self, world: Any, *, inside: bool) -> None:
        node = self.scriptedEffect.parameterSetNode()
        if not self._isSelected():
            return
        volumeNode, (segmentationNode, segmentId, _time) = node.GetSourceVolumeNode(), _targetOf(node)
        if reason := reasonOfVolume(volumeNode) or reasonOfVolume(segmentationNode):
            self._statusLabel.text = reason
            return
        if self._clicks is None or not self._clicks.isOf(segmentationNode, segmentId, volumeNode):
            self._endClicks()
            self._clicks = EditorClicks(segmentationNode, segmentId, volumeNode)
        elif not self._isRunning:
            self._clicks.follow()
        self._clicks.add(world, inside=inside)
        self._answer()

    def _answer(self) -> None:
        """Run the clicks; those of a run that goes on are outdated."""
        self._updateTakeBack()
        if self._clicks is None:
            return
        if self._isRunning:
            self._isOutdated = True
            self._cancel()
        elif not self._clicks.clicks:
            self.scriptedEffect.saveStateForUndo()
            watch = EditWatch(self._clicks.segmentationNode)
            self._restore()
            watch.markEdited()
            self._statusLabel.text = _("The segment is as it was before the clicks.")
        elif any(click.inside for click in self._clicks.clicks) or self._isCorrectable():
            self._run(self._clicks.clicks)
        else:
            self._statusLabel.text = _("Click inside first: outside clicks alone mark nothing.")

    @property
    def _isRunning(self) -> bool:
        return self._job is not None and not self._job.isOver

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _isCorrectable(self) -> bool:
        segmentationNode, segmentId, _time = _targetOf(self.scriptedEffect.parameterSetNode())
        try:
            return isCorrectable(segmentationNode, segmentId, parseOne(self._promptEdit.plainText))
        except DSMError:  # no name: nothing is corrected
            return False

    def _isSelected(self) -> bool:
        if _segmentOf(self.scriptedEffect.parameterSetNode()) is not None:
            return True
        self._statusLabel.text = _("Select a segment first.")
        return False

    def _run(self, clicks: tuple[Click, ...] = ()) -> None:
        node = self.scriptedEffect.parameterSetNode()
        self._target = _targetOf(node)
        panel = slicer.util.getModuleWidget("DSMSegment")
        if reason := panel.reasonNotReady():
            self._statusLabel.text = reason
            return
        try:
            self._logic = panel.logic
            volumeNode = node.GetSourceVolumeNode()
            context = panel.promptContext(volumeNode)
            self._job = self._logic.findMask(
                volumeNode,
                self._promptEdit.plainText,
                clicks=clicks,
                options=SegmentOptions(guess=context.guess),
                modality=context.modality,
                target=self._target[0],
                onFinished=self._onFinished,
            )
        except DSMError as error:
            self._statusLabel.text = error.one_line
            return
        self._applyButton.text = _("Cancel")
        self._statusLabel.text = _("Segmenting...")

    def _onFinished(self, job: MaskJob) -> None:
        if job is not self._job:  # the editor has gone
            return
        self._applyButton.text = _("Apply")
        node = self.scriptedEffect.parameterSetNode()
        if self._isOutdated:
            self._isOutdated = False
            self._answer()
        elif job.state is JobState.CANCELLED or node is None:
            self._statusLabel.text = _("Cancelled.")
        elif job.error is not None:
            self._statusLabel.text = job.error.one_line
        elif _segmentOf(node) is None or self._target != _targetOf(node):
            self._statusLabel.text = _("Another segment or sequence item was selected meanwhile; nothing was changed.")
        elif job.volumeNode.GetScene() is None:
            self._statusLabel.text = _("The volume was removed meanwhile; nothing was changed.")
        else:
            self._write(job)

    def _write(self, job: MaskJob) -> None:
        """Write the mask into the selected segment through the editor, as every effect does."""
        try:
            image = job.imageIn(self._target[0])
        except DSMError as error:
            self._statusLabel.text = error.one_line
            return
        if image is None or job.result is None:
            isUnknown = job.result is not None and job.result.source is ResultSource.NONE
            self._statusLabel.text = _("Not known to this model.") if isUnknown else _("Not found.")
            return
        clicks = job.prompt.clicks
        self.scriptedEffect.saveStateForUndo()
        watch = EditWatch(self._target[0])  # the editor may take voxels from other segments
        if clicks:
            self._restore()  # the mode is that of all clicks together
        modifier = self.scriptedEffect.defaultModifierLabelmap()
        resampleInto(modifier, image)
        modes = {
            _SET: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeSet,
            _ADD: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd,
            _REMOVE: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeRemove,
        }
        others = TakenVoxels(*self._target[:2], modifier)
        self.scriptedEffect.modifySelectedSegmentByLabelmap(modifier, modes[self._modeCombo.currentData])
        watch.markEdited()
        # A person chose the segment, the mode and the masking: what it has now need not be what was found.
        segmentationNode, segmentId, _time = self._target
        provenance = self._logic.backend.provenance
        volumeMl = tagResult(segmentationNode, segmentId, job.result, provenance, job.volumeNode, byHand=True)
        if clicks and self._clicks is not None:
            self._clicks.noteWritten(clicks, others.taken())
        score = "–" if job.result.score is None else f"{job.result.score:.2f}"
        label = result_label(job.result.source, found=True, warnings=job.result.notes)
        self._statusLabel.text = _("{label}: {volume:.1f} ml, score {score}").format(
            label=labelText(label), volume=volumeMl, score=score
        )

    def _restore(self) -> None:
        """Give the segment the mask from before the clicks, and others what the clicks took, whatever is masked."""
        if self._clicks is None:
            return
        taken = self._clicks.taken
        modifier = self.scriptedEffect.defaultModifierLabelmap()
        if self._clicks.before.GetNumberOfPoints():
            resampleInto(modifier, self._clicks.before)
        mode = slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeSet
        self.scriptedEffect.modifySelectedSegmentByLabelmap(modifier, mode, True)  # True: no masking
        giveBack(self._clicks.segmentationNode, taken)

    def _endClicks(self) -> None:
        if self._clicks is not None:
            self._clicks.close()
            self._clicks = None
        if self._options is not None:
            self._updateTakeBack()

    def _onClicking(self, clicking: bool) -> None:
        self._statusLabel.text = _("Click inside of the structure, with Ctrl outside of it.") if clicking else ""

    def _updateTakeBack(self) -> None:
        there = self._clicks is not None and bool(self._clicks.clicks)
        enableOrExplain(self._takeBackButton, there, _("There is no click to take back."))

    def _onModel(self, name: str) -> None:
        """Choose the model of a hint, for the panel as well."""
        slicer.util.getModuleWidget("DSMSegment").chooseModel(name)
        self._updateHints()

    def _observe(self) -> None:
        self._stopObserving()
        node = self.scriptedEffect.parameterSetNode()
        if node is None:
            return
        self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onEditorModified)))
        segmentationNode = node.GetSegmentationNode()
        if segmentationNode is not None:  # it hands on the events of its segmentation
            event = slicer.vtkSegmentation.SegmentModified
            self._observed.append((segmentationNode, segmentationNode.AddObserver(event, self._onSegmentModified)))

    def _stopObserving(self) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed.clear()

    def _updateHints(self) -> None:
        """Let hints and clicks follow the volume of the editor, and the settings of the module."""
        node = self.scriptedEffect.parameterSetNode()
        if node is not None:
            panel = slicer.util.getModuleWidget("DSMSegment")
            self._prompts.setContext(panel.promptContext(node.GetSourceVolumeNode()))
            reason = panel.logic.backend.reasonNoClicks
            enableOrExplain(self._clickButton, not reason, reason)
            if reason:
                self._clickButton.setChecked(False)

    def _onEditorModified(self, node: Any, _event: str) -> None:
        if all(observed is not node.GetSegmentationNode() for observed, _tag in self._observed):
            self._observe()
        if self._clicks is not None and not self._isRunning:
            segmentationNode, segmentId, _time = _targetOf(node)
            volumeNode = node.GetSourceVolumeNode()
            if volumeNode is None or not self._clicks.isOf(segmentationNode, segmentId, volumeNode):
                self._endClicks()
        self.updateGUIFromMRML()
        self._updateHints()

    def _onSegmentModified(self, _node: Any, _event: str) -> None:
        self.updateGUIFromMRML()


def _segmentOf(node: slicer.vtkMRMLSegmentEditorNode | None) -> slicer.vtkSegment | None:
    """Return the selected segment; None if none is selected, or it was removed."""
    segmentationNode = node.GetSegmentationNode() if node is not None else None
    if node is None or segmentationNode is None:
        return None
    segmentId = node.GetSelectedSegmentID()
    return segmentationNode.GetSegmentation().GetSegment(segmentId) if segmentId else None


def _targetOf(node: slicer.vtkMRMLSegmentEditorNode) -> tuple[slicer.vtkMRMLSegmentationNode, str, str | None]:
    """Return the target of a run: segmentation, segment id, and shown sequence item."""
    segmentation = node.GetSegmentationNode()
    return segmentation, node.GetSelectedSegmentID(), timeOf(segmentation)
