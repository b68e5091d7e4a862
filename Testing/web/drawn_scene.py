"""The scene of the page, drawn without a page: a liver and a tumor in it, in both orders.

Writes JSON to standard output: for each order the colours of both, and the pixels of the axial view.
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from trame.app import get_server

from dsm.core.volume import Volume
from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.segment_display import shownColor
from DSMSegmentWeb.viewer import Viewer

SHAPE = (60, 60, 30)
LIVER, TUMOR = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
LIVER[15:45, 15:45, 5:25] = 1
TUMOR[25:35, 25:35, 10:20] = 1


async def draw() -> None:
    """Segment one prompt after the other, and draw."""
    viewer, drawn = Viewer(get_server(client_type="vue3")), []
    affine = np.diag([-3.0, -3.0, 5.0, 1.0])
    affine[:3, 3] = 90.0, 90.0, -75.0
    for prompts in (["liver", "liver tumor"], ["liver tumor", "liver"]):
        viewer.show(Volume(np.full(SHAPE, 40, np.int16), affine, "CT"), "scan")
        node, runs = viewer.segmentation_node, Runs(FakeBackend({"liver": LIVER, "liver tumor": TUMOR}))
        for prompt in prompts:
            runs.segment(viewer.volume_node, prompt, node, wait=True)
            viewer.show_distinctly()
            viewer.make_surfaces()
        viewer.jump((0.0, 0.0, 0.0))
        ids = node.GetSegmentation().GetSegmentIDs()
        colors = {node.GetSegmentation().GetSegment(id_).GetName(): shownColor(node, id_) for id_ in ids}
        drawn.append({"colors": colors, "pixels": viewer.pictures()[0].pixels.tolist()})
    json.dump(drawn, sys.stdout)


if __name__ == "__main__":
    asyncio.run(draw())
