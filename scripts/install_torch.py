"""Install PyTorch without CUDA into the environment of the Python that runs this, or say why not, before the download.

`python scripts/install_torch.py constraints.txt [more constraints]`. From where is pip's configuration. On Linux, the
index that pip asks by default has a build with CUDA of several GB only; nothing here needs it. DSM_CUDA=1 takes
whatever comes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_CUDA = re.compile(r"(nvidia|cuda|triton)\b", re.IGNORECASE)
_REFUSED = """\
pip would take {name} {version}, which is built for CUDA and brings {names}: several GB, not needed here.
Either let pip find a build without CUDA and run this again: give it the index that PyTorch's own page "Get Started"
names for Linux, Pip, CPU (pip config set global.extra-index-url ADDRESS), or a folder that has such a wheel
(export PIP_FIND_LINKS=FOLDER). Or take the build with CUDA: DSM_CUDA=1 make setup"""


def main(constraints: list[str]) -> int:
    """Return 0 if PyTorch is there, 1 if it was not installed."""
    if importlib.util.find_spec("torch"):
        return 0
    wanted = ["torch", *(part for path in constraints for part in ("--constraint", path))]
    if not os.environ.get("DSM_CUDA"):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            # Its own metadata say enough; those of what it needs would be downloads.
            if code := _pip("--dry-run", "--no-deps", "--report", str(report), *wanted):
                return code
            chosen = json.loads(report.read_text(encoding="utf-8"))["install"][0]["metadata"]
        if names := needed_for_cuda(chosen):
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            print(_REFUSED.format(name=chosen["name"], version=chosen["version"], names=some), file=sys.stderr)
            return 1
    return _pip("--no-compile", *wanted)


def needed_for_cuda(metadata: dict[str, Any]) -> list[str]:
    """Return the packages of CUDA that a build of PyTorch needs on this system, by its metadata."""
    from pip._vendor.packaging.requirements import Requirement

    needed = [Requirement(text) for text in metadata.get("requires_dist", [])]
    here = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [name for name in here if _CUDA.match(name)]


def _pip(*arguments: str) -> int:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
