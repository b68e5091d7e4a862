"""The text bank as a file, and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsm.core.prompt import Prompt
from dsm.errors import ConfigError, MissingDependencyError, WeightsError
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import BANK_FILE, SHARED_BANK
from dsm.text.embed import FAR_OFF, PromptEmbedder
from dsm.text.organ_sets import FIRST_NAMES
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary

SHIPPED = SHARED_BANK


def made_up_bank(names: tuple[str, ...] = ("liver", "spleen", "liver tumor")) -> EmbeddingBank:
    vectors = np.random.default_rng(0).standard_normal((len(names), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return EmbeddingBank(names, vectors, vectors.mean(axis=0))


class CountingEncoder:
    """A tower that gives words a fixed direction and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def encode(self, names: list[str]) -> np.ndarray:
        self.asked.append(list(names))
        vectors = np.zeros((len(names), 8), np.float32)
        vectors[:, 0] = 1.0
        return vectors


def test_round_trip(tmp_path: Path) -> None:
    bank = made_up_bank()
    bank.save(tmp_path)
    loaded = EmbeddingBank.load(tmp_path)
    assert (loaded.names, loaded.tower) == (bank.names, "minilm")
    assert np.abs(loaded.vectors - bank.vectors).max() < 1e-3
    assert np.array_equal(loaded.mean, bank.mean)
    assert loaded.vector("spleen") is not None
    assert loaded.vector("pizza") is None


def test_saving_a_loaded_bank_is_idempotent(tmp_path: Path) -> None:
    made_up_bank().save(tmp_path)
    first = EmbeddingBank.load(tmp_path)
    first.save(tmp_path)
    again = EmbeddingBank.load(tmp_path)
    assert again.names == first.names
    assert np.array_equal(again.vectors, first.vectors)
    assert np.array_equal(again.mean, first.mean)


def test_centred_vectors_have_length_one() -> None:
    bank = made_up_bank()
    assert np.allclose(np.linalg.norm(bank.centred(bank.vectors), axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "no names", "names do not fit"])
def test_damaged_bank_raises_weights_error(tmp_path: Path, damage: str) -> None:
    from safetensors.numpy import save_file

    path = made_up_bank().save(tmp_path)
    match damage:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(path.read_bytes()[:-20])
        case "no names":
            save_file({"vectors": np.ones((1, 8)), "mean": np.ones(8)}, path)
        case "names do not fit":
            metadata = {"names": json.dumps(["liver"]), "tower": "minilm"}
            save_file({"vectors": np.ones((2, 8)), "mean": np.ones(8)}, path, metadata=metadata)
    with pytest.raises(WeightsError) as caught:
        EmbeddingBank.load(tmp_path)
    assert BANK_FILE in str(caught.value)
    assert caught.value.hint


def test_prompts_in_the_bank_need_no_text_encoder() -> None:
    bank = made_up_bank()
    embedder = PromptEmbedder(bank)
    vectors, warnings = embedder.embed(parse_prompts("liver; HCC"))
    assert vectors.shape == (2, 8)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, bank.centred(bank.vectors[[0, 2]]), atol=1e-6)
    assert warnings == [(), ()]


def test_other_prompts_are_encoded_once() -> None:
    embedder = PromptEmbedder(made_up_bank())
    tower = CountingEncoder()
    embedder._encoder = tower  # type: ignore[assignment]
    for _ in range(2):
        vectors, _ = embedder.embed(parse_prompts("liver; mesenteric root; ivc filter"))
    assert vectors.shape == (3, 8)
    assert tower.asked == [["mesenteric root", "ivc filter"]]


def test_words_far_from_all_names_are_reported() -> None:
    names = ("liver", "spleen")
    vectors = np.eye(8, dtype=np.float32)[[1, 2]]
    embedder = PromptEmbedder(EmbeddingBank(names, vectors, np.zeros(8, np.float32)))
    embedder._encoder = CountingEncoder()  # type: ignore[assignment]
    _, warnings = embedder.embed([Prompt("pizza", "pizza", "organ"), *parse_prompts("liver")])
    assert FAR_OFF > 0
    assert "far from everything" in warnings[0][0]
    assert warnings[1] == ()


def test_no_prompts_give_no_rows() -> None:
    vectors, warnings = PromptEmbedder(made_up_bank()).embed([])
    assert (vectors.shape, warnings) == ((0, 8), [])


def test_bank_of_another_text_encoder_is_refused() -> None:
    with pytest.raises(ConfigError):
        PromptEmbedder(made_up_bank(), tower="clip")


def test_missing_text_encoder_raises_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError) as caught:
        PromptEmbedder(made_up_bank()).embed(parse_prompts("mesenteric root"))
    assert "pip install" in caught.value.hint


@pytest.mark.skipif(not (SHIPPED / BANK_FILE).exists(), reason="the text bank is not built: dsm.text.build_bank")
def test_shipped_bank_has_all_names_and_the_original_mean() -> None:
    bank = EmbeddingBank.load(SHIPPED)
    assert set(bank.names) == {structure.name for structure in load_vocabulary().structures}
    assert (SHIPPED / BANK_FILE).stat().st_size < 2**20
    first = np.stack([bank.vector(name) for name in FIRST_NAMES])  # type: ignore[arg-type]
    assert np.abs(first.mean(axis=0) - bank.mean).max() < 1e-4


def test_vocabulary_prompt_and_bank_load_without_torch_and_fast() -> None:
    code = (
        "import sys, time, numpy, safetensors.numpy; began = time.process_time();"
        "import dsm.text.prompt, dsm.text.bank, dsm.text.embed; taken = time.process_time() - began;"
        "dsm.text.prompt.parse_prompts('liver; HCC; left kidney');"
        "assert not {'torch', 'open_clip', 'transformers'} & set(sys.modules); print(taken)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SHIPPED.parents[1])},
    )
    # Processor time, so that a loaded machine does not decide; 0.1 s is the budget, measured 0.02 s.
    assert float(done.stdout) < 0.1


def test_vocabulary_and_prompt_need_the_standard_library_only() -> None:
    code = (
        "import sys, dsm.text.prompt, dsm.text.vocabulary;"
        "dsm.text.prompt.parse_prompts('liver; kidny'); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SHIPPED.parents[1])})
