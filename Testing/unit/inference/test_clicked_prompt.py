import numpy as np
import pytest
import torch

from dsm.core.click import Click
from dsm.core.volume import Volume
from dsm.errors import InputError, ModelNotFoundError
from dsm.inference.click_scan import ClickSegmenter
from dsm.inference.clicked_prompt import segment_clicked
from dsm.inference.segmenter import Segmenter
from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    return Volume(rng.normal(40, 10, (40, 36, 20)).astype(np.int16), np.diag([-2.0, -2.0, 4.0, 1.0]))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ClickSegmenter(ClickRefiner(ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)).eval())


CLICKS = [Click((-40, -36, 40))]


def test_a_name_that_nobody_knows_needs_no_encoding(volume, network):
    result = segment_clicked(volume, "schwannoma", CLICKS, network=network)
    assert result.prompt.name == "schwannoma"
    assert result.shape == volume.shape
    assert result.full_mask().shape == volume.shape
    assert result.found == bool(result.full_mask().any())
    assert 0 <= result.score <= 1


def test_the_text_mask_of_a_scan_is_a_hint(volume, network, tiny_model):
    scan = Segmenter.from_pretrained(tiny_model).encode(volume)
    seen = []
    look = network.look

    def spy(image, clicks, *, previous, text):
        seen.append(float(text.sum()))
        return look(image, clicks, previous=previous, text=text)

    network.look = spy
    try:
        result = segment_clicked(scan, "liver", CLICKS, network=network)
    finally:
        del network.look
    assert result.prompt.name == "liver"
    has_text = scan.segment("liver")[0].found
    assert any(seen) == has_text


def test_mistakes_are_explained(volume, network):
    with pytest.raises(InputError, match="No click"):
        segment_clicked(volume, "mass", [], network=network)
    with pytest.raises(ModelNotFoundError, match="nothing-of-this-name"):
        segment_clicked(volume, "mass", CLICKS, network="nothing-of-this-name")
