"""Effect of the Segment Editor: type what to segment, and the selected segment gets it.

The editor's own masking, overwriting and undo apply, as for every other effect. Slicer takes the name of the class from
the name of this file, and the name of the module from that of the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect

from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.job import JobState
from DSMSegmentLib.mask_job import MaskJob
from DSMSegmentLib.mrml import resampleInto
from DSMSegmentLib.prompt_edit import PromptEdit
from DSMSegmentLib.provenance import ALGORITHM_TYPE_TAG, MANUALLY_CHANGED
from DSMSegmentLib.segment_volumes import noteVolume
from DSMSegmentLib.time_point import timeOf

_ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DSMSegment.png"
_SET, _ADD, _REMOVE = "Set", "Add", "Remove"


class SegmentEditorTextPromptEffect(AbstractScriptedSegmentEditorEffect):  # type: ignore[misc]
    """Asks the worker that the panel uses, too."""

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "Text prompt"
        scriptedEffect.perSegment = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self._job: MaskJob | None = None

    def clone(self) -> Any:
        """Make the effect for one more editor widget."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        clonedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
        clonedEffect.setPythonSource(__file__.replace("\\", "/"))
        return clonedEffect

    def icon(self) -> Any:
        """Return the icon of the module."""
        return qt.QIcon(str(_ICON))

    def helpText(self) -> str:
        """Return what the editor shows below the effect."""
        return _(
            "<html>Type one structure or tumor, for example <i>left kidney</i>, and press Apply: the selected segment "
            "gets what the network finds. Masking, overwriting and undo of the editor apply. Research use only.</html>"
        )

    def setupOptionsFrame(self) -> None:
        """Build the options; called once."""
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
        self.scriptedEffect.addLabeledOptionsWidget(_("Structure:"), self._promptEdit)
        for widget in (self._hintsLabel, self._modeCombo, self._applyButton, self._statusLabel):
            self.scriptedEffect.addOptionsWidget(widget)
        self._prompts = PromptEdit(self._promptEdit, self._hintsLabel, self.onApply)
        self._applyButton.clicked.connect(self.onApply)

    def deactivate(self) -> None:
        """Called when another effect is chosen: a run that goes on would write behind the user's back."""
        if self._job is not None:
            self._job.cancel()

    def setMRMLDefaults(self) -> None:
        """Nothing is kept in the scene: the prompt belongs to one segment."""

    def updateGUIFromMRML(self) -> None:
        """Offer the name of the selected segment as the prompt."""
        node = self.scriptedEffect.parameterSetNode()
        segmentationNode, segmentId = node.GetSegmentationNode(), node.GetSelectedSegmentID()
        if segmentationNode is None or not segmentId or self._promptEdit.plainText.strip():
            return
        self._promptEdit.setPlainText(segmentationNode.GetSegmentation().GetSegment(segmentId).GetName())

    def updateMRMLFromGUI(self) -> None:
        """Nothing is kept in the scene."""

    def onApply(self, checked: bool = False) -> None:  # noqa: ARG002  (Qt's signature)
        """Start a run, or cancel the one that is running."""
        if self._job is not None and not self._job.isOver:
            self._job.cancel()
            return
        if not self.scriptedEffect.confirmCurrentSegmentVisible():
            return
        node = self.scriptedEffect.parameterSetNode()
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
        self._applyButton.text = _("Apply")
        node = self.scriptedEffect.parameterSetNode()
        if job.state is JobState.CANCELLED or node is None:
            self._statusLabel.text = _("Cancelled.")
        elif job.error is not None:
            self._statusLabel.text = job.error.one_line
        elif self._target != _targetOf(node):
            self._statusLabel.text = _("Another segment or time point was chosen meanwhile; nothing was changed.")
        else:
            self._write(job)

    def _write(self, job: MaskJob) -> None:
        """Put the mask into the selected segment, as every effect does: through the editor."""
        try:
            image = job.imageIn(self._target[0])
        except DSMError as error:
            self._statusLabel.text = error.one_line
            return
        if image is None or job.finding is None:
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
        self.scriptedEffect.modifySelectedSegmentByLabelmap(modifier, modes[self._modeCombo.currentData])
        segment = self._target[0].GetSegmentation().GetSegment(self._target[1])
        tags = self._logic.backend.provenance.tags(
            self._promptEdit.plainText.strip(), score=job.finding.score, threshold=job.finding.threshold
        )
        # A person chose the segment, the mode and the masking.
        for name, value in {**tags, ALGORITHM_TYPE_TAG: MANUALLY_CHANGED}.items():
            segment.SetTag(name, value)
        noteVolume(self._target[0], self._target[1], job.volumeNode)
        self._statusLabel.text = _("{volume:.1f} ml, score {score:.2f}").format(
            volume=job.finding.volumeMl, score=job.finding.score
        )


def _targetOf(node: slicer.vtkMRMLSegmentEditorNode) -> tuple[slicer.vtkMRMLSegmentationNode, str, str | None]:
    """What a run writes to: segmentation, segment, and the time point that is shown."""
    segmentation = node.GetSegmentationNode()
    return segmentation, node.GetSelectedSegmentID(), timeOf(segmentation)
