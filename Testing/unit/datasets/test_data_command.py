import pytest

from dsm.cli.main import main


@pytest.fixture
def btcv(files, tmp_path):
    folder = tmp_path / "btcv"
    for number, seed in (("0001", 0), ("0002", 1)):
        files.write(folder / "img" / f"img{number}.nii.gz", files.ct(seed))
        files.write(folder / "label" / f"label{number}.nii.gz", files.labels(*((1, 6) if seed else (6,))))
    return folder


def test_import_then_check(btcv, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["data", "import", "btcv", str(btcv), str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["spleen", "in", "1", "of", "2", "cases"],
        ["liver", "in", "2", "of", "2", "cases"],
    ]
    assert lines[2] == str(out / "dataset.json")
    assert main(["data", "check", str(out)]) == 0
    assert capsys.readouterr().out == "No problem found.\n"


def test_check_prints_problems(btcv, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["data", "import", "btcv", str(btcv), str(out)]) == 0
    capsys.readouterr()
    (btcv / "img/img0001.nii.gz").unlink()
    assert main(["data", "check", str(out), str(out)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("out/btcv_0001: ")
    assert lines[-2] == "out/btcv_0002: is the same scan as out/btcv_0002."
    assert lines[-1] == "3 problems found."


def test_wrong_folder_gives_a_one_line_error(tmp_path, capsys):
    assert main(["data", "import", "kits", str(tmp_path), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"dsm: {tmp_path} is not a KiTS folder. It must hold folders case_00000 with imaging.nii.gz and "
        "segmentation.nii.gz.\n"
    )
    assert not (tmp_path / "out").exists()
