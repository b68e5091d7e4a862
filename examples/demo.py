"""The main job on a real CT, without Slicer's window: type prompts, get segments back on the scan.

Loads the chest CT of the package `slicerio` as a volume node of a real MRML scene, runs the prompts through the worker
process, and writes `demo.mrb` and `demo.seg.nrrd` (both open in 3D Slicer) and `overview.png` into the output folder.

    .venv/bin/python examples/demo.py
    .venv/bin/python examples/demo.py --model dsm-small --prompts "liver; spleen" --out demo
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "DSMSegment"), str(ROOT / "examples")]  # so that it runs from a clone

from overview import draw_overview, label_of  # noqa: E402
from scene_host import SceneHost, quiet  # noqa: E402

from dsm.errors import DSMError  # noqa: E402
from dsm.wire.messages import Progress  # noqa: E402
from DSMSegmentLib import JobState, OutcomeStatus, SegmentationJob, WorkerBackend  # noqa: E402
from DSMSegmentLib.panel.summary import stageText  # noqa: E402
from DSMSegmentLib.scene.segment_display import showDistinctly  # noqa: E402

PROMPTS = "liver; spleen; stomach; aorta; esophagus; left kidney; right kidney; liver tumor"
# Soft tissue: what a radiologist would choose for these organs.
WINDOW_HU, LEVEL_HU = 400.0, 40.0


@dataclass
class Clock:
    """Prints each stage once, and keeps when it began."""

    began: dict[str, float] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> None:
        """Take a progress report of the job."""
        if progress.stage not in self.began:
            self.began[progress.stage] = time.monotonic()
            print(stageText(progress), flush=True)

    def seconds(self, stage: str, until: str) -> float:
        """Return how long a stage took; 0 where it did not happen."""
        return self.began.get(until, 0.0) - self.began[stage] if {stage, until} <= self.began.keys() else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dsm-small", help="name of an installed model, or a model folder")
    parser.add_argument("--prompts", default=PROMPTS, help="what to segment, separated by ';'")
    parser.add_argument("--volume", type=Path, default=None, help="another CT (NRRD, NIfTI, MHA)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for the results")
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except DSMError as error:
        print(f"demo: {error.one_line}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: cancelled.", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    """Load, segment, save, draw."""
    quiet()
    host = SceneHost()
    volume = host.loadVolume(options.volume or chest_ct())
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(WINDOW_HU, LEVEL_HU)
    clock = Clock()
    backend = WorkerBackend(options.model, device=options.device)
    start = time.monotonic()
    try:
        job = SegmentationJob(volume, options.prompts, backend, onProgress=clock)
        if job.wait() is JobState.FAILED and job.error is not None:
            raise job.error
    finally:
        backend.close()
    total = time.monotonic() - start

    options.out.mkdir(parents=True, exist_ok=True)
    job.segmentationNode.SetName("demo")
    showDistinctly(job.segmentationNode)  # as panel and page do
    save(host, job.segmentationNode, options.out)
    caption = (
        f"{backend.provenance.algorithm_name} on {volume.GetName()} ({backend.provenance.device}): "
        f"encoded once in {clock.seconds('encode', 'text') or clock.seconds('encode', 'decode'):.1f} s, "
        f"{len(job.outcomes)} prompts, {total:.0f} s with start and loading"
    )
    print_table(job, caption)
    draw_overview(volume, job, options.out / "overview.png", caption=caption, window=(WINDOW_HU, LEVEL_HU))
    print(f"\nWritten to {options.out}: demo.mrb, demo.seg.nrrd, overview.png")
    return 0


def chest_ct() -> Path:
    """Return the CT that comes in the package slicerio: 128 x 128 x 34 voxels of 3 x 3 x 10 mm."""
    return Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))


def save(host: SceneHost, node: Any, folder: Path) -> None:
    """Write the scene and the segmentation, each whole or not at all."""
    # In a folder of their own first, because a scene file names the files in it after those that it was saved with.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".demo-") as made:
        host.saveNode(node, Path(made) / "demo.seg.nrrd")
        host.saveScene(Path(made) / "demo.mrb")
        for name in ("demo.seg.nrrd", "demo.mrb"):
            (Path(made) / name).replace(folder / name)


def print_table(job: SegmentationJob, caption: str) -> None:
    """Print one line a prompt, and what the user should know."""
    print(f"\n{caption}\n\n{'prompt':<20} {'result':<19} {'volume ml':>10} {'score':>6} {'seconds':>8}")
    for outcome in job.outcomes:
        found = outcome.status is OutcomeStatus.WRITTEN
        volume = f"{outcome.volumeMl:.1f}" if found else "-"
        print(
            f"{outcome.prompt.name:<20} {label_of(outcome):<19} {volume:>10} "
            f"{'–' if outcome.score is None else f'{outcome.score:.2f}':>6} {outcome.seconds:>8.2f}"
        )
    for warning in dict.fromkeys(warning for outcome in job.outcomes for warning in outcome.warnings):
        print(f"  ! {warning}")


if __name__ == "__main__":
    sys.exit(main())
