"""Clicked objects of a volume: the name says what, the clicks say where."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click, contradicted
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.inference.click_lesions import ClickedLesions, by_lesion
from dsm.inference.click_scan import ClickScan, WindowPredictor
from dsm.inference.click_window import soft_tissue_units
from dsm.inference.expected_volume import expected_ml

_MOST_OBJECTS = 8


class ClickedObjects:
    """Masks of clicked prompts; those of the last eight names are kept, so that one more click costs one click.

    Args:
        volume: The image; nothing of it is encoded.
        network: The click network.
    """

    def __init__(self, volume: Volume, network: WindowPredictor) -> None:
        self._volume = volume
        self._network = network
        self._scans: OrderedDict[tuple[str, str, bool], ClickScan | ClickedLesions] = OrderedDict()

    def segment(
        self,
        prompt: Prompt,
        *,
        find_text_mask: Callable[[], CroppedArray] | None = None,
        on_look: Callable[[], None] = lambda: None,
    ) -> PromptResult:
        """Segment the clicked object.

        Args:
            prompt: A prompt with clicks.
            find_text_mask: Returns the mask of its name, which the clicks correct; None where there is none. It is
                called with the first click.
            on_look: Called before each look at the image; may raise `JobCancelled`.

        Returns:
            The result on the grid of the volume, without a score: clicks are not calibrated.

        Raises:
            InputError: If no click is inside and there is no mask to correct, or a click lies outside of the volume.
        """
        key = (prompt.name, prompt.kind, find_text_mask is not None)
        scan = self._scans.pop(key, None) or self._opened(prompt, find_text_mask)
        self._scans[key] = scan
        while len(self._scans) > _MOST_OBJECTS:
            self._scans.popitem(last=False)
        found = scan.segment(prompt.clicks, on_look=on_look)
        return PromptResult(
            prompt=prompt,
            mask=found.mask,
            shape=self._volume.shape,
            found=found.volume_ml > 0,
            score=None,
            volume_ml=found.volume_ml,
            seconds=found.seconds,
            threshold=0.5,
            warnings=(*self._click_flags(prompt.clicks, found.mask), *prompt.warnings),
        )

    def _click_flags(self, clicks: Sequence[Click], mask: CroppedArray) -> tuple[str, ...]:
        wrong = len(contradicted(clicks, self._volume, mask)) if mask.array.size else 0
        if not wrong:
            return ()
        return (f"Check: the mask contradicts {wrong} of {len(clicks)} clicks; click there once more, or paint.",)

    def _opened(self, prompt: Prompt, find_text_mask: Callable[[], CroppedArray] | None) -> ClickScan | ClickedLesions:
        text = None if find_text_mask is None else find_text_mask()
        scan = ClickScan.of(
            self._volume, self._network, text=text, expected_ml=expected_ml(prompt.name), units=self._units
        )
        return by_lesion(scan, prompt.kind)

    @cached_property
    def _units(self) -> tuple[float, float]:
        return soft_tissue_units(self._volume)
