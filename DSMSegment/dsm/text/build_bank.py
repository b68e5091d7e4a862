"""Build the text bank of a model folder: `python -m dsm.text.build_bank DSMSegment/dsm/text`. Needs the text tower.

A bank that is there keeps its mean and its vectors, to the last bit, and gets the names that it lacks: weights were
trained on them. Run `scripts/write_manifests.py` afterwards. To start anew (another tower, other templates) delete the
file, and train again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsm.errors import ConfigError, DSMError
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import BANK_FILE
from dsm.text.encoder import TOWERS, TextEncoder
from dsm.text.organ_sets import FIRST_NAMES
from dsm.text.vocabulary import load_vocabulary


def build_bank(names: Sequence[str], encoder: TextEncoder, old: EmbeddingBank | None = None) -> EmbeddingBank:
    """Encode names.

    Args:
        names: What the bank shall hold; names of `old` that are not among them are dropped.
        encoder: The text tower.
        old: A bank whose mean and vectors are kept. Without it the mean is taken over `FIRST_NAMES`.

    Raises:
        ConfigError: If `old` comes from another tower.
    """
    if old is None:
        return EmbeddingBank(
            tuple(names), encoder.encode(names), encoder.encode(FIRST_NAMES).mean(axis=0), encoder.tower
        )
    if old.tower != encoder.tower:
        msg = f"The bank was built with the tower {old.tower!r}, not {encoder.tower!r}."
        raise ConfigError(msg, hint="Delete it to start anew; weights trained on it are then useless.")
    known = {name: old.vectors[row] for row, name in enumerate(old.names)}
    new = [name for name in names if name not in known]
    known.update(zip(new, encoder.encode(new), strict=True))
    return EmbeddingBank(tuple(names), np.stack([known[name] for name in names]), old.mean, old.tower)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bank of a folder, or add missing names."""
    parser = argparse.ArgumentParser(prog="python -m dsm.text.build_bank", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder that gets the bank")
    parser.add_argument("--tower", choices=TOWERS, default="minilm")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    names = [structure.name for structure in load_vocabulary().structures]
    try:
        old = EmbeddingBank.load(folder) if (folder / BANK_FILE).exists() else None
        folder.mkdir(parents=True, exist_ok=True)
        path = build_bank(names, TextEncoder(options.tower), old).save(folder)
    except DSMError as error:
        parser.exit(1, f"{error.one_line}\n")
    print(f"{path}: {len(names)} names, {path.stat().st_size / 1024:.0f} kB")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
