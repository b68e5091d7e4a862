"""Damaged model files: a typed error before anything is computed."""

from __future__ import annotations

import ast
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsm.cli.main import main
from dsm.errors import ModelError
from dsm.models.store import verify_model
from dsm.text.bank_file import BANK_FILE, bank_path

_PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib"}
FILES = ("config.json", "manifest.json", "model.safetensors", "text_bank.safetensors")


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def remove_file(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def append_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nest_json_deeply(path: Path) -> None:
    path.write_text("[" * 100_000)


DAMAGES = (empty_file, remove_file, truncate, flip_one_bit, append_a_byte, replace_by_folder, nest_json_deeply)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_model_is_refused(
    dsm_tiny: Path, tmp_path: Path, series: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable
) -> None:
    model = tmp_path / "model"
    shutil.copytree(dsm_tiny, model)
    shutil.copyfile(bank_path(dsm_tiny), model / BANK_FILE)  # as in an installed model
    digest = verify_model(model).digest
    damage(model / name)
    try:
        entry = verify_model(model)
    except (ModelError, ValueError) as error:
        assert error.code
        assert error.hint
    else:  # what was changed means the same, such as a blank at the end of the manifest
        assert entry.digest == digest
        return
    out = tmp_path / "out.seg.nrrd"
    assert main(["segment", str(series), "-p", "liver", "-o", str(out), "--model", str(model)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_manifest_with_a_path_outside_of_its_folder_is_refused(dsm_tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(dsm_tiny, model)
    text = (model / "manifest.json").read_text()
    (model / "manifest.json").write_text(text.replace('"config.json"', '"../../etc/passwd"', 1))
    with pytest.raises(ModelError):
        verify_model(model)


def test_pickle_in_place_of_weights_is_refused_and_not_executed(dsm_tiny: Path, tmp_path: Path) -> None:
    """A file that would run code when unpickled is only a weight file with a wrong header."""
    model = tmp_path / "model"
    shutil.copytree(dsm_tiny, model)
    marker = tmp_path / "ran"
    pickled_command = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    pickle.loads(pickled_command)  # noqa: S301
    assert marker.exists()
    marker.unlink()
    (model / "model.safetensors").write_bytes(pickled_command)
    from dsm.models.store import write_manifest
    from dsm.models.weights import load_model

    write_manifest(model)
    with pytest.raises(ModelError):
        load_model(model)
    assert not marker.exists()


def unpickles(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name in _PICKLES for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module in _PICKLES:
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = [word for word in node.keywords if word.arg == "weights_only" and ast.unparse(word.value) == "True"]
            if not safe:
                return True
    return False


def test_engine_never_unpickles() -> None:
    assert unpickles("import pickle")
    assert unpickles("from pickle import loads")
    assert unpickles("torch.load(a, weights_only=True); torch.load(b)")
    engine = Path(__file__).parents[2] / "DSMSegment" / "dsm"
    sources = {path.name: path.read_text(encoding="utf-8") for path in engine.rglob("*.py")}
    assert [name for name, source in sources.items() if unpickles(source)] == []
