"""Segmentation by name and clicks: the name says what, the clicks say where."""

from __future__ import annotations

from collections.abc import Sequence

from dsm.core.click import Click
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.inference.click_scan import ClickSegmenter
from dsm.inference.scan import Scan
from dsm.text.prompt import parse_prompts


def segment_clicked(
    image: Scan | Volume, prompt: str | Prompt, clicks: Sequence[Click], *, network: ClickSegmenter | str = "clicks"
) -> PromptResult:
    """Segment the clicked object and label it with a name.

    Args:
        image: An encoded scan, whose mask of the prompt is then a hint for the clicks; or a volume that was never
            encoded, for clicks alone.
        prompt: Name of the structure, one.
        clicks: In their order, at least one inside.
        network: The click network, or its name or folder.

    Returns:
        The result on the grid of the input; `score` is the mean probability in the mask.

    Raises:
        InputError: If no click is inside, or one lies outside of the volume.
        PromptError: If the prompt is empty or too long.
        ModelNotFoundError: If there is no such network.

    Example::

        segment_clicked(volume, "schwannoma", [Click((12.5, -30, 88))]).volume_ml
    """
    named = parse_prompts([prompt])[0] if isinstance(prompt, str) else prompt
    segmenter = ClickSegmenter.from_folder(network) if isinstance(network, str) else network
    if isinstance(image, Scan):
        volume, text = image.volume, image.segment([named])[0].mask
    else:
        volume, text = image, None
    found = segmenter.open(volume, text=text).segment(clicks)
    return PromptResult(
        prompt=named,
        mask=found.mask,
        shape=volume.shape,
        found=found.volume_ml > 0,
        score=found.confidence,
        volume_ml=found.volume_ml,
        seconds=found.seconds,
        threshold=0.5,
        warnings=named.warnings,
    )
