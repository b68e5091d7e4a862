"""The main job through the real process: hello, load, encode, segment."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from worker_host import AFFINE, SMALL, Host, Pipes, files, phantom, slowdown

from dsm._version import __version__
from dsm.core.boxes import Box
from dsm.core.options import SegmentOptions
from dsm.errors import DSMError
from dsm.models.store import write_manifest
from dsm.text.bank import EmbeddingBank
from dsm.text.prompt import parse_prompts
from dsm.wire.arrays import read_array, read_mask
from dsm.wire.messages import PROTOCOL_VERSION, Measure, Progress, PromptItem, Release, Result, Segment

pytestmark = pytest.mark.xdist_group("worker")  # one worker for all of them


def stages(host: Host, job: str) -> tuple[list[str], bool]:
    seen: list[str] = []
    done = host.wait(
        job, timeout_s=200, on_event=lambda event: seen.append(event.stage) if isinstance(event, Progress) else None
    )
    return seen, done.cached


def test_ready_is_sent_before_importing_torch() -> None:
    with Pipes() as pipes:
        began = time.monotonic()
        pipes.send(type="hello", protocol=PROTOCOL_VERSION, folder=str(Path.cwd()))
        ready = pipes.receive()
        assert time.monotonic() - began < 10 * slowdown()
        assert (ready["type"], ready["protocol"], ready["worker"]) == ("ready", PROTOCOL_VERSION, __version__)
        assert ready["pid"] == pipes.process.pid
        maps = Path(f"/proc/{ready['pid']}/maps")
        if maps.exists():
            assert "libtorch" not in maps.read_text(encoding="utf-8")
        cpu = ready["devices"][0]
        assert (cpu["id"], cpu["usable"]) == ("cpu", True)
        assert all(device["usable"] or device["reason"] for device in ready["devices"])


def test_masks_equal_those_of_the_segmenter(encoded: Host, tiny_model: Path) -> None:
    from dsm.core.volume import Volume
    from dsm.inference.segmenter import Segmenter

    prompts = ["liver", "left kidney", "liver tumor"]
    results = encoded.results(encoded.segment(*prompts, threshold=0.3, maps=True))
    scan = Segmenter.from_pretrained(tiny_model).encode(Volume(phantom(SMALL), np.array(AFFINE)))
    expected = scan.segment(prompts, SegmentOptions(threshold=0.3, probabilities=True, uncertainty=True))
    assert [result.prompt_id for result in results] == ["p0", "p1", "p2"]
    assert [result.name for result in results] == prompts
    assert any(result.found for result in results), "a model that finds nothing tests nothing"
    for result, want in zip(results, expected, strict=True):
        mask = np.zeros(SMALL, np.uint8)
        box = tuple(slice(o, o + n) for o, n in zip(result.offset_ijk, result.size, strict=True))
        mask[box] = read_mask(encoded.folder, result.file, result.size)
        np.testing.assert_array_equal(mask, want.full_mask())
        assert result.voxels == mask.sum()
        assert result.volume_mm3 == pytest.approx(27.0 * result.voxels)
        assert result.score == (None if want.score is None else pytest.approx(want.score, abs=1e-4))
        assert result.found == want.found
        assert bool(result.file) == mask.any()
        assert (result.name_status, result.guess) == (want.name_status, want.guess)
        assert result.threshold == 0.3
        assert set(want.warnings) <= set(result.warnings)
        probability = read_array(encoded.folder, result.probability_file)
        assert want.probability is not None
        np.testing.assert_allclose(probability, want.probability.array, atol=2e-3)
        assert result.probability_offset_ijk == want.probability.offset_ijk
        uncertainty = read_array(encoded.folder, result.uncertainty_file)
        assert want.uncertainty is not None
        np.testing.assert_allclose(uncertainty, want.uncertainty.array, atol=5e-3)
        assert result.uncertainty_offset_ijk == want.uncertainty.offset_ijk


def test_fast_mode_skips_diffusion_prompts(encoded: Host) -> None:
    maps = []
    for fast in (False, True, False):
        (result,) = encoded.results(encoded.segment("liver tumor", maps=True, fast=fast))
        maps.append(read_array(encoded.folder, result.probability_file))
    np.testing.assert_array_equal(maps[0], maps[2])
    assert maps[0].shape != maps[1].shape or (maps[0] != maps[1]).any()


def test_results_are_streamed_before_done(encoded: Host) -> None:
    job = encoded.segment("liver", "spleen", "pancreas")
    order: list[str] = []
    done = encoded.wait(job, timeout_s=200, on_event=lambda event: order.append(type(event).__name__))
    assert order.count("Result") == 3
    assert done.device == "cpu"
    assert done.seconds > 0
    assert done.peak_memory > 50 * 2**20


def test_equal_voxels_are_encoded_once(host: Host) -> None:
    array = phantom(SMALL)
    array[0, 0, 0] = 7  # no other test has this volume
    seen, cached = stages(host, host.set_volume(array))
    assert "encode" in seen
    assert not cached
    for again in (host.set_volume(array), host.set_volume(array, key="another name")):
        assert stages(host, again) == ([], True)
    for key in ("volume", "another name", "volume"):
        seen, _ = stages(host, host.segment("liver", key=key))
        assert "decode" in seen
        assert "encode" not in seen


def test_key_with_new_voxels_is_encoded_again(encoded: Host) -> None:
    array = phantom(SMALL)
    array[1, 2, 3] = 9
    seen, cached = stages(encoded, encoded.set_volume(array))
    assert "encode" in seen
    assert not cached


def test_region_is_encoded_unless_the_whole_volume_is(host: Host) -> None:
    array = phantom((90, 40, 36))  # 27 cm: more than the region and 6 cm on both sides
    array[0, 0, 0] = 11  # no other test has this volume
    region = Box((40, 10, 10), (50, 30, 30))
    seen, cached = stages(host, host.set_volume(array, key="part", region=region))
    assert "encode" in seen
    assert not cached
    assert stages(host, host.set_volume(array, key="part", region=region)) == ([], True)
    # Another region is another encoding, and so is the whole volume.
    other = Box((41, 10, 10), (50, 30, 30))
    assert "encode" in stages(host, host.set_volume(array, key="other part", region=other))[0]
    assert "encode" in stages(host, host.set_volume(array))[0]
    # Which then serves every region.
    for box in (region, other, Box((1, 1, 1), (5, 5, 5))):
        assert stages(host, host.set_volume(array, key=str(box), region=box)) == ([], True)
    (result,) = host.results(host.segment("liver", key=str(region), region=region, threshold=0.1))
    assert result.voxels
    for axis in range(3):
        assert region.start[axis] <= result.offset_ijk[axis]
        assert result.offset_ijk[axis] + result.size[axis] <= region.stop[axis]


def test_mr_is_encoded_whole(host: Host) -> None:
    array = phantom((90, 40, 36))
    assert not stages(host, host.set_volume(array, modality="MR", region=Box((40, 10, 10), (50, 30, 30))))[1]
    assert stages(host, host.set_volume(array, modality="MR")) == ([], True)


def test_region_outside_the_volume_is_refused(host: Host) -> None:
    with pytest.raises(DSMError) as caught:
        host.wait(host.set_volume(phantom(SMALL), region=Box((900, 0, 0), (910, 5, 5))), timeout_s=200)
    assert caught.value.code == "input.roi"


def test_two_volumes_are_kept_and_the_oldest_is_evicted(host: Host) -> None:
    for number, key in enumerate(("first", "second", "third")):
        array = phantom(SMALL)
        array[2, 2, 2] = number
        host.wait(host.set_volume(array, key=key), timeout_s=200)
    with pytest.raises(DSMError) as caught:
        host.wait(host.segment("liver", key="first"), timeout_s=200)
    assert caught.value.code == "no_volume"
    assert caught.value.hint
    for key in ("second", "third"):
        assert len(host.results(host.segment("liver", key=key))) == 1


def test_speed_is_measured_with_progress(host: Host) -> None:
    seen: list[tuple[str, int, int]] = []
    done = host.wait(
        host.submit(Measure(id=host.new_id())),
        timeout_s=200,
        on_event=lambda event: seen.append((event.stage, event.done, event.total)),
    )
    assert 0 < done.seconds_per_megavoxel < 1e6 * done.seconds / 80**3
    assert seen[0] == ("measure", 0, 2)
    assert seen[-1] == ("measure", 2, 2)
    assert host.wait(host.set_volume(phantom(SMALL)), timeout_s=200).seconds_per_megavoxel == 0


def test_release_frees_a_volume_or_all(encoded: Host, tiny_model: Path) -> None:
    encoded.wait(encoded.submit(Release(id=encoded.new_id(), volume_key="volume")), timeout_s=200)
    with pytest.raises(DSMError) as caught:
        encoded.wait(encoded.segment("liver"), timeout_s=200)
    assert caught.value.code == "no_volume"
    assert encoded.wait(encoded.load(tiny_model), timeout_s=200).cached
    done = encoded.wait(encoded.submit(Release(id=encoded.new_id())), timeout_s=200)
    assert done.device == ""
    with pytest.raises(DSMError) as caught:
        encoded.wait(encoded.set_volume(phantom(SMALL)), timeout_s=200)
    assert caught.value.code == "no_model"
    with pytest.raises(DSMError) as caught:
        encoded.wait(encoded.submit(Measure(id=encoded.new_id())), timeout_s=200)
    assert caught.value.code == "no_model"
    assert not encoded.wait(encoded.load(tiny_model), timeout_s=200).cached


def test_model_with_a_replaced_text_bank_is_reloaded(host: Host, tiny_model: Path, tmp_path: Path) -> None:
    """The digest stands for the network alone; what names mean lies in the text bank."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    host.wait(host.load(model), timeout_s=200)
    (model / "README.md").write_text("A note.")
    write_manifest(model)
    assert host.wait(host.load(model), timeout_s=200).cached
    bank = EmbeddingBank.load(model)
    EmbeddingBank(bank.names[::-1], bank.vectors, bank.mean).save(model)
    write_manifest(model)
    assert not host.wait(host.load(model), timeout_s=200).cached


def test_region_cuts_the_masks(encoded: Host) -> None:
    whole = encoded.results(encoded.segment("liver", threshold=0.2, postprocess=False, maps=True))[0]
    assert whole.voxels, "a model that finds nothing tests nothing"
    full = np.zeros(SMALL, np.uint8)
    box = tuple(slice(o, o + n) for o, n in zip(whole.offset_ijk, whole.size, strict=True))
    full[box] = read_mask(encoded.folder, whole.file, whole.size)
    i, j, k = (o + n // 2 for o, n in zip(whole.offset_ijk, whole.size, strict=True))
    region = Box((0, 0, 0), (i, j, k))
    cut = encoded.results(encoded.segment("liver", threshold=0.2, postprocess=False, region=region, maps=True))[0]
    inside = np.zeros(SMALL, np.uint8)
    box = tuple(slice(o, o + n) for o, n in zip(cut.offset_ijk, cut.size, strict=True))
    inside[box] = read_mask(encoded.folder, cut.file, cut.size)
    np.testing.assert_array_equal(inside[:i, :j, :k], full[:i, :j, :k])
    assert inside.sum() == full[:i, :j, :k].sum() == cut.voxels
    far = encoded.results(encoded.segment("liver", threshold=0.2, region=Box((500, 500, 500), (600, 600, 600))))[0]
    assert (far.voxels, far.found, far.file, far.size) == (0, False, "", (0, 0, 0))


def test_synonymous_prompts_get_separate_results(encoded: Host) -> None:
    results = encoded.results(encoded.segment("liver", "Livers", "spleen", "LIVER"))
    assert sorted(result.prompt_id for result in results) == ["p0", "p1", "p2", "p3"]
    livers = [result for result in results if result.name == "liver"]
    assert len(livers) == 3
    assert len({result.voxels for result in livers}) == 1
    assert len({result.file for result in livers if result.file}) == (3 if livers[0].voxels else 0)


def test_text_naming_two_structures_gives_two_results(encoded: Host) -> None:
    first, second = encoded.results(encoded.segment("kidneys", maps=True, threshold=0.2))
    assert {first.name, second.name} == {"left kidney", "right kidney"}
    assert first.prompt_id == second.prompt_id == "p0"
    assert (encoded.folder / second.probability_file).is_file()


def test_jobs_run_in_the_order_they_were_sent(host: Host) -> None:
    """The host need not wait: a whole plan can be sent at once."""
    jobs = [
        host.set_volume(phantom(SMALL), key="plan"),
        host.segment("liver", key="plan"),
        host.segment("spleen", key="plan"),
    ]
    for job in jobs:
        host.wait(job, timeout_s=200)


def test_unicode_ids_round_trip(encoded: Host) -> None:
    item = PromptItem(id="Ärger 肝臓 \U0001fac0", prompt=parse_prompts("liver")[0], file="one")
    job = encoded.submit(Segment(id="Auftrag-ß", volume_key="volume", prompts=(item,)))
    (result,) = encoded.results(job)
    assert (result.id, result.prompt_id) == ("Auftrag-ß", "Ärger 肝臓 \U0001fac0")


def test_only_requested_files_are_written(encoded: Host) -> None:
    before = files(encoded)
    job = encoded.segment("liver", "spleen", threshold=0.3)
    results: list[Result] = encoded.results(job)
    assert files(encoded) - before == {result.file for result in results if result.file}


def test_shutdown_finishes_queued_jobs(tiny_model: Path, tmp_path: Path) -> None:
    with Pipes() as pipes:
        pipes.send(type="hello", folder=str(tmp_path))
        pipes.send(type="load", id="1", model=str(tiny_model))
        pipes.send(type="shutdown")
        assert pipes.receive_end("1")["type"] == "done"
        assert pipes.process.wait(60) == 0


def test_stray_prints_do_not_corrupt_the_protocol(tmp_path: Path) -> None:
    noisy = """
import os, subprocess, sys
from dsm.worker import process, session
run = session.Session.run
def noisy(self, job, is_cancelled):
    print("a banner"); sys.__stdout__.write("another\\n"); sys.__stdout__.flush()
    os.write(1, b"native noise\\n")
    child = "import sys; print('child'); assert sys.stdin.read() == ''"
    subprocess.run([sys.executable, "-S", "-c", child], check=True)
    return run(self, job, is_cancelled)
session.Session.run = noisy
sys.exit(process.main())
"""
    with Host(command=[sys.executable, "-c", noisy], folder_parent=tmp_path) as host:
        assert host.wait(host.submit(Release(id="1")), timeout_s=200).id == "1"
        assert host.wait(host.submit(Release(id="2")), timeout_s=200).id == "2"
        for words in ("a banner", "another", "native noise", "child"):
            assert words in host.log


def test_output_lines_are_json_with_the_protocol_version(tmp_path: Path) -> None:
    with Pipes() as pipes:
        pipes.send(type="hello", folder=str(tmp_path))
        pipes.send(type="release", id="1")
        for _ in range(2):
            assert json.loads(json.dumps(pipes.receive()))["protocol"] == PROTOCOL_VERSION
