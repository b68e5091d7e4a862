import json

from dsm.io.json_file import write_json


def test_any_file_name_is_written_and_read_as_it_was(tmp_path):
    content = {"source": "Größe 中 a\udcff\udcfe.nii.gz"}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Größe 中" in text
    assert json.loads(text) == content
