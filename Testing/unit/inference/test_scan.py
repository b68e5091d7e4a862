from dataclasses import replace

import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.name_status import CUT_OFF
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import InputError, JobCancelled, PromptError
from dsm.inference import scan as scan_module
from dsm.models.calibration import Calibration
from dsm.text.prompt import parse_prompts

SHAPE = (30, 28, 26)
# Channel values of the network are (HU + 125) / 400.
SOFT, BRIGHT = (0.25, 5.0), (0.6, 5.0)


@pytest.fixture
def volume():
    """Fat with a large block and a small block of tissue, and a bright block."""
    array = np.random.default_rng(0).uniform(-110, -90, SHAPE).astype(np.float32)
    array[3:15, 3:15, 3:15] = 50
    array[20:24, 20:24, 20:24] = 50
    array[24:28, 3:8, 3:8] = 200
    return Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))


def test_organ_keeps_its_largest_part(make_segmenter, volume):
    scan = make_segmenter(vectors={"liver": SOFT}).encode(volume)
    assert scan.segment("liver")[0].full_mask().sum() == 12**3
    assert scan.segment("liver", SegmentOptions(postprocess=False))[0].full_mask().sum() == 12**3 + 4**3 + 4 * 5 * 5


def test_tumor_keeps_all_parts(make_segmenter, volume):
    scan = make_segmenter(vectors={"liver tumor": SOFT}, trained=("liver tumor",)).encode(volume)
    assert scan.segment("liver tumor")[0].full_mask().sum() == 12**3 + 4**3 + 4 * 5 * 5


def test_tumor_keeps_only_parts_at_its_organ(make_segmenter, volume):
    vectors = {"liver tumor": SOFT, "lung tumor": SOFT}
    segmenter = make_segmenter(vectors=vectors, trained=("liver tumor", "lung tumor"))
    segmenter.net.organ_levels = [2.0, 0.6]  # the liver is the bright block
    scan = segmenter.encode(volume)
    assert scan.segment("liver tumor")[0].full_mask().sum() == 4 * 5 * 5
    # Everything on demand; and an organ that the model has no query for decides nothing.
    assert (
        scan.segment("liver tumor", SegmentOptions(postprocess=False))[0].full_mask().sum() == 12**3 + 4**3 + 4 * 5 * 5
    )
    assert scan.segment("lung tumor")[0].full_mask().sum() == 12**3 + 4**3 + 4 * 5 * 5


def test_free_text_loses_only_specks(make_segmenter, volume):
    scan = make_segmenter(vectors={"zorgon": SOFT}).encode(volume)
    (result,) = scan.segment("zorgon", SegmentOptions(guess=True))
    assert result.prompt.structure is None
    assert result.full_mask().sum() == 12**3


def test_result_describes_itself(make_segmenter, volume):
    (result,) = make_segmenter(vectors={"liver": BRIGHT}).encode(volume).segment("Liver", SegmentOptions(threshold=0.4))
    assert result.found
    assert result.prompt.name == "liver"
    assert result.prompt.text == "Liver"
    assert result.mask.array.dtype == np.uint8
    assert result.mask.array.shape == (4, 5, 5)
    assert result.mask.offset_ijk == (24, 3, 3)
    assert result.mask.array.flags.f_contiguous
    assert result.shape == SHAPE
    assert result.volume_ml == pytest.approx(100 * 1.5**3 / 1000)
    assert result.score is None  # the model has no calibration
    assert result.seconds > 0
    assert result.threshold == 0.4
    assert result.probability is None
    (flag,) = result.warnings
    assert flag == "Check: 0.34 ml is less than the liver of an adult has (from 400 ml)."


def test_result_without_a_finding_is_empty(make_segmenter, volume):
    (result,) = make_segmenter(vectors={"liver": (0.99, 5.0)}).encode(volume).segment("liver")
    assert not result.found
    assert result.volume_ml == 0
    assert result.mask.array.size == 0
    assert not result.full_mask().any()
    assert result.full_mask().shape == SHAPE
    assert result.score is None


def test_absent_structure_is_not_found(make_segmenter, volume):
    """The mask looks sure of itself, the presence head says that there is no such thing here."""
    (result,) = make_segmenter(vectors={"liver": (0.25, -5.0)}).encode(volume).segment("liver")
    assert not result.found
    assert result.score is None
    assert not result.full_mask().any()


def test_probability_map_on_request(make_segmenter, volume):
    (result,) = (
        make_segmenter(vectors={"liver": SOFT}).encode(volume).segment("liver", SegmentOptions(probabilities=True))
    )
    assert result.probability.array.dtype == np.float16
    full = result.probability.paste_into(SHAPE)
    np.testing.assert_array_equal(full[3:15, 3:15, 3:15] > 0.5, True)
    assert full[0, 0, 0] < 0.01
    assert ((full > 0.5).sum()) == 12**3 + 4**3 + 4 * 5 * 5


def test_higher_threshold_gives_a_smaller_mask(make_segmenter, volume):
    scan = make_segmenter(stride=2, vectors={"liver": SOFT}).encode(volume)
    sizes = [scan.segment("liver", SegmentOptions(threshold=t))[0].volume_ml for t in (0.05, 0.5, 0.95)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[2]


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1, float("nan")])
def test_impossible_threshold(make_segmenter, volume, threshold):
    with pytest.raises(InputError, match="threshold"):
        make_segmenter().encode(volume).segment("liver", SegmentOptions(threshold=threshold))


def test_prompts_as_string_list_or_parsed_prompts(make_segmenter, volume):
    scan = make_segmenter().encode(volume)
    for prompts in ("liver; spleen", ["liver", "spleen"], parse_prompts("liver\nspleen")):
        assert [result.prompt.name for result in scan.segment(prompts)] == ["liver", "spleen"]


@pytest.mark.parametrize("prompts", ["", " ; ", []])
def test_missing_prompt_is_refused(make_segmenter, volume, prompts):
    with pytest.raises(PromptError):
        make_segmenter().encode(volume).segment(prompts)


def test_query_set_indices_are_passed_to_the_network(make_segmenter, volume):
    segmenter = make_segmenter(trained=("liver", "liver tumor"))
    segmenter.encode(volume).segment("liver; heart; liver tumor; zorgon mass; spleen", SegmentOptions(guess=True))
    (batch,) = segmenter.net.batches
    assert batch.organ_index.tolist() == [1, -1, -1, -1, 0]
    assert batch.tumor_index.tolist() == [-1, -1, 0, -1, -1]
    assert batch.is_tumor.tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(("room", "batches"), [(0, 3), (2**30, 1)])
def test_encodes_once_and_decodes_in_batches_that_fit_memory(make_segmenter, volume, monkeypatch, room, batches):
    monkeypatch.setattr(scan_module, "_BATCH_BYTES", room)
    segmenter = make_segmenter()
    scan = segmenter.encode(volume)
    names = [f"vertebra L{n}" for n in range(1, 6)] + [f"vertebra T{n}" for n in range(1, 13)]
    assert len(scan.segment(names, SegmentOptions(guess=True))) == 17
    assert segmenter.net.calls == ["fine", "coarse", *batches * ["decode"]]


def test_results_stream_and_cancel_stops_them(make_segmenter, volume):
    scan = make_segmenter().encode(volume)
    arrived = []

    def progress(stage, done, total):
        if stage == "decode" and done == 2:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        scan.segment("liver; spleen; heart", progress=progress, on_result=arrived.append)
    assert [result.prompt.name for result in arrived] == ["liver", "spleen"]
    assert len(scan.segment("liver; spleen; heart")) == 3


class TestCalibration:
    def test_calibration_sets_found_and_score(self, make_segmenter, volume):
        segmenter = make_segmenter(vectors={"liver": (0.25, 1.0)})
        weights = (0.0, 1.0, 0.0, 0.0)
        found = {}
        for least in (0.7, 0.8):  # the presence head says 0.73
            segmenter.calibration = Calibration(
                model_digest="", typical_ml={}, presence=weights, least_presence=least, score=(1.0, 0.0, 0.0, 0.0)
            )
            (found[least],) = segmenter.encode(volume).segment("liver")
        assert (found[0.7].found, found[0.8].found) == (True, False)
        assert found[0.7].score == pytest.approx(1 / (1 + np.exp(-1)))
        assert found[0.7].evidence.presence_logit == 1
        assert found[0.7].evidence.volume_ml == found[0.7].volume_ml
        assert not found[0.8].full_mask().any()
        assert found[0.8].score is None

    def test_calibration_never_hides_a_lesion(self, make_segmenter, volume):
        segmenter = make_segmenter(vectors={"liver tumor": SOFT}, trained=("liver tumor",))
        segmenter.calibration = Calibration(
            model_digest="",
            typical_ml={},
            presence=(-9.0, 0.0, 0.0, 0.0),
            least_presence=0.9,
            score=(-2.0, 0.0, 0.0, 0.0),
        )
        (result,) = segmenter.encode(volume).segment("liver tumor")
        assert result.found
        assert result.full_mask().any()
        assert result.score == pytest.approx(1 / (1 + np.exp(2)))

    def test_only_learned_names_have_a_score(self, make_segmenter, volume):
        vectors = {"liver": SOFT, "liver tumor": SOFT, "zorgon": SOFT, "spleen": SOFT}
        segmenter = make_segmenter(vectors=vectors, trained=("liver", "liver tumor"))
        sure = (5.0, 0.0, 0.0, 0.0)
        segmenter.calibration = Calibration(
            model_digest="", typical_ml={}, presence=sure, least_presence=0.5, score=sure
        )
        scan = segmenter.encode(volume)
        learned, related, guess, spleen = scan.segment(
            "liver; liver metastasis; zorgon; spleen", SegmentOptions(guess=True)
        )
        assert learned.score == pytest.approx(1 / (1 + np.exp(-5)))
        assert [(one.found, one.score) for one in (related, guess, spleen)] == [(True, None)] * 3


class TestNameKinds:
    def test_unknown_name_has_no_mask_and_is_not_decoded(self, make_segmenter, volume):
        segmenter = make_segmenter(vectors={"heart": SOFT, "zorgon": SOFT})
        results = segmenter.encode(volume).segment(
            "heart; zorgon", SegmentOptions(probabilities=True, uncertainty=True)
        )
        assert segmenter.net.calls == ["fine", "coarse"]
        for result in results:
            assert (result.found, result.guess, result.mask.array.size) == (False, False, 0)
            assert result.name_status.kind == "unknown"
            assert "does not know" in " ".join(result.warnings)
            assert result.probability is None

    def test_a_guess_is_marked(self, make_segmenter, volume):
        segmenter = make_segmenter(vectors={"heart": SOFT})
        heart, liver = segmenter.encode(volume).segment("heart; liver", SegmentOptions(guess=True))
        assert (heart.found, heart.guess, heart.name_status.kind) == (True, True, "unknown")
        assert (liver.guess, liver.name_status.kind) == (False, "learned")

    def test_related_lesion_has_the_mask_of_the_learned_one(self, make_segmenter, volume):
        vectors = {"liver tumor": SOFT, "liver metastasis": (0.99, 5.0)}
        scan = make_segmenter(vectors=vectors, trained=("liver", "liver tumor"), tumor_offset=0.4).encode(volume)
        learned, related = scan.segment("liver tumor; liver metastasis")
        assert learned.found
        np.testing.assert_array_equal(learned.full_mask(), related.full_mask())
        assert (related.name_status.kind, related.name_status.learned_name) == ("related", "liver tumor")
        assert any("'liver tumor'" in warning for warning in related.warnings)

    def test_lesion_with_a_side_is_limited_to_that_side(self, make_segmenter, volume):
        trained = ("left lung", "right lung", "lung tumor")
        organs = ("left lung", "right lung", "liver")
        segmenter = make_segmenter(vectors={"lung tumor": SOFT}, organs=organs, trained=trained)
        segmenter.net.organ_levels = [0.6, 2.0, 2.0]  # the left lung is the bright block, there is no right one
        left, right, both = segmenter.encode(volume).segment("left lung tumor; right lung tumor; lung tumor")
        assert left.full_mask().sum() == both.full_mask().sum() == 4 * 5 * 5
        assert not right.found


class TestWarnings:
    TUMOR = ("liver tumor",)

    def test_mask_cut_off_by_the_scan(self, make_segmenter, volume):
        segmenter = make_segmenter(vectors={"liver": SOFT, "spleen": SOFT}, trained=("liver",))
        cut = replace(volume, array=np.asfortranarray(volume.array[:, :, 5:]))
        assert CUT_OFF not in segmenter.encode(volume).segment("liver")[0].warnings
        assert segmenter.encode(cut).segment("liver")[0].warnings == (CUT_OFF,)
        assert CUT_OFF in segmenter.encode(cut).segment("spleen", SegmentOptions(guess=True))[0].warnings

    def test_name_outside_the_training_labels(self, make_segmenter, volume):
        scan = make_segmenter(trained=("liver",)).encode(volume)
        liver, spleen = scan.segment("liver; spleen", SegmentOptions(guess=True))
        assert not any("guess" in warning for warning in liver.warnings)
        assert any("A guess" in warning and "'spleen'" in warning for warning in spleen.warnings)

    def test_modality_mismatch(self, make_segmenter):
        array = np.random.default_rng(0).uniform(0, 500, SHAPE).astype(np.float32)
        mr = Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]), "MR")
        ct = Volume(array - 100, mr.affine, "CT")
        (prompt,) = parse_prompts("left hippocampus")
        prompt = replace(prompt, structure=replace(prompt.structure, modalities=("MR",)))
        segmenter = make_segmenter(trained=(prompt.name,))
        assert "this image is CT" in segmenter.encode(ct).segment([prompt])[0].warnings[0]
        assert segmenter.encode(mr).segment([prompt])[0].warnings == (CUT_OFF,)

    @pytest.mark.parametrize(("trained", "share", "warned"), [((), 0.3, True), ((), 0.1, False), (TUMOR, 0.3, False)])
    def test_tumor_that_fills_its_organ(self, make_segmenter, volume, monkeypatch, trained, share, warned):
        monkeypatch.setattr(scan_module, "covered_fraction", lambda *_, **__: share)
        scan = make_segmenter(trained=trained).encode(volume)
        scan.segment("liver tumor", SegmentOptions(guess=True))
        (region,) = scan._host_regions.values()
        region[:] = True  # the liver of random weights may be nowhere
        warnings = scan.segment("liver tumor", SegmentOptions(guess=True))[0].warnings
        assert any("fills much of the liver" in warning for warning in warnings) is warned

    def test_prompt_and_text_warnings_come_first(self, make_segmenter, volume):
        (result,) = make_segmenter().encode(volume).segment("zorgon", SegmentOptions(guess=True))
        assert "not in the vocabulary" in result.warnings[0]
        assert "an odd word" in result.warnings


class TestCalibrationOfTrainedTumors:
    UNSURE = (0.4, 5.0)  # tissue has a logit of 1.5, the bright block one of 16.5
    TUMOR = ("liver tumor",)
    BRIGHT_VOXELS, TISSUE_VOXELS = 4 * 5 * 5, 12**3 + 4**3

    def test_unsure_parts_are_dropped(self, make_segmenter, volume):
        vectors = {"liver tumor": self.UNSURE}
        scan = make_segmenter(vectors=vectors, trained=self.TUMOR, tumor_part_confidence={"liver tumor": 0.9}).encode(
            volume
        )
        assert scan.segment("liver tumor")[0].full_mask().sum() == self.BRIGHT_VOXELS
        everything = scan.segment("liver tumor", part_confidence=0.5)[0]
        assert everything.full_mask().sum() == self.BRIGHT_VOXELS + self.TISSUE_VOXELS

    def test_probability_map_excludes_rims_of_dropped_parts(self, make_segmenter, volume, monkeypatch):
        def shown(whole, kept, *, threshold, faintest):
            assert (threshold, faintest) == (0.5, 0.01)
            return (whole != kept) * 29.0 - 20.0

        monkeypatch.setattr("dsm.inference.scan.without_dropped_rims", shown)
        scan = make_segmenter(
            vectors={"liver tumor": self.UNSURE}, trained=self.TUMOR, tumor_part_confidence={"liver tumor": 0.9}
        )
        result = scan.encode(volume).segment("liver tumor", SegmentOptions(probabilities=True))[0]
        assert result.full_mask().sum() == self.BRIGHT_VOXELS
        assert np.count_nonzero(result.probability.array > 0.5) == self.TISSUE_VOXELS

    def test_tumor_offset_shifts_mask_and_probability(self, make_segmenter, volume):
        vectors = {"liver tumor": (0.46, 5.0)}  # tissue: -0.9
        before, after = (
            make_segmenter(vectors=vectors, trained=self.TUMOR, tumor_offset=offset)
            .encode(volume)
            .segment("liver tumor", SegmentOptions(probabilities=True))[0]
            for offset in (0.0, 2.0)
        )
        assert before.full_mask().sum() == self.BRIGHT_VOXELS
        assert after.full_mask().sum() == self.BRIGHT_VOXELS + self.TISSUE_VOXELS
        assert after.probability.array.max() > 0.99

    def test_other_names_are_unaffected(self, make_segmenter, volume):
        vectors = {"liver tumor": self.UNSURE, "liver": self.UNSURE}
        calibration = {"tumor_offset": -9.0, "tumor_part_confidence": {"liver tumor": 0.9}}
        scan = make_segmenter(vectors=vectors, trained=(), **calibration).encode(volume)
        untrained, organ = scan.segment("liver tumor; liver", SegmentOptions(guess=True))
        assert untrained.full_mask().sum() == self.BRIGHT_VOXELS + self.TISSUE_VOXELS
        assert organ.found


def test_organ_offset_applies_to_trained_organs_only(make_segmenter, volume):
    vectors = {"liver": (0.46, 5.0), "heart": (0.46, 5.0)}  # tissue has a logit of -0.9
    scan = make_segmenter(vectors=vectors, trained=("liver",), organ_offset=2.0).encode(volume)
    liver, heart = scan.segment("liver; heart", SegmentOptions(postprocess=False, guess=True))
    assert liver.full_mask().sum() > heart.full_mask().sum() > 0


def test_region_limits_the_result(make_segmenter, volume):
    scan = make_segmenter(vectors={"liver": SOFT}).encode(volume)
    region = Box((0, 0, 0), (9, 40, 40))
    (whole,) = scan.segment("liver", SegmentOptions(probabilities=True))
    (part,) = scan.segment("liver", SegmentOptions(probabilities=True, region=region))
    expected = whole.full_mask()
    expected[9:] = 0
    np.testing.assert_array_equal(part.full_mask(), expected)
    assert part.volume_ml == pytest.approx(whole.volume_ml / 2)
    assert part.probability.box == whole.probability.box.intersect(region)
    (outside,) = scan.segment("liver", SegmentOptions(region=Box((500, 500, 500), (501, 501, 501))))
    assert (outside.found, outside.volume_ml) == (False, 0.0)
