import sys

import pytest
import torch

from dsm.inference.memory import usable_bytes


def test_usable_memory_is_plausible():
    free = usable_bytes(torch.device("cpu"))
    assert 2**20 < free < 2**44


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_process_limit_bounds_usable_memory():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = usable_bytes(torch.device("cpu"))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (2**45, hard))
        assert usable_bytes(torch.device("cpu")) <= max(before * 2, 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (2**33, hard))
        assert usable_bytes(torch.device("cpu")) < 0.6 * 2**33
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
