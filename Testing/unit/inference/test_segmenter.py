"""The real network at tiny size, from a folder to masks."""

import logging

import numpy as np
import pytest
import torch

from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import DeviceError, JobCancelled, ModelNotFoundError, OutOfMemoryError, WeightsError
from dsm.inference import encode
from dsm.inference.segmenter import Segmenter
from dsm.nn.dsm_net import DSMNet
from dsm.nn.prompt_batch import PromptBatch


@pytest.fixture(scope="module")
def segmenter(tiny_model):
    return Segmenter.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    array = rng.normal(40, 60, (40, 36, 112)).astype(np.float32)
    return Volume(array, np.diag([-1.5, -1.5, 1.5, 1.0]))


class TestFromPretrained:
    def test_loaded_model_and_progress(self, tiny_model):
        stages = []
        segmenter = Segmenter.from_pretrained(tiny_model, progress=lambda *step: stages.append(step))
        assert segmenter.entry.name == "dsm-tiny"
        assert segmenter.config.name == "dsm-tiny"
        assert segmenter.device == torch.device("cpu")
        assert stages == [("load", 0, 2), ("load", 1, 2), ("load", 2, 2)]
        assert not segmenter.net.training

    def test_missing_model(self):
        with pytest.raises(ModelNotFoundError):
            Segmenter.from_pretrained("dsm-unheard-of")

    def test_damaged_model(self, tiny_model, tmp_path):
        for file in tiny_model.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = bytearray((tmp_path / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (tmp_path / "model.safetensors").write_bytes(weights)
        with pytest.raises(WeightsError, match="damaged"):
            Segmenter.from_pretrained(tmp_path)

    @pytest.mark.parametrize("device", ["cuda:77", "abacus"])
    def test_unknown_device(self, tiny_model, device):
        with pytest.raises(DeviceError, match=device):
            Segmenter.from_pretrained(tiny_model, device=device)

    def test_auto_selects_a_device(self, tiny_model):
        assert Segmenter.from_pretrained(tiny_model, device="auto").device.type in {"cpu", "cuda", "mps"}


class TestSlabs:
    @pytest.mark.parametrize("max_slab", [16, 48, 64])
    def test_slabs_equal_one_pass(self, segmenter, volume, max_slab):
        whole = segmenter.encode(volume, max_slab=1000)
        slabs = segmenter.encode(volume, max_slab=max_slab)
        assert whole.num_slabs == 1
        assert slabs.num_slabs > 1
        prompts = PromptBatch.from_text(torch.eye(3, 12))
        with torch.inference_mode():
            a = segmenter.net.decode(whole._encoding, prompts)
            b = segmenter.net.decode(slabs._encoding, prompts)
        assert (a.logits - b.logits).abs().max() < 1e-3
        assert (a.presence - b.presence).abs().max() < 1e-3

    def test_slabs_equal_one_pass_for_default_sizes(self):
        """The halo of the sizes that ship, with every BatchNorm away from its initial values."""
        from dsm.inference.slabs import fine_in_slabs, plan_slabs
        from dsm.models.config import ModelConfig

        torch.manual_seed(0)
        net = DSMNet(ModelConfig(name="x", organs=("liver",), tumors=()))
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        net.eval()
        x = torch.rand(1, 1, 16, 16, 144)
        with torch.inference_mode():
            whole = net.fine(x)
            slabs = fine_in_slabs(net, x, plan_slabs(144, max_slab=48, halo=net.fine_halo))
        for a, b in zip(whole, slabs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)

    def test_low_memory_uses_slabs(self, segmenter, volume, monkeypatch):
        monkeypatch.setattr(encode, "usable_bytes", lambda device: 3_000_000)
        assert segmenter.encode(volume).num_slabs > 1

    def test_out_of_memory_tries_smaller_slabs(self, segmenter, volume, monkeypatch, caplog):
        fine, depths = segmenter.net.fine, []

        def hungry(x):
            depths.append(x.shape[-1])
            if x.shape[-1] > 64:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return fine(x)

        monkeypatch.setattr(segmenter.net, "fine", hungry)
        with caplog.at_level(logging.WARNING):
            scan = segmenter.encode(volume, max_slab=1000)
        assert scan.num_slabs > 2
        assert depths[0] == 112
        assert "slabs of" in caplog.text

    def test_out_of_memory_is_reported(self, segmenter, volume, monkeypatch):
        def hungry(x):
            raise MemoryError

        monkeypatch.setattr(segmenter.net, "fine", hungry)
        with pytest.raises(OutOfMemoryError) as caught:
            segmenter.encode(volume)
        assert caught.value.code == "oom_ram"
        assert caught.value.hint

    def test_other_errors_of_the_network_pass_through(self, segmenter, volume, monkeypatch):
        def broken(x):
            raise RuntimeError("shapes differ")

        monkeypatch.setattr(segmenter.net, "fine", broken)
        with pytest.raises(RuntimeError, match="shapes differ"):
            segmenter.encode(volume)


class TestPrompts:
    def test_result_is_independent_of_other_prompts(self, segmenter, volume):
        scan = segmenter.encode(volume)
        together = scan.segment("liver; spleen; liver tumor; heart", SegmentOptions(probabilities=True, guess=True))
        for result in together:
            (alone,) = scan.segment([result.prompt], SegmentOptions(probabilities=True, guess=True))
            assert (alone.evidence is None) == (result.evidence is None)
            if alone.evidence and result.evidence:
                assert alone.evidence.presence_logit == pytest.approx(result.evidence.presence_logit, abs=1e-3)
            np.testing.assert_allclose(
                alone.probability.array.astype(np.float32), result.probability.array.astype(np.float32), atol=2e-3
            )

    def test_second_encoding_is_the_same(self, segmenter, volume):
        first, second = (segmenter.encode(volume)._encoding for _ in range(2))
        assert torch.equal(first.embedding, second.embedding)

    def test_mr_is_segmented_too(self, segmenter):
        array = np.random.default_rng(0).gamma(2.0, 100.0, (30, 30, 20)).astype(np.float32)
        (result,) = segmenter.encode(Volume(array, np.diag([1.2, 1.2, 4.0, 1.0]), "MR")).segment("liver")
        assert result.shape == (30, 30, 20)
        assert result.score is None


class TestCancel:
    def test_between_layers_of_one_pass(self, segmenter, volume):
        calls = []

        def progress(stage, done, total):
            calls.append((stage, done, total))
            if stage == "encode" and done >= 3:
                raise JobCancelled("stop")

        with pytest.raises(JobCancelled):
            segmenter.encode(volume, progress=progress)
        assert [stage for stage, _, _ in calls] == ["load", "load"] + ["encode"] * 4
        # The hooks are gone: the network still works, and quietly.
        before = len(calls)
        segmenter.encode(volume)
        assert len(calls) == before

    def test_progress_is_monotonic_and_complete(self, segmenter, volume):
        calls = []
        scan = segmenter.encode(volume, max_slab=32, progress=lambda *step: calls.append(step))
        scan.segment("liver; spleen", progress=lambda *step: calls.append(step))
        for stage in ("load", "encode", "text", "decode"):
            steps = [(done, total) for name, done, total in calls if name == stage]
            assert steps == sorted(steps)
            assert len({total for _, total in steps}) == 1
            assert steps[0][0] == 0
            assert steps[-1][0] == steps[-1][1]
