import pytest
import torch

from dsm.training.checkpoint import resume, save_checkpoint


def test_round_trip(tmp_path):
    net, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    save_checkpoint(tmp_path, 7, {"net": net})
    assert resume(tmp_path, {"net": other}) == 7
    assert torch.equal(net.weight, other.weight)


def test_run_without_a_checkpoint_starts_at_zero(tmp_path):
    assert resume(tmp_path, {}) == 0


def test_failure_keeps_the_old_checkpoint(tmp_path):
    class Broken:
        def state_dict(self):
            raise RuntimeError("broken")

    save_checkpoint(tmp_path, 1, {})
    with pytest.raises(RuntimeError, match="broken"):
        save_checkpoint(tmp_path, 2, {"net": Broken()})
    assert resume(tmp_path, {}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
