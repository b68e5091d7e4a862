"""Steps that save memory: each needs less with the same masks, and a memory limit slows a run without ending it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dsm.inference.embed_tiled import FusionInRows, embed_tiled
from dsm.inference.embedding_storage import allocate_embedding
from dsm.inference.encode import encode_tensor
from dsm.inference.fast_network import fold_norms
from dsm.inference.memory_ladder import Step, ladder, predicted_bytes
from dsm.inference.slabs import EMBED_HALO, embed_in_slabs, plan_slabs
from dsm.models.presets import preset
from dsm.nn.prompt_batch import PromptBatch
from dsm.progress import ignore_progress

PACKAGE_PARENT = Path(__file__).parents[3] / "DSMSegment"
SMALL = preset("dsm-small")


def test_steps_of_the_ladder():
    steps = list(ladder(112))
    assert [step.max_slab for step in steps] == [112, 48, 16, 16, 16]
    assert [step.is_half for step in steps] == [False, False, False, True, True]
    assert [step.is_on_disk for step in steps] == [False, False, False, False, True]
    assert next(ladder(112, start=32)) == Step(32)
    assert next(ladder(16)) == Step(16)


def test_each_step_needs_less_memory():
    bytes_of = [predicted_bytes(SMALL, (256, 176, 304), step, halo=16) for step in ladder(304)]
    assert bytes_of == sorted(bytes_of, reverse=True)
    assert bytes_of[-1] < 0.75 * bytes_of[0]


@pytest.mark.parametrize("max_slab", [16, 48])
@torch.inference_mode()
def test_the_embedding_in_slabs_is_the_same(tiny_net, max_slab):
    net = tiny_net()
    f2 = torch.rand(1, 4, 16, 8, 56)
    d4 = torch.rand(1, 6, 8, 4, 28)
    whole = net.pixel_decoder.embed(f2, d4)
    parts = plan_slabs(112, max_slab=max_slab, halo=EMBED_HALO)
    joined = embed_in_slabs(net.pixel_decoder.embed, f2, d4, parts, into=torch.empty_like(whole))
    torch.testing.assert_close(joined, whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("planes", [2, 4, 14, 16, 18, 48])
@torch.inference_mode()
def test_the_embedding_in_rows_is_the_same(tiny_net, planes):
    decoder = tiny_net().pixel_decoder
    f2, d4 = torch.rand(1, 4, planes, 8, 12), torch.rand(1, 6, planes // 2, 4, 6)
    found = embed_tiled(decoder, f2, d4)
    torch.testing.assert_close(found, decoder.embed(f2, d4), atol=1e-6, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("planes", [2, 16, 18, 40])
@torch.inference_mode()
def test_the_fusion_in_rows_is_the_same(tiny_net, planes):
    net = tiny_net()
    fold_norms(net)
    fusion = net.pixel_decoder.fusion4
    fusion.gamma.fill_(1.0)
    features, guidance = torch.rand(1, 6, planes, 8, 10), torch.rand(1, 8, planes // 2, 4, 5)
    torch.testing.assert_close(FusionInRows(fusion)(features, guidance), fusion(features, guidance))


@torch.inference_mode()
def test_every_step_gives_the_same_logits(tiny_net, monkeypatch):
    from dsm.inference import encode

    net, x = tiny_net(), torch.rand(1, 1, 32, 32, 64, generator=torch.Generator().manual_seed(0))
    config = preset_of(net)
    prompts = PromptBatch.from_text(torch.nn.functional.normalize(torch.randn(3, 12), dim=1))
    expected = net(x, prompts).logits
    for step in ladder(64):
        monkeypatch.setattr(encode, "ladder", lambda depth, start, step=step: [step])
        encoding, _ = encode_tensor(net, config, x, max_slab=64, progress=ignore_progress)
        assert encoding.embedding.dtype == (torch.float16 if step.is_half else torch.float32)
        assert (net.decode(encoding, prompts).logits - expected).abs().max() < (2e-2 if step.is_half else 1e-3)


def preset_of(net):
    from dataclasses import replace

    return replace(preset("dsm-tiny"), channels=(4, 6, 8, 8), decoder_channels=(6, 8, 8), embed_dim=8, query_dim=16)


def test_embedding_file_is_unlinked(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    room = allocate_embedding(SMALL, (32, 32, 32), Step(16, is_half=True, is_on_disk=True), torch.device("cpu"))
    assert list(tmp_path.iterdir()) == []
    room[:] = 1
    assert room.shape == (1, 32, 16, 16, 16)
    assert room.float().sum() == room.numel()


UNDER_LIMIT = """
import json, logging, resource, sys
import torch
from dsm.inference import encode
from dsm.inference.fast_network import fast_on_cpu
from dsm.inference.retained_memory import retain_freed_memory
from dsm.models.presets import preset
from dsm.nn.dsm_net import DSMNet
from dsm.nn.prompt_batch import PromptBatch
from dsm.progress import ignore_progress

torch.manual_seed(0)
torch.set_num_threads(1)
config = preset("dsm-small")
net = fast_on_cpu(DSMNet(config).eval())
x = torch.rand(1, 1, 128, 96, 320)
said = []
encode._log.warning = lambda text, *parts: said.append(text % parts)
extra = int(sys.argv[1])
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
if extra:
    resource.setrlimit(resource.RLIMIT_AS, (pages + extra, pages + extra))
try:
    with retain_freed_memory():
        encoding, slabs = encode.encode_tensor(net, config, x, max_slab=None, progress=ignore_progress)
    with torch.inference_mode():
        logits = net.decode(encoding, PromptBatch.from_text(torch.eye(1, 384))).logits
    print(json.dumps({"said": said, "slabs": slabs, "half": encoding.embedding.dtype == torch.float16,
                      "logits": logits.flatten()[::997].tolist()}))
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "said": said}))
"""


def run_under(limit_mb: int):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", UNDER_LIMIT, str(limit_mb * 2**20)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(900)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs ulimit -v")
def test_memory_limit_slows_the_run_without_a_crash():
    free = run_under(0)
    assert (free["slabs"], free["said"]) == (1, [])
    tight = run_under(350)
    assert tight["slabs"] > 1
    assert "slabs of" in tight["said"][0]
    difference = max(abs(a - b) for a, b in zip(free["logits"], tight["logits"], strict=True))
    assert difference < (2e-2 if tight["half"] else 1e-3)
    hopeless = run_under(40)
    assert hopeless["error"] == "OutOfMemoryError"  # said, not killed
    assert hopeless["said"]
