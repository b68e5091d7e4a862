"""Clicks from the panel through the worker process to the click network that is shipped, and back into the scene."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import affine_of, mask_in, obliqueness, segment_of, tag_of

import DSMSegment as module
from DSMSegmentLib import WorkerBackend
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from clicking_user import ClickingUser  # noqa: E402
from panel_driver import PanelDriver  # noqa: E402

pytestmark = [pytest.mark.xdist_group("slicer_worker"), pytest.mark.usefixtures("questions")]

MODEL = "dsm-small"
SHAPE, SPACING_MM = (64, 56, 44), 2.5
# Two lesions of soft tissue in a body, in world RAS; each is 25 to 34 mm long.
LESIONS_MM = ((18.0, -14.0, 8.0), (-34.0, 12.0, -6.0))
HALF_AXES_MM = (14.0, 17.0, 12.5)


@pytest.fixture(scope="module")
def backend() -> Iterator[WorkerBackend]:
    if not (Path(module.__file__).parents[1] / "model_weights" / MODEL / "clicks.safetensors").is_file():
        pytest.skip("dsm-small is not here")
    backend = WorkerBackend(environment={"OMP_NUM_THREADS": "1"})
    yield backend
    backend.close()


@pytest.fixture
def lesions() -> list[np.ndarray]:
    """The true masks."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    ras_mm = grid @ _affine()[:3, :3].T + _affine()[:3, 3]
    return [np.linalg.norm((ras_mm - middle) / HALF_AXES_MM, axis=-1) < 1 for middle in LESIONS_MM]


@pytest.fixture
def volume(lesions: list[np.ndarray]) -> Any:
    """A body of 60 HU with noise, and lesions of 110 HU, on an oblique, mirrored grid."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    voxels = np.where(sum(axis**2 for axis in axes) < 0.8, 60.0, -1000.0) + 50.0 * np.any(lesions, axis=0)
    voxels += np.random.default_rng(3).normal(0, 12, SHAPE)
    array = np.ascontiguousarray(voxels.astype(np.int16).transpose(2, 1, 0))
    return slicer.util.addVolumeFromArray(array, _affine(), "CT")


@pytest.fixture
def user(volume: Any, backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickingUser]:
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    Settings().model = MODEL
    panel = PanelDriver(module, backend)
    yield ClickingUser(panel, backend)
    monkeypatch.setattr(backend, "close", lambda: None)  # the worker stays warm for the next test
    panel.close()


def test_unknown_lesion_is_there_after_one_click_and_another_one_gets_a_segment_of_its_own(
    user: ClickingUser, volume: Any, lesions: list[np.ndarray]
) -> None:
    user.ui.promptsTextEdit.setPlainText("schwannoma")
    for number, segment_id in enumerate(("DSM_schwannoma", "DSM_schwannoma_1")):
        mouse.click(user.ui.clickButton)
        user.click(np.add(LESIONS_MM[number], (4.0, -3.0, 2.0)))
        assert user.panel.labels[number] == "found by click", user.panel.status
        found = mask_in(user.panel.output, segment_id, volume)
        assert dice(found, lesions[number]) > 0.75
        assert not np.any(found & lesions[1 - number])
    assert tag_of(segment_of(user.panel.output, "DSM_schwannoma"), "DSM.Model") == MODEL


def test_more_clicks_correct_the_mask_and_backspace_takes_them_back(
    user: ClickingUser, volume: Any, lesions: list[np.ndarray]
) -> None:
    user.ui.promptsTextEdit.setPlainText("schwannoma")
    mouse.click(user.ui.clickButton)
    user.click(LESIONS_MM[0])
    first = mask_in(user.panel.output, "DSM_schwannoma", volume)
    user.key(qt.Qt.Key_O)
    place = np.add(LESIONS_MM[0], (0.0, 0.6 * HALF_AXES_MM[1], 0.0))  # inside of the lesion: a click that can be seen
    user.click(place)
    second = mask_in(user.panel.output, "DSM_schwannoma", volume)
    assert first[index_of(place)] > second[index_of(place)]
    user.key(qt.Qt.Key_Backspace)
    user.settle()
    np.testing.assert_array_equal(mask_in(user.panel.output, "DSM_schwannoma", volume), first)
    assert user.button("schwannoma").text == "Click (1)"


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))


def index_of(world: Any) -> tuple[int, ...]:
    return tuple(np.rint((np.linalg.inv(_affine()) @ [*world, 1.0])[:3]).astype(int))


def _affine() -> np.ndarray:
    """Return an oblique grid whose middle is the origin of the world."""
    affine = affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0]), (SPACING_MM,) * 3)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    return affine
