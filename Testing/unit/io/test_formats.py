"""Table of output formats, and its use by the commands."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from dsm.cli.main import main
from dsm.errors import OutputError
from dsm.io.formats import DICOM_SEG, FORMATS, LABEL_MAP, NAMES, SUFFIXES, SegmentationFormat, format_of


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_writer_takes_what_the_format_gives_it(one: SegmentationFormat) -> None:
    name, function = one.writer.split(":")
    module = import_module(name)
    given: tuple[str, ...] = ("path", "records", "volume")
    if one.needs_series:
        given = (*given, "files")
        inspect.signature(module.check_source).bind("volume", "files")
    assert list(inspect.signature(getattr(module, function)).bind(*given).arguments) == list(given)


def test_longest_suffix_takes_precedence() -> None:
    assert [format_of(Path(f"a.b{suffix}")) for suffix in SUFFIXES] == list(FORMATS)


@pytest.mark.parametrize("name", ["out.nrrd", "out", "out.seg", "nii.gz"])
def test_unknown_suffix_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OutputError) as caught:
        format_of(Path(name))
    assert caught.value.code == "output.format"
    assert all(suffix in caught.value.hint for suffix in SUFFIXES)


def test_files_of_a_label_map() -> None:
    assert LABEL_MAP.files(Path("a/out.nii.gz")) == (Path("a/out.nii.gz"), Path("a/out.json"))
    assert DICOM_SEG.files(Path("a/out.dcm")) == (Path("a/out.dcm"),)


def test_suffixes_are_distinct() -> None:
    assert len({*SUFFIXES, *(one.companion_suffix for one in FORMATS if one.companion_suffix)}) == len(FORMATS) + 1
    assert dataclasses.is_dataclass(LABEL_MAP)


@pytest.mark.parametrize(("command", "offered"), [("segment", SUFFIXES), ("batch", NAMES)])
def test_help_of_the_commands_names_every_format(
    command: str, offered: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in offered)
