"""The jobs of the bench on a small scan, and the report made of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dsm.bench.figure import draw_bench
from dsm.bench.job_process import measure
from dsm.bench.own_cost import prompt_costs, size_costs, whole_run
from dsm.bench.peer_cost import peer_cost
from dsm.bench.phantom import phantom_ct
from dsm.bench.plain_unet import PlainUNet
from dsm.bench.ratios import BARS, passes, ratios
from dsm.bench.report import to_markdown
from dsm.bench.run import QUICK, run_bench
from dsm.bench.stopwatch import Stopwatch
from dsm.bench.totalsegmentator import TOTALSEGMENTATOR_3MM
from dsm.bench.windows import Windows
from dsm.core.boxes import CroppedArray
from dsm.errors import WorkerError
from dsm.inference.int8_network import Int8SumConvolution
from dsm.inference.segmenter import Segmenter
from dsm.io.image import read_volume
from dsm.io.nifti import write_nifti
from dsm.text.organ_sets import ORGANS

SMALL = ((64, 64, 24), (6.0, 6.0, 18.0))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    volume = phantom_ct(*SMALL)
    path = tmp_path_factory.mktemp("bench") / "phantom.nii.gz"
    write_nifti(path, CroppedArray(volume.array, (0, 0, 0)), volume.shape, volume.affine)
    return path


def test_phantom_is_deterministic_and_has_organs():
    one, other = phantom_ct(*SMALL), phantom_ct(*SMALL)
    assert np.array_equal(one.array, other.array)
    assert one.array.flags.f_contiguous
    lung = one.array[(32 - 12) : (32 - 10), 31:33, 19]
    assert lung.mean() < -700
    assert one.array[:3].mean() < -900


def test_stopwatch_adds_up():
    clock = Stopwatch()
    for _ in range(2):
        with clock.stage("a"):
            torch.rand(300, 300) @ torch.rand(300, 300)
    with clock.stage("b"):
        pass
    assert clock.stages.keys() == {"a", "b"}
    assert clock.total.wall_s >= clock.stages["a"].wall_s > 0


@pytest.mark.parametrize("stride", [1, 2])
def test_a_peer_writes_labels_on_the_grid_of_the_scan(scan, tmp_path, stride):
    pool = torch.nn.AvgPool3d(stride)
    tiny = replace(
        TOTALSEGMENTATOR_3MM,
        name="tiny",
        spacing_mm=12.0,
        windows=Windows((16, 16, 16), 0.5),
        num_classes=2,
        num_nets=3,
        output_stride=stride,
        build=lambda: lambda window: torch.cat([-pool(window), pool(window)], dim=1),
    )
    row = peer_cost(tiny, scan, tmp_path, num_windows=10**6)
    labels, image = read_volume(tmp_path / "tiny.nii.gz", modality="MR"), read_volume(scan)
    assert labels.shape == image.shape
    inside = labels.array > 0
    assert image.array[inside].mean() > -200 > -700 > image.array[~inside].mean()
    assert row["windows"] == 3 * row["windows_run"]
    assert row["cpu_s"] == pytest.approx(sum(row["stages_cpu_s"].values()))


def test_peer_with_one_prompt_writes_mask_on_the_grid_of_the_scan(scan, tmp_path):
    tiny = replace(
        TOTALSEGMENTATOR_3MM,
        name="tiny",
        spacing_mm=None,
        windows=Windows((16, 16, 48), 0.5),
        num_classes=1,
        build=lambda: lambda window: window,
    )
    peer_cost(tiny, scan, tmp_path, num_windows=10**6)
    labels, image = read_volume(tmp_path / "tiny.nii.gz", modality="MR"), read_volume(scan)
    assert np.array_equal(labels.array > 0, image.array > image.array.clip(-1000, 1000).mean())


def test_network_has_the_classes_of_its_row():
    net = TOTALSEGMENTATOR_3MM.build()
    assert isinstance(net, PlainUNet)
    assert net.out.out_channels == TOTALSEGMENTATOR_3MM.num_classes


def test_dsm_run_and_report(scan, tmp_path, dsm_tiny):
    own = whole_run(str(dsm_tiny), scan, tmp_path, precision="int8")
    assert (tmp_path / "dsm.nii.gz").is_file()
    assert own["kflop_per_voxel"] > 1
    assert own["decoded"] == len(ORGANS)
    assert own["source"].endswith("int8")
    peer = {**own, "cpu_s": 100 * own["cpu_s"], "windows": 8, "windows_run": 2}
    report = {
        "plan": "quick",
        "precision": "int8",
        "requested_precision": "auto",
        "versions": {"torch": torch.__version__},
        "machine": {"processor": "AVX2", "cores": 2, "threads": 1, "load_before": 0.0, "conv_peak_gflops": 100.0},
        "volume": {"shape": SMALL[0], "spacing_mm": SMALL[1]},
        "rows": [own, {**peer, "name": "totalsegmentator-3mm"}, {**peer, "name": "dsm-reference"}],
        "own_runs_cpu_s": [1.0, 2.0],
        "curves": {
            "prompts": {"encode": 2.0, "prompts": {"1": 0.1, "100": 0.5}},
            "slices": {"75": {"encode": 1.0, "prompts": 0.1}, "150": {"encode": 2.0, "prompts": 0.2}},
        },
        "seconds": 1.0,
    }
    report["ratios"] = ratios(report)
    assert report["ratios"].keys() == BARS.keys()
    assert report["ratios"]["run_vs_totalsegmentator_3mm"] == pytest.approx(0.01)
    assert report["ratios"]["hundred_prompts_vs_encode"] == 0.25
    json.dumps(report)
    text = to_markdown(report)
    assert "| hundred_prompts_vs_encode | 0.250 | 0.5 | yes |" in text
    assert "8 (2)" in text
    assert "network in int8 (auto: the fastest on this processor)" in text
    draw_bench(report, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 10_000


@pytest.mark.parametrize("job", [whole_run, prompt_costs, size_costs])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_jobs_use_the_requested_precision(job, precision, scan, tmp_path, dsm_tiny, monkeypatch):
    used = []
    load = Segmenter.from_pretrained

    def from_pretrained(*arguments, **options):
        segmenter = load(*arguments, **options)
        used.append((segmenter.precision, any(isinstance(m, Int8SumConvolution) for m in segmenter.net.modules())))
        return segmenter

    monkeypatch.setattr("dsm.bench.own_cost.Segmenter.from_pretrained", from_pretrained)
    monkeypatch.setattr("dsm.bench.own_cost.phantom_ct", lambda *_: phantom_ct(*SMALL))
    extent = {whole_run: (scan, tmp_path), prompt_costs: ((1, 2),), size_costs: ((24,),)}[job]
    job(str(dsm_tiny), *extent, precision=precision)
    assert used == [(precision, precision == "int8")]


def test_auto_precision_is_resolved_once_for_all_jobs(monkeypatch):
    asked = {}

    def measure(job, *, threads, **arguments):
        asked[job] = arguments.get("precision")
        encode = {"encode": 1.0, "prompts": {"100": 0.5}}
        own = {
            "cpu_s": 1.0,
            "tflop": 1.0,
            "peak_rss_bytes": 1,
            "stages_cpu_s": encode,
            "next_prompt_cpu_s": {"liver": 1},
        }
        answers = {"peak": 1.0, "precision": "bfloat16", "run": own | {"name": "dsm"}, "prompts": encode, "sizes": {}}
        return answers[job]

    monkeypatch.setattr("dsm.bench.run.measure", measure)
    monkeypatch.setattr("dsm.bench.run.phantom_ct", lambda: phantom_ct(*SMALL))
    report = run_bench(QUICK, model="dsm-small", threads=1, peers=(), precision="auto")
    assert asked == {"peak": None, "precision": None, **dict.fromkeys(("run", "prompts", "sizes"), "bfloat16")}
    assert (report["precision"], report["requested_precision"]) == ("bfloat16", "auto")
    asked.clear()
    assert run_bench(QUICK, model="dsm-small", threads=1, peers=())["precision"] == "float32"
    assert asked == {"peak": None, **dict.fromkeys(("run", "prompts", "sizes"), "float32")}


def test_auto_precision_is_resolved_in_a_subprocess(dsm_tiny, monkeypatch):
    monkeypatch.setenv("DSM_PRECISION", "int8")
    assert measure("precision", threads=1, model=str(dsm_tiny)) == "int8"


def test_ratios_omit_jobs_that_did_not_run():
    row = {"name": "dsm", "cpu_s": 1.0, "tflop": 1.0, "peak_rss_bytes": 1, "stages_cpu_s": {"encode": 1.0}}
    report = {
        "rows": [row | {"next_prompt_cpu_s": {"liver": 0.1}}, {"name": "totalsegmentator-3mm", "cpu_s": 10.0}],
        "curves": {"prompts": {"encode": 1.0, "prompts": {"100": 0.5}}},
        "machine": {"conv_peak_gflops": 100.0},
    }
    assert BARS.keys() - ratios(report).keys() == {"run_vs_dsm_reference"}


def test_bars():
    assert passes("fraction_of_conv_peak", 0.7)
    assert not passes("fraction_of_conv_peak", 0.5)
    assert passes("peak_rss_gb", 3.9)
    assert not passes("run_vs_dsm_reference", 0.06)


def test_failed_job_reports_its_error():
    with pytest.raises(WorkerError, match="nowhere"):
        measure("peer", threads=1, peer="nowhere:NOTHING", scan="scan.nii.gz", out=".", num_windows=1)
