"""Many clients at a time on one server, by hand: python Testing/server/many_clients.py --clients 50 --seconds 600

Each client uploads a small volume, asks for prompts in several jobs, reads the events, and removes the volume. Prints
one JSON object: how many jobs, what was refused, how long a job took, and the memory of the server and its worker.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "DSMSegment")]

from http_server import Server, phantom, upload  # noqa: E402

from dsm.client.connection import Connection  # noqa: E402
from dsm.errors import RemoteError  # noqa: E402

_PROMPTS = ("liver", "spleen", "left kidney", "liver tumor", "pancreas")


@dataclass
class Tally:
    """Results and errors of all clients."""

    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    tokens = {f"user{n}": f"load-test-token-{n:06d}" for n in range(options.clients)}
    tally = Tally()
    with tempfile.TemporaryDirectory() as place, Server(Path(place), tokens=tokens) as server:
        first = Connection(server.address, tokens["user0"])
        while first.call("GET", "/healthz")["status"] != "ok":
            time.sleep(0.2)
        end = time.monotonic() + options.seconds
        clients = [
            threading.Thread(target=run_client, args=(server.address, token, end, n, tally))
            for n, token in enumerate(tokens.values())
        ]
        for client in clients:
            client.start()
        memory = watch(server, end)
        for client in clients:
            client.join()
        left = [path for path in server.voxel_files if "/volumes/" in path]
    ordered = sorted(tally.seconds)
    print(
        json.dumps(
            {
                "clients": options.clients,
                "seconds": options.seconds,
                "jobs": len(ordered),
                "jobs_per_s": round(len(ordered) / options.seconds, 2),
                "p50_s": round(statistics.median(ordered), 3),
                "p95_s": round(ordered[int(0.95 * len(ordered))], 3),
                "refused_429": dict(tally.refused),
                "errors": dict(tally.wrong),
                "rss_mb_server_worker": memory,
                "volumes_left": len(left),
            },
            indent=1,
        )
    )


def run_client(address: str, token: str, end: float, seed: int, tally: Tally) -> None:
    connection = Connection(address, token, timeout_s=120)
    chance = random.Random(seed)
    voxels = phantom((24, 22, 20), seed)
    while time.monotonic() < end:
        try:
            volume = upload(connection, voxels)
            for _ in range(5):
                if time.monotonic() < end:
                    run_job(connection, volume, chance, tally)
            connection.call("DELETE", f"/volumes/{volume}")
        except RemoteError as error:
            if error.code in ("busy", "quota"):
                tally.refused[error.code] += 1
                time.sleep(2)
            else:
                tally.wrong[error.code] += 1
        except Exception as error:
            tally.wrong[type(error).__name__] += 1


def run_job(connection: Connection, volume: str, chance: random.Random, tally: Tally) -> None:
    began = time.monotonic()
    prompts = chance.sample(_PROMPTS, 2)
    job = connection.call("POST", "/jobs", body={"volume": volume, "prompts": prompts})["job"]
    if chance.random() < 0.05:
        connection.call("POST", f"/jobs/{job}/cancel")
    *_, last = connection.lines(f"/jobs/{job}/events")
    if last["type"] == "done":
        if len(connection.call("GET", f"/jobs/{job}/result")["results"]) != 2:
            tally.wrong["results are missing"] += 1
        tally.seconds.append(time.monotonic() - began)
    elif last["code"] != "cancelled":
        tally.wrong[last["code"]] += 1


def watch(server: Server, end: float) -> list[tuple[float, float]]:
    """Resident memory of the server and its worker, at ten times."""
    seen = []
    step = max(1.0, (end - time.monotonic()) / 10)
    while time.monotonic() < end:
        pids = [server.process.pid, *server.worker_pids]
        seen.append(tuple(round(resident_mb(pid)) for pid in pids[:2]))
        time.sleep(step)
    return seen


def resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
