"""Imports at run time: Slicer's process never loads torch, and light commands load little."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PACKAGE_PARENT = Path(__file__).parents[2] / "DSMSegment"
HEAVY = ("torch", "monai", "diffusers", "transformers", "torchvision", "open_clip")

TORCH_FREE = [
    "dsm",
    "dsm.errors",
    "dsm.progress",
    "dsm.core.volume",
    "dsm.core.boxes",
    "dsm.core.orientation",
    "dsm.wire.messages",
    "dsm.wire.arrays",
    "dsm.io.image",
    "dsm.io.segmentation",
    "dsm.text.prompt",
    "dsm.text.vocabulary",
    "dsm.text.bank",
    "dsm.text.embed",
    "dsm.models.config",
    "dsm.models.library",
    "dsm.models.store",
    "dsm.core.result",
    "dsm.inference.body_grid",
    "dsm.inference.memory_ladder",
    "dsm.inference.segment_metadata",
    "dsm.cli.main",
    "dsm.worker.process",
]


def python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def cpu_seconds(*arguments: str) -> float:
    """CPU time of a Python process: wall time says more about the other load."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_torch_free_modules_load_no_torch():
    loaded = python(
        f"import sys, importlib\n"
        f"for name in {TORCH_FREE!r}:\n"
        f"    importlib.import_module(name)\n"
        f"    heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        f"    if heavy:\n"
        f"        print(name, heavy); break\n"
    )
    assert loaded == ""


@pytest.mark.parametrize("arguments", [["info", "--json"], ["vocabulary", "kidney"], ["models", "list"], ["--help"]])
def test_light_commands_load_no_torch(arguments):
    code = (
        "import sys\n"
        "from dsm.cli.main import main\n"
        "try:\n"
        "    assert main(sys.argv[1:]) == 0\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        f"print('\\nheavy:', [m for m in {(*HEAVY, 'numpy', 'SimpleITK')!r} if m in sys.modules])"
    )
    assert python(code, *arguments).splitlines()[-1] == "heavy: []"


def test_segmenting_known_names_loads_no_heavy_modules(tiny_model, tmp_path):
    """The whole default path, from a file to a file: every name is in the bank, so no text tower is needed."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(-200, 200, (20, 20, 20)).astype(np.int16))
    image.SetSpacing((1.5, 1.5, 1.5))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    code = (
        "import sys\n"
        "from dsm.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    arguments = ["segment", str(tmp_path / "scan.nii.gz"), "-p", "liver; liver tumor", "--model", str(tiny_model)]
    output = python(code, *arguments, "-o", str(tmp_path / "out.seg.nrrd"))
    assert output.splitlines()[-1] == "heavy: ['torch']"


def test_start_up_time_relative_to_numpy():
    """The processes take turns, so that the load of the machine is the same for all; the least of seven counts."""
    processes = {
        ("-c", "import numpy"): 1.0,
        ("-c", "import dsm"): 0.7,
        ("-m", "dsm", "info"): 2.5,
        ("-m", "dsm", "vocabulary", "liver"): 2.5,
    }
    rounds = [[cpu_seconds(*arguments) for arguments in processes] for _ in range(7)]
    numpy, *others = (min(seconds) for seconds in zip(*rounds, strict=True))
    for seconds, (arguments, bar) in zip(others, list(processes.items())[1:], strict=True):
        assert seconds < bar * numpy, arguments
