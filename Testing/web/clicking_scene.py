"""One scene and its page, as `DSMSegmentWeb.scene_process`, with a backend that answers clicks strictly and at once.

`clicking_scene.py SPEEDS [MODEL]`: with the folder of a model, the page is that of this model, which is never started.
Its mask is a ball around each click inside, less a ball around each one outside; names have the masks given here, of
which clicks outside alone take away. What is meant by `UNANSWERED` has no end, and goes only when it is cancelled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsm.core.click import Click
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.wire.messages import Progress
from DSMSegmentLib import WorkerBackend
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentWeb import scene_process

RADIUS_MM = 18.0
# The name itself, and clicks of it of which the last one is outside.
UNANSWERED = "chordoma"
BOXES = {
    "liver": [np.s_[30:70, 40:80, 5:15]],
    "aorta": [np.s_[60:66, 50:56, 5:25]],
    "lung tumor": [np.s_[32:38, 50:54, 20:23], np.s_[90:100, 60:66, 18:22], np.s_[60:62, 80:82, 8:9]],
}


class ClickingBackend(FakeBackend):
    """Backend that knows liver and aorta, as boxes, a tumor of three lesions, and whatever is clicked."""

    def segment(self, volume: Volume, prompts: Sequence[Any], options: Any, **callbacks: Any) -> None:
        """See `Backend.segment`."""
        for prompt in prompts:
            if prompt.name == UNANSWERED and not (prompt.clicks and prompt.clicks[-1].inside):
                callbacks["onProgress"](Progress(id="", stage="decode", done=0, total=2))
                while True:
                    callbacks["cancel"].check()
                    time.sleep(0.01)
            named = np.zeros(volume.shape, np.uint8)
            for box in BOXES.get(prompt.name, ()):
                named[box] = 1
            mask = clicked_mask(volume, prompt.clicks, named) if prompt.clicks else named
            self.masks = {prompt.canonical_text: mask} if prompt.clicks or named.any() else {}
            super().segment(volume, [prompt], options, **callbacks)


class UnstartedModel(WorkerBackend):
    """Backend of a model, with the masks of `ClickingBackend` in place of the model's."""

    def segment(self, *arguments: Any, **callbacks: Any) -> None:
        """See `Backend.segment`."""
        ClickingBackend({}).segment(*arguments, **callbacks)


def clicked_mask(volume: Volume, clicks: Sequence[Click], named: np.ndarray) -> np.ndarray:
    """Return the mask of clicks, uint8 `[I, J, K]`; `named` is that of the name."""
    ras_mm = np.moveaxis(np.indices(volume.shape), 0, -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    are_inside = any(click.inside for click in clicks)
    mask = np.zeros(volume.shape, np.uint8) if are_inside else named.copy()
    for click in sorted(clicks, key=lambda click: not click.inside):
        voxel = np.linalg.inv(volume.affine) @ [*click.ras_mm, 1.0]
        if np.any(voxel[:3] < -0.5) or np.any(voxel[:3] > np.array(volume.shape) - 0.5):
            raise InputError("The click lies outside of the volume.", code="click", hint="Click inside of it.")
        mask[np.linalg.norm(ras_mm - click.ras_mm, axis=-1) < RADIUS_MM] = click.inside
    return mask


if __name__ == "__main__":
    speeds, *models = sys.argv[1:]
    scene_process._backend = lambda _options: UnstartedModel(*models) if models else ClickingBackend({})
    sys.argv[1:] = ["--model", *(models or ["none"]), "--device", "cpu", "--precision", "float32", "--speeds", speeds]
    scene_process.main()
