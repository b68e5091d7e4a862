"""Train a recipe alone and in two processes, and write the loss of each step beside each model.

A program: importing what trains takes longer than these steps do, so it is done once and the processes are forked.

    python forked_runs.py RECIPE BANK OUT
"""

import json
import logging
import multiprocessing
import os
import socket
import sys
from pathlib import Path

from dsm.training import train


def main(recipe: Path, bank: Path, out: Path) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    forked = multiprocessing.get_context("fork")
    runs = [forked.Process(target=noted_run, args=(recipe, bank, out / "one", {}))]
    for rank in range(2):
        place = {**address, "WORLD_SIZE": "2", "RANK": str(rank)}
        runs.append(forked.Process(target=noted_run, args=(recipe, bank, out / "two", place)))
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return max(abs(run.exitcode) for run in runs)


def noted_run(recipe: Path, bank: Path, out: Path, place: dict[str, str]) -> None:
    os.environ.update(place)
    logging.disable()
    seen = []
    accumulate = train.Trainer._accumulate

    def noted(trainer: train.Trainer, *arguments: object) -> dict[str, float]:
        parts = accumulate(trainer, *arguments)
        seen.append(parts["loss"])
        return parts

    train.Trainer._accumulate = noted
    train.main(recipe, out=out, text_bank=bank)
    if place.get("RANK", "0") == "0":
        (out / "losses.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
