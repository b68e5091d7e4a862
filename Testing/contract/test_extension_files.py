"""Files for Slicer's build and its Extensions Index are consistent with the tree and with each other."""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "DSMSegment"
NOT_SHIPPED = {"CMakeLists.txt"}


def cmake_list(name: str) -> list[str]:
    """The items of `set(name ...)` in the module's CMakeLists.txt."""
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({name}\s(.*?)\)", text, re.DOTALL)
    assert found, f"no list {name}"
    return found[1].split()


def files_on_disk(*, python: bool) -> set[str]:
    """Files that belong to the module, relative to its folder."""
    paths = {
        path.relative_to(MODULE)
        for path in MODULE.rglob("*")
        if path.is_file() and (path.suffix == ".py") == python and path.name not in NOT_SHIPPED
    }
    hidden = {path for path in paths if path.suffix == ".pyc" or any(part.startswith(".") for part in path.parts)}
    return {path.as_posix() for path in paths - hidden}


@pytest.mark.parametrize(("name", "python"), [("MODULE_PYTHON_SCRIPTS", True), ("MODULE_PYTHON_RESOURCES", False)])
def test_cmake_lists_every_file_once(name: str, python: bool) -> None:
    listed = cmake_list(name)
    disk = files_on_disk(python=python)
    assert len(listed) == len(set(listed)), "a file is listed twice"
    missing, stale = sorted(disk - set(listed)), sorted(set(listed) - disk)
    assert not missing, f"add to {name} in DSMSegment/CMakeLists.txt: {missing}"
    assert not stale, f"remove from {name} in DSMSegment/CMakeLists.txt: {stale}"


def test_module_folder_has_one_script() -> None:
    assert [path.name for path in MODULE.glob("*.py")] == ["DSMSegment.py"]
    text = (MODULE / "DSMSegment.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    # Defined there or imported: Slicer takes the attribute of the module.
    classes = re.findall(r"^(?:class|from DSMSegmentLib\.[\w.]+ import) (\w+)", text, re.MULTILINE)
    assert set(classes) >= {f"DSMSegment{kind}" for kind in ("", "Widget", "Logic", "Test")}


def test_package_names_do_not_collide_with_other_extensions() -> None:
    """All extensions share one path, and `slicer` imports every module in any folder of its name on it."""
    packages = {path.parent.name for path in MODULE.glob("*/__init__.py")}
    assert packages <= {"dsm", "DSMSegmentLib", "DSMSegmentWeb"}
    assert not (MODULE / "slicer").exists()
    assert not (ROOT / "Testing" / "slicer" / "__init__.py").exists()


class TestExtensionDescription:
    @pytest.fixture
    def cmake(self) -> dict[str, str]:
        text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        return dict(re.findall(r'set\((EXTENSION_\w+) "(.*)"\)', text)) | {
            "project": re.findall(r"project\((\w+)\)", text)[0]
        }

    @pytest.fixture
    def index(self) -> dict[str, object]:
        return dict(json.loads((ROOT / "DSMSegment.json").read_text(encoding="utf-8")))

    @pytest.fixture
    def s4ext(self) -> dict[str, str]:
        lines = (ROOT / "DSMSegment.s4ext").read_text(encoding="utf-8").splitlines()
        return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))

    def test_s4ext_matches_cmake(self, cmake: dict[str, str], s4ext: dict[str, str]) -> None:
        for key, name in {
            "homepage": "EXTENSION_HOMEPAGE",
            "contributors": "EXTENSION_CONTRIBUTORS",
            "description": "EXTENSION_DESCRIPTION",
            "iconurl": "EXTENSION_ICONURL",
            "screenshoturls": "EXTENSION_SCREENSHOTURLS",
            "depends": "EXTENSION_DEPENDS",
            "recommends": "EXTENSION_RECOMMENDS",
            "keywords": "EXTENSION_KEYWORDS",
        }.items():
            assert s4ext[key] == cmake[name], key

    def test_s4ext_matches_the_index_entry(self, index: dict[str, object], s4ext: dict[str, str]) -> None:
        assert s4ext["scmurl"] == index["scm_url"]
        assert s4ext["scmrevision"] == index["scm_revision"]
        assert s4ext["build_subdirectory"] == index["build_subdirectory"]
        assert s4ext["category"] == index["category"]
        assert s4ext["depends"].split() == index["build_dependencies"]

    def test_index_entry_matches_the_schema(self, index: dict[str, object]) -> None:
        """Requirements of Slicer's `Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json`."""
        schema = "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/{}#"
        assert index["$schema"] == schema.format("slicer-extension-catalog-entry-schema-v1.0.2.json")
        required = {"$schema": str, "category": str, "scm_url": str}
        optional = {
            "scm_revision": str,
            "scm_type": str,
            "build_dependencies": list,
            "dicom_support_rule": str,
            "build_subdirectory": str,
            "enabled": bool,
            "tier": int,
        }
        assert set(required) <= set(index) <= set(required) | set(optional)
        assert all(isinstance(value, {**required, **optional}[key]) for key, value in index.items())
        dependencies = index.get("build_dependencies", [])
        assert isinstance(dependencies, list)
        assert all(isinstance(name, str) for name in dependencies)
        assert index.get("scm_type", "git") in ("git", "local")
        assert index.get("tier", 5) in (1, 3, 5)

    def test_no_dicom_support_rule(self, index: dict[str, object]) -> None:
        """Slicer offers an extension with such a rule to who opens matching files; we add no DICOM reader."""
        assert "dicom_support_rule" not in index

    def test_file_has_the_format_of_the_index(self) -> None:
        data = (ROOT / "DSMSegment.json").read_bytes()
        assert b"\r" not in data
        assert list(json.loads(data)) == sorted(json.loads(data))

    def test_names_agree(self, cmake: dict[str, str], index: dict[str, object]) -> None:
        assert cmake["project"] == "DSMSegment"
        assert str(index["scm_url"]).endswith("/Slicer" + cmake["project"])
        assert cmake["EXTENSION_HOMEPAGE"] == index["scm_url"]

    def test_addresses_of_pictures_are_files_of_the_repository(self, cmake: dict[str, str]) -> None:
        base = cmake["EXTENSION_HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
        for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
            for url in cmake[name].split():
                assert url.startswith(base)
                assert (ROOT / url.removeprefix(base)).is_file()

    def test_icon_has_the_size_required_by_the_index(self) -> None:
        data = (MODULE / "Resources" / "Icons" / "DSMSegment.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", data[16:24]) == (128, 128)


class TestRequirementsOfTheIndex:
    """Requirements of the reviewers of the index; see docs/contributing/extension-checklist.md."""

    FILES = (
        MODULE / "DSMSegment.py",
        *sorted(MODULE.glob("DSMSegmentLib/**/*.py")),
        *sorted(MODULE.glob("DSMSegmentEffect/*.py")),
    )
    KNOWN = frozenset({"dsm", "DSMSegmentLib", "slicer", "vtk", "qt", "numpy", "SegmentEditorEffects"})

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_file_scope_runs_nothing_and_imports_no_optional_packages(self, path: Path) -> None:
        kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            is_without_slicer = path.name == "application.py" and isinstance(node, ast.Try)
            assert is_docstring or is_for_types or is_without_slicer or isinstance(node, kinds), f"line {node.lineno}"
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
            assert tops <= self.KNOWN, f"line {node.lineno}"

    def test_modal_dialogs_only_ask_for_consent(self) -> None:
        asking = re.compile(r"confirm\w*Display|QMessageBox|(?:error|info|warning|message)Display|QInputDialog")
        asks = {path.name for path in self.FILES if asking.search(path.read_text(encoding="utf-8"))}
        assert asks == {"dependencies.py", "free_text.py", "remote_section.py", "setup_section.py"}

    def test_no_style_sheets(self) -> None:
        for path in (*self.FILES, MODULE / "Resources" / "UI" / "DSMSegment.ui"):
            assert "stylesheet" not in path.read_text(encoding="utf-8").lower(), path.name

    def test_license_and_readme_meet_the_index_requirements(self) -> None:
        assert "Apache License" in (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        assert "Apache-2.0" in readme
        assert readme.startswith("# DSMSegment\n")
        assert re.search(r"!\[.*\]\(Resources/Screenshots/\w+\.png\)", readme)
        assert "docs/tutorial/slicer.md" in readme


class TestPanel:
    ui = ET.parse(MODULE / "Resources" / "UI" / "DSMSegment.ui").getroot()  # noqa: S314  (our own file)

    def test_panel_has_the_widgets_that_the_code_uses(self) -> None:
        files = [MODULE / "DSMSegment.py", *(MODULE / "DSMSegmentLib").rglob("*.py")]
        code = "\n".join(path.read_text(encoding="utf-8") for path in files)
        used = set(re.findall(r"\b_?ui\.(\w+)", code))
        assert used
        assert used <= {widget.get("name") for widget in self.ui.iter("widget")}

    def test_panel_binds_only_existing_parameters(self) -> None:
        code = (MODULE / "DSMSegment.py").read_text(encoding="utf-8")
        node = code[code.index("class DSMSegmentParameterNode") : code.index("class DSMSegmentWidget")]
        bound = {
            item.findtext("string") for item in self.ui.iter("property") if item.get("name") == "SlicerParameterName"
        }
        described, _, annotated = node.partition('"""\n\n')
        assert described
        # Slicer's binding of a text field writes at each change of any parameter: `PromptEdit` binds the prompts.
        assert bound | {"prompts"} == set(re.findall(r"^    (\w+): ", annotated, re.MULTILINE))
        assert "prompts" not in bound

    def test_all_buttons_and_lists_of_the_form_are_used(self) -> None:
        files = [MODULE / "DSMSegment.py", *(MODULE / "DSMSegmentLib").rglob("*.py")]
        code = "\n".join(path.read_text(encoding="utf-8") for path in files)
        kinds = ("QPushButton", "QToolButton", "QTableWidget", "QTreeWidget", "QTextEdit")
        buttons = {widget.get("name") for widget in self.ui.iter("widget") if widget.get("class") in kinds}
        assert buttons <= set(re.findall(r"\b_?ui\.(\w+)", code))

    def test_prompt_editor_has_a_parameter_node_connector(self) -> None:
        (editor,) = [widget for widget in self.ui.iter("widget") if widget.get("name") == "promptsTextEdit"]
        assert editor.get("class") == "QTextEdit"  # QPlainTextEdit has no connector in the parameter node wrapper
