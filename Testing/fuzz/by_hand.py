"""Fuzz one target for as long as you like: python Testing/fuzz/by_hand.py nifti --seconds 3600

Guided by coverage where `atheris` is installed (pip install atheris), else by chance. What breaks a target is written
to `Testing/fuzz/regressions`, where the tests find it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

_REGRESSIONS = Path(__file__).with_name("regressions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--by-chance", action="store_true", help="without atheris")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if not options.by_chance:
        try:
            import atheris
        except ImportError:
            print("atheris is not installed: by chance")
        else:
            guided(atheris, options.target, options.seconds)
            return
    by_chance(options.target, options.seconds)


def guided(atheris: object, name: str, seconds: int) -> None:
    with atheris.instrument_imports(include=["dsm"]):
        import targets
    corpus = Path("/tmp") / f"dsm-fuzz-{name}"  # noqa: S108  (by hand)
    corpus.mkdir(exist_ok=True)
    (corpus / "seed").write_bytes(targets.seed(name))

    def once(data: bytes) -> None:
        try:
            targets.run(name, data)
        except Exception:
            keep(name, data)
            raise

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-print_final_stats=1"], once)
    atheris.Fuzz()


def by_chance(name: str, seconds: int) -> None:
    import targets

    chance, end, count, found = random.Random(0), time.monotonic() + seconds, 0, set()
    while time.monotonic() < end:
        data = damaged(targets.seed(name), chance)
        count += 1
        try:
            targets.run(name, data)
        except Exception as error:
            kind = (type(error).__name__, str(error)[:60])
            if kind not in found:
                found.add(kind)
                print(kind, keep(name, data))
    print(f"{name}: {count} inputs, {len(found)} findings")


def damaged(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(400, len(data)))
        kind = chance.random()
        if kind < 0.6:
            data[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        elif kind < 0.75:
            del data[place : place + chance.randint(1, 8)]
        elif kind < 0.9:
            data[place:place] = chance.randbytes(chance.randint(1, 8))
        else:
            del data[place:]
        if not data:
            data = bytearray(seed)
    return bytes(data)


def keep(name: str, data: bytes) -> Path:
    _REGRESSIONS.mkdir(exist_ok=True)
    path = _REGRESSIONS / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    main()
