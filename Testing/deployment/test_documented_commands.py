"""Every command of README and documentation, run as it stands, or listed here with the reason why it is not.

A folder has the files that they name. The addresses of an archive and of a server are replaced by those of Orthanc and
`dsm serve` on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("markdown_it", reason="it comes with the extra `docs`")

# Tests are imported by path (import-mode=importlib), so their helpers have to be found by hand.
sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("dicom_phantoms", "dicomweb", "server"))

from dicom_series import write_series
from http_server import TOKENS, Server
from markdown_it import MarkdownIt
from orthanc import SECRET, orthanc

import dsm
from dsm.bench.phantom import phantom_ct
from dsm.cli.main import build_parser
from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.io.nifti import write_nifti

ROOT = Path(__file__).parents[2]
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
PAGES = ("README.md", "CONTRIBUTING.md", *DOCS)
ARCHIVE, SERVER = "https://pacs.example/dicom-web", "https://dsm.example"

# Beginnings of commands, with the reason why they are not run.
REASONS_NOT_RUN = {
    "make ": "sets up an environment: scripts/test.sh and CI run it",
    "pip ": "the network; the extras are checked below",
    "tar ": "what pip has downloaded",
    "python3 -m venv ": "an environment that pip would fill from the network; Testing/contract/test_wheel.py makes one",
    "~/dsm/bin/": "of that environment",
    "/opt/dsm/bin/": "root; Testing/deployment/test_service.py runs the service unit's command",
    "adduser ": "root",
    "mkdir -p /etc": "root",
    "chown ": "root",
    "cp examples/deployment/": "root; Testing/deployment/test_service.py runs both files",
    "printf 'anna:%s\\n' \"$(python3 -c 'import secrets; print(secrets.token_urlsafe())')\" > /etc": "root",
    "systemctl ": "root",
    "journalctl ": "root",
    "nginx ": "root; Testing/deployment/test_service.py runs nginx",
    "curl https://dsm.example/healthz": "nginx; Testing/deployment/test_service.py asks through it",
    'curl -H "Authorization: Bearer $DSM_REMOTE_TOKEN" https://dsm.example/jobs/JOB': "a job of another command",
    "export ": "the environment of all commands below",
    "dsm serve": "runs until it is stopped; a fixture below and Testing/server run it",
    "dsm bench": "minutes; Testing/unit/cli/test_bench.py",
    "dsm data import pyradiomics ": "a download; Testing/unit/datasets has its layout",
    "dsm train ": "hours; Testing/contract/test_extend.py trains by that page",
    "dsm models install runs/my-organs": "Testing/contract/test_extend.py, after its training",
    'dsm vocabulary "valva aortae"': "Testing/contract/test_extend.py, which adds that name",
    "python -m dsm.text.build_bank": "Testing/contract/test_extend.py",
    "python scripts/write_manifests.py": "Testing/contract/test_extend.py",
    "python -m benchmarks.": "minutes; Testing/unit/benchmarks",
    "dsm models install FILE": "asks whether a licence is accepted; Testing/unit/models/test_library.py",
    "dsm evaluate DATASET_DIR --model runs/new/model": "the model of a training; the same options run without it",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a code block."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:60]}"

    @property
    def exception(self) -> str:
        """Key of `REASONS_NOT_RUN` that it begins with; empty for a command that is run."""
        found = [start for start in REASONS_NOT_RUN if f"{self.text} ".startswith(start)]
        return max(found, key=len, default="")


def _tokens(page: str) -> list[Any]:
    tokens = MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8"))
    return [token for each in tokens for token in (each, *(each.children or ()))]


def block_commands(page: str) -> Iterator[Command]:
    """Yield the lines of code blocks without a language, or of a shell."""
    for token in _tokens(page):
        if token.type == "fence" and token.info in ("", "sh", "bash"):
            for line in re.sub(r"\\\n\s*", "", token.content).splitlines():
                if text := re.sub(r"(^|\s+)#\s.*", "", line).strip():
                    yield Command(page, text)


def inline_commands(page: str) -> Iterator[str]:
    """Yield commands of `dsm` within sentences."""
    for token in _tokens(page):
        if token.type == "code_inline" and re.match(r"(\w+=\S+ )?(\S*/)?dsm [a-z]", token.content):
            yield token.content.partition(" > ")[0]


COMMANDS = [command for page in PAGES for command in block_commands(page)]
RUN = [command for command in COMMANDS if not command.exception]


def test_every_exception_is_of_a_documented_command() -> None:
    assert REASONS_NOT_RUN.keys() - {command.exception for command in COMMANDS} == set()


@pytest.mark.parametrize("command", [one for one in COMMANDS if re.match(r"(\S*/)?dsm ", one.text)], ids=str)
def test_arguments_are_parsed(command: Command) -> None:
    build_parser().parse_args(shlex.split(command.text.partition("dsm ")[2]))


@pytest.mark.parametrize(
    ("page", "text"), [(page, text) for page in PAGES for text in sorted(set(inline_commands(page)))]
)
def test_options_of_inline_commands_exist(page: str, text: str) -> None:
    parser, words = build_parser(), shlex.split(text.partition("dsm ")[2])
    while below := [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]:
        if not words:
            break
        parser = below[0].choices[words.pop(0)]
    known = {flag for action in parser._actions for flag in action.option_strings}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


def test_documented_modules_exist() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"python -m ((?:dsm|benchmarks)[a-z_.]*[a-z_])", text))
    assert {name for name in named if not find_spec(name)} == set()


def test_documented_extras_exist() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ].keys()
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"(?:'\.|\.whl|dsmsegment)\[([a-z,]+)\]", text)
    assert {extra for group in named for extra in group.split(",")} <= extras


@pytest.fixture(scope="module")
def scan() -> Volume:
    """A CT phantom of a trunk, small enough to segment in a second or two."""
    return phantom_ct((100, 76, 40), (4.0, 4.0, 5.0))


@pytest.fixture(scope="module")
def folder(scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the commands name."""
    folder = tmp_path_factory.mktemp("documented")
    write(folder / "scan.nii.gz", scan.array, scan)
    write_dicom(folder / "DICOM_FOLDER", scan)
    for place in ("SCANS/patient1/ct.nii.gz", "FOLDER/ct.nii.gz", "DIR/imagesTr/a.nii.gz"):
        (folder / place).parent.mkdir(parents=True)
        shutil.copy(folder / "scan.nii.gz", folder / place)
    (points,) = re.findall(
        r"```text\n(case,.*?)```", (ROOT / "docs/how-to/clicks.md").read_text(encoding="utf-8"), re.S
    )
    (folder / "points.csv").write_text(points)
    label = np.zeros(scan.shape, np.uint8, order="F")
    label[60:75, 30:50, 15:25] = 1
    for place in ("DIR/labelsTr", "DATASET_DIR"):
        (folder / place).mkdir()
    write(folder / "DIR" / "labelsTr" / "a.nii.gz", label, scan)
    for name, array in (("ct", scan.array), ("label", label)):
        write(folder / "DATASET_DIR" / f"{name}.nii.gz", array[:, :, 14:26], scan)
    entry = {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}
    task = {"name": "Liver", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}}
    (folder / "DIR" / "dataset.json").write_text(json.dumps({**task, "training": [entry]}))
    case = {"id": "a", "image": "ct.nii.gz", "label": "label.nii.gz", "modality": "CT", "present": {"liver": 3000}}
    manifest = {"name": "one", "labels": {"1": "liver"}, "annotated": ["liver"]}
    manifest["cases"] = [{**case, "split": "validation"}]
    (folder / "DATASET_DIR" / "dataset.json").write_text(json.dumps(manifest))
    for place in (".local/share/bash-completion/completions", ".zfunc", "models"):
        (folder / place).mkdir(parents=True)
    shutil.copytree(ROOT / "model_weights" / "dsm-small", folder / "models" / "dsm-small")
    command = folder / "bin" / "dsm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dsm "$@"\n')
    command.chmod(0o700)
    return folder


def write(path: Path, array: np.ndarray, scan: Volume) -> None:
    write_nifti(path, CroppedArray(array, (0, 0, 0)), array.shape, scan.affine)


def write_dicom(folder: Path, scan: Volume) -> None:
    """Write the series 4.5.6 of the study 1.2.3 of patient 4711."""

    def change(k: int, data: Any) -> None:
        data.StudyInstanceUID, data.PatientID, data.StudyDate = "1.2.3", "4711", "20240110"
        data.PixelSpacing, data.SliceThickness = [4.0, 4.0], 5.0
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-198.0, -150.0, 5.0 * k - 97.5]

    write_series(folder, voxels=np.asarray(scan.array)[::-1, ::-1], uid="4.5.6", change=change)


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(dsm.__file__).parents[1]),
        "DSM_MODEL_DIR": str(folder / "models"),
        "DSM_CACHE_DIR": str(folder / "encodings"),
        "DSM_PRECISION": "float32",  # nothing is measured
        "DSM_DICOMWEB_TOKEN": SECRET,
        "DSM_REMOTE_TOKEN": TOKENS["anna"],
    }


@pytest.fixture(scope="module")
def archive(folder: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of Orthanc with the series."""
    with orthanc(tmp_path_factory.mktemp("orthanc")) as address:
        bash(f"dsm dicomweb send DICOM_FOLDER/* --to {address}", folder, environment)
        bash("dsm segment DICOM_FOLDER -p liver -o checked.dcm", folder, environment)
        yield address


@pytest.fixture(scope="module")
def server(archive: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `dsm serve` with the options of the page on archives."""
    token_file = folder / ".archive-token-of-server"
    token_file.write_text(SECRET)
    token_file.chmod(0o600)
    arguments = ("--archive", archive, "--token-file", str(token_file), "--model", "dsm-small")
    with Server(tmp_path_factory.mktemp("server"), *arguments, start_timeout_s=200) as running:
        running.wait_until_ready()
        yield running.address


def bash(text: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["/bin/bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.xdist_group("documented")
@pytest.mark.parametrize("command", RUN, ids=str)
def test_documented_command_runs(
    command: Command, folder: Path, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    text = command.text.replace("NAME:PASSWORD", SECRET)
    if SERVER in text:
        text = text.replace(SERVER, request.getfixturevalue("server"))
    if ARCHIVE in text:
        text = text.replace(ARCHIVE, request.getfixturevalue("archive"))
    for results in () if "check" in text else ("RESULTS", "scan", "OUT"):  # each command has its own
        shutil.rmtree(folder / results, ignore_errors=True)
    assert bash(text, folder, environment) or " > " in text
