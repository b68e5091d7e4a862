"""Mean of the weights of two runs: `python -m dsm.training.mean_weights RUN OTHER --share 0.5 --out FOLDER`.

Runs that begin with the same weights end near enough to each other for their mean to be as good as the better one or
better.

References:
    Wortsman et al., Model soups, ICML 2022.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from dsm.errors import ConfigError
from dsm.models.store import write_manifest
from dsm.models.weights import load_model, save_model
from dsm.text.bank_file import BANK_FILE
from dsm.training.train import STORAGE


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m dsm.training.mean_weights", description=__doc__)
    parser.add_argument("run", type=Path, help="model folder, whose configuration and text bank the mean gets")
    parser.add_argument("other", type=Path, help="model folder of the same network")
    parser.add_argument("--share", type=float, default=0.5, help="of the other one (default: 0.5)")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    given = parser.parse_args(arguments)
    write_mean(given.run, given.other, share=given.share, out=given.out)


@torch.no_grad()
def write_mean(run: Path, other: Path, *, share: float, out: Path) -> None:
    """Write a model whose weights are `(1 - share)` those of `run` and `share` those of `other`.

    Args:
        run: Model folder, whose configuration and text bank the mean gets.
        other: Model folder of a network of the same shape and names.
        share: 0 to 1.
        out: New folder.

    Raises:
        ConfigError: If the networks differ.
    """
    (net, config), (second, config_of_second) = load_model(run), load_model(other)
    if config != config_of_second:
        raise ConfigError(f"{run} and {other} are networks of different settings.")
    state, weights = net.state_dict(), second.state_dict()
    for key, value in state.items():
        if value.is_floating_point():
            value.lerp_(weights[key].to(value.dtype), share)
    save_model(net, config, out, dtype=STORAGE)
    if (run / BANK_FILE).is_file():  # models that are shipped share one
        shutil.copy(run / BANK_FILE, out)
    write_manifest(out)


if __name__ == "__main__":
    main()
