import sys

import pytest
import torch

from dsm.inference.retained_memory import retain_freed_memory

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")


ROUNDS = 20


def page_faults():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident_bytes():
    import resource
    from pathlib import Path

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def touch(rounds):
    before = page_faults()
    for _ in range(rounds):
        torch.ones(20_000_000)
    return page_faults() - before


def touched_inside():
    with retain_freed_memory():
        return touch(ROUNDS)


@linux
def test_pages_are_reused():
    # Small blocks of other threads may fall between two rounds, so that a few rounds need new pages.
    outside = touch(ROUNDS)
    assert touched_inside() < 0.4 * outside


@linux
def test_memory_is_returned_to_the_system():
    before = resident_bytes()
    with retain_freed_memory():
        touch(1)
        assert resident_bytes() - before > 60e6
    assert resident_bytes() - before < 40e6


def test_exceptions_propagate():
    with pytest.raises(KeyError), retain_freed_memory():
        raise KeyError
