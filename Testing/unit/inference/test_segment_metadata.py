import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance
from dsm.inference.segment_metadata import segment_records
from dsm.text.appearance import prompt_color
from dsm.text.prompt import parse_prompts


def result_of(text, *, found=True):
    (prompt,) = parse_prompts(text)
    mask = CroppedArray(np.ones((2, 2, 2), np.uint8), (1, 1, 1))
    return PromptResult(
        prompt=prompt, mask=mask, shape=(5, 5, 5), found=found, score=0.8125, volume_ml=1.0, seconds=0.1, threshold=0.5
    )


def test_only_found_results_become_segments():
    records = segment_records([result_of("liver"), result_of("spleen", found=False)], Provenance("dsm-tiny"))
    assert [record.name for record in records] == ["liver"]


def test_tags_record_provenance():
    (record,) = segment_records([result_of("the Livers")], Provenance("dsm-tiny", "abc", device="cpu"))
    assert record.tags["DICOM.SegmentAlgorithmType"] == "AUTOMATIC"
    assert record.tags["DICOM.SegmentAlgorithmName"].startswith("DSMSegment dsm-tiny ")
    assert record.tags["DSM.Prompt"] == "the Livers"
    assert record.tags["DSM.ModelSHA256"] == "abc"
    assert record.tags["DSM.Score"] == "0.812"
    assert record.tags["Segmentation.Status"] == "inprogress"


def test_algorithm_name_fits_into_dicom():
    (record,) = segment_records([result_of("liver")], Provenance("m" * 200))
    assert len(record.tags["DICOM.SegmentAlgorithmName"]) == 64


def test_color_and_code_come_from_the_vocabulary():
    (record,) = segment_records([result_of("liver")], Provenance("m"))
    assert record.color == result_of("liver").prompt.structure.color
    assert "SCT^10200004^Liver" in record.terminology_tag


@pytest.mark.parametrize(("text", "code"), [("zorgon", "SCT^85756007^Tissue"), ("zorgon mass", "SCT^4147007^Mass")])
def test_free_text_has_a_terminology_code(text, code):
    (record,) = segment_records([result_of(text)], Provenance("m"))
    assert code in record.terminology_tag


def test_color_of_free_text_is_stable_and_in_range():
    prompts = parse_prompts("zorgon; blorbum; quux")
    colors = [prompt_color(prompt) for prompt in prompts]
    assert colors == [prompt_color(prompt) for prompt in prompts]
    assert len(set(colors)) == 3
    assert all(0 <= part <= 255 for color in colors for part in color)


def test_result_gives_the_mask_on_the_whole_grid():
    full = result_of("liver").full_mask()
    assert full.shape == (5, 5, 5)
    assert full.sum() == 8
    assert full[1, 1, 1] == full[2, 2, 2] == 1
