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

from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.job import JobState
from DSMSegmentLib.jobs.mask_job import MaskJob
from DSMSegmentLib.panel.prompt_edit import PromptEdit
from DSMSegmentLib.scene.editor_bridge import EditWatch
from DSMSegmentLib.scene.mrml import resampleInto
from DSMSegmentLib.scene.sequence_item import timeOf
from DSMSegmentLib.scene.tag_writer import tagResult

_ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DSMSegment.png"
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
            "gets what the network finds. Masking, overwriting and undo of the editor apply. Research use only.</html>"
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
        self._statusLabel = qt.QLabel()
        self._statusLabel.setWordWrap(True)
        layout.addRow(_("Structure:"), self._promptEdit)
        for widget in (self._hintsLabel, self._modeCombo, self._applyButton, self._statusLabel):
            layout.addRow(widget)
        self.scriptedEffect.addOptionsWidget(self._options)
        self._prompts = PromptEdit(self._promptEdit, self._hintsLabel, self.onApply)
        self._applyButton.clicked.connect(self.onApply)

    def activate(self) -> None:
        """Update the options when the effect is chosen: the selected segment may have changed."""
        self._observe()

    def deactivate(self) -> None:
        """Stop the run when another effect is chosen: it would write in the background."""
        self._stopObserving()
        if self._job is not None:
            self._job.cancel()

    def cleanup(self) -> None:
        """Disconnect when the editor is deleted; a connection would keep this object and its widgets alive."""
        self.deactivate()
        self._job = None
        if self._options is not None:
            self._prompts.close()
            self._applyButton.clicked.disconnect(self.onApply)
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
        if self._job is not None and not self._job.isOver:
            self._job.cancel()
            return
        node = self.scriptedEffect.parameterSetNode()
        if _segmentOf(node) is None:
            self._statusLabel.text = _("Select a segment first.")
            return
        if not self.scriptedEffect.confirmCurrentSegmentVisible():
            return
        self._target = _targetOf(node)
        panel = slicer.util.getModuleWidget("DSMSegment")
        if reason := panel.reasonNotReady():
            self._statusLabel.text = reason
            return
        try:
            self._logic = panel.logic
            self._job = self._logic.findMask(
                node.GetSourceVolumeNode(),
                self._promptEdit.plainText,
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
        if job.state is JobState.CANCELLED or node is None:
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
            self._statusLabel.text = _("Not found.")
            return
        self.scriptedEffect.saveStateForUndo()
        modifier = self.scriptedEffect.defaultModifierLabelmap()
        resampleInto(modifier, image)
        modes = {
            _SET: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeSet,
            _ADD: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd,
            _REMOVE: slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeRemove,
        }
        watch = EditWatch(self._target[0])  # the editor may take voxels from other segments
        self.scriptedEffect.modifySelectedSegmentByLabelmap(modifier, modes[self._modeCombo.currentData])
        watch.markEdited()
        # A person chose the segment, the mode and the masking: what it has now need not be what was found.
        segmentationNode, segmentId, _time = self._target
        provenance = self._logic.backend.provenance
        volumeMl = tagResult(segmentationNode, segmentId, job.result, provenance, job.volumeNode, byHand=True)
        self._statusLabel.text = _("{volume:.1f} ml, score {score:.2f}").format(volume=volumeMl, score=job.result.score)

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

    def _onEditorModified(self, node: Any, _event: str) -> None:
        if all(observed is not node.GetSegmentationNode() for observed, _tag in self._observed):
            self._observe()
        self.updateGUIFromMRML()

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
