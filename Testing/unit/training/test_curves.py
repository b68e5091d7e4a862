import pytest

from dsm.training.curves import curves


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_log_values_become_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves(tmp_path, {"step": 50, "loss": 2.0, "mean": None})
    curves(tmp_path, {"step": 100, "loss": 1.0, "validation": {"liver": 0.5}})
    events = EventAccumulator(str(tmp_path / "curves"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["training/loss", "validation/liver"]
    assert [(event.step, event.value) for event in events.Scalars("training/loss")] == [(50, 2.0), (100, 1.0)]
