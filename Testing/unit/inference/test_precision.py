import numpy as np
import pytest
import torch

from dsm.core.volume import Volume
from dsm.errors import DeviceError
from dsm.inference import int8_network, precision
from dsm.inference.precision import check_precision, has_bfloat16
from dsm.inference.segmenter import Segmenter

CPU = torch.device("cpu")
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(CPU), reason="this processor emulates bfloat16")


def test_bfloat16_is_refused_if_the_processor_emulates_it(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    with pytest.raises(DeviceError, match="bfloat16"):
        check_precision("bfloat16", CPU)
    check_precision("float32", CPU)


def test_int8_is_refused_where_unsupported(monkeypatch):
    check_precision("int8", CPU)
    with pytest.raises(DeviceError, match="int8"):
        check_precision("int8", torch.device("cuda"))
    monkeypatch.setattr(precision, "has_int8", lambda: False)  # a torch that lacks it
    with pytest.raises(DeviceError, match="int8"):
        check_precision("int8", CPU)


def test_unknown_precision(tiny_model):
    with pytest.raises(DeviceError, match="float8"):
        Segmenter.from_pretrained(tiny_model, precision="float8")


each_precision = pytest.mark.parametrize("name", [pytest.param("bfloat16", marks=needs_bfloat16), "int8"])


@each_precision
def test_encodings_are_close_to_float32(tiny_model, name, monkeypatch):
    monkeypatch.setattr(int8_network, "_FEWEST_CHANNELS", 1)
    array = np.random.default_rng(0).integers(-200, 300, (40, 36, 30)).astype(np.int16)
    volume = Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))
    exact, rough = (
        Segmenter.from_pretrained(tiny_model, precision=precision).encode(volume)._encoding.embedding
        for precision in ("float32", name)
    )
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).abs().max() < 0.1


@each_precision
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("encoded_demo")
def test_masks_agree(name, encoded_demo):
    """Dice between the masks of both precisions, on a real CT with the trained model."""
    assert encoded_demo.segmenter.precision == "float32"
    rough_scan = Segmenter.from_pretrained("dsm-small", precision=name).encode(encoded_demo.volume)
    masks = [
        [result.full_mask().astype(bool) for result in scan.segment("liver; spleen; left lung")]
        for scan in (encoded_demo.scan, rough_scan)
    ]
    for exact, rough in zip(*masks, strict=True):
        assert exact.any()
        assert 2 * (exact & rough).sum() / (exact.sum() + rough.sum()) > 0.99
