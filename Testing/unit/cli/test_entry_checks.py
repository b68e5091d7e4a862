"""Errors that commands report before any work: missing scans, folders of series, unprotected servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import dsm
from dsm.cli.main import main
from dsm.cli.segment import _rounded

sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))

from dicom_series import phantom, write_series


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.nii.gz"], "nothing.nii.gz does not exist"),
        (["--host", "192.0.2.1"], "unencrypted"),
        (["--host", "192.0.2.1", "--tls-cert", "a.pem"], "a certificate and its key"),
    ],
)
def test_web_arguments_are_checked(arguments, words, capsys):
    assert main(["web", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_single_series_in_subfolders_is_found(tmp_path, tiny_model, capsys):
    write_series(tmp_path / "study" / "a" / "b", voxels=phantom((20, 22, 12)))
    arguments = ["segment", str(tmp_path / "study"), "--model", str(tiny_model), "--estimate"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("about ")
    write_series(tmp_path / "study" / "c", voxels=phantom((20, 22, 12)))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "has series in 2 folders" in said
    assert "dsm batch" in said


def test_estimate_is_rounded_to_significant_digits():
    assert [_rounded(value) for value in (126.2, 4.62, 1.04, 0.001)] == ["130", "4.6", "1", "0.1"]


def test_messages_do_not_refer_to_a_package_index():
    sources = Path(dsm.__file__).parents[1].rglob("*.py")
    assert [path for path in sources if "dsmsegment[" in path.read_text(encoding="utf-8").lower()] == []


def test_output_option_is_required(tmp_path, capsys):
    assert main(["segment", str(tmp_path / "scan.nii.gz"), "-p", "liver"]) == 2
    assert "Give -o FILE" in capsys.readouterr().err
    assert main(["segment", str(tmp_path / "scan.nii.gz"), "-p", "liver", "--send"]) == 2
    assert "dsm dicomweb send" in capsys.readouterr().err
    assert main(["segment", "http://127.0.0.1:1/rs", "-p", "liver", "--send", "-o", "a.nii.gz"]) == 2
    assert "is no DICOM SEG" in capsys.readouterr().err
