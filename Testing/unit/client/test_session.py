"""Requests and results of a client session, against an in-memory client."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsm.client.cancel_token import CancelToken
from dsm.client.jobs import JobClient
from dsm.client.session import ClientSession
from dsm.core.boxes import Box
from dsm.core.click import Click
from dsm.core.name_status import NameKind, NameStatus, ResultSource
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import JobCancelled, ServerError
from dsm.text.prompt import parse_prompts
from dsm.wire.arrays import npy_parts, pack_mask
from dsm.wire.messages import Done, Error, Load, Progress, Release, Request, Result, Segment, SetVolume

SHAPE = (6, 5, 4)


class MemoryClient(JobClient):
    """Knows volumes by key, and finds one voxel for each prompt, the last prompt first."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.kept: dict[str, bool] = {}  # whether encoded
        self.arrays: dict[str, np.ndarray] = {}
        self.files: dict[str, bytes] = {}
        self.num_put = 0

    @property
    def alive(self) -> bool:
        return True

    def put(self, array: np.ndarray) -> str:
        name = self.new_file(".npy")
        self.arrays[name] = array
        self.num_put += 1
        return name

    def drop(self, name: str) -> None:
        del self.arrays[name]

    def take(self, name: str) -> bytes:
        return self.files.pop(name)

    def cancel(self, job_id: str, *, grace_s: float = 2.0) -> None:
        self._note(Error(id=job_id, code="cancelled", text="The job was cancelled."))

    def close(self) -> None:
        """Nothing to give back."""

    def submit(self, request: Request) -> str:
        self.requests.append(request)
        self._open_jobs.add(request.id)
        cached = False
        if isinstance(request, SetVolume) and not request.array and request.key not in self.kept:
            self._note(Error(id=request.id, code="no_volume", text="Send it."))
        elif isinstance(request, SetVolume):
            assert not request.array or request.array in self.arrays
            cached = self.kept.get(request.key, False)
            self.kept[request.key] = cached or request.encode
        elif isinstance(request, Segment):
            self._find(request)
        elif isinstance(request, Release):
            self.kept.pop(request.volume_key, None)
        self._note(Progress(id=request.id, stage="decode", done=1, total=1))
        self._note(Done(id=request.id, seconds=0.0, device="memory", cached=cached))
        return request.id

    def _find(self, request: Segment) -> None:
        for number, item in reversed(list(enumerate(request.prompts))):
            self.files[item.file] = pack_mask(np.ones((1, 1, 1), np.uint8))
            map_file = f"{item.file}.map" if request.options.probabilities else ""
            if map_file:
                self.files[map_file] = b"".join(npy_parts(np.full((1, 1, 1), 0.5, np.float16)))
            self._note(
                Result(
                    id=request.id,
                    prompt_id=item.id,
                    name=item.prompt.name,
                    kind=item.prompt.kind,
                    file=item.file,
                    offset_ijk=(number, 1, 2),
                    size=(1, 1, 1),
                    voxels=1,
                    volume_mm3=2000.0,
                    score=0.75 if number else None,
                    found=True,
                    threshold=request.options.threshold,
                    probability_file=map_file,
                    probability_offset_ijk=(number, 1, 2),
                    name_status=NameStatus(NameKind.UNKNOWN, near=("liver",), code="name.unknown", text="Not known."),
                    guess=number == 0,
                )
            )


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def volume(value: int = 0, modality: str = "CT") -> Volume:
    return Volume(np.full(SHAPE, value, np.int16), np.eye(4), modality=modality)


def test_results_are_in_prompt_order_and_callbacks_in_arrival_order(client: MemoryClient) -> None:
    prompts = parse_prompts("kidneys; liver")
    arrived: list[str] = []
    scan = ClientSession(client).encode(volume())
    options = SegmentOptions(threshold=0.25, probabilities=True)
    results = scan.segment(prompts, options, on_result=lambda result: arrived.append(result.prompt.name))
    assert [result.prompt for result in results] == prompts
    assert arrived == ["liver", "right kidney", "left kidney"]
    assert results[1].full_mask()[1, 1, 2] == results[1].full_mask().sum() == 1
    assert (results[1].volume_ml, results[1].score, results[1].threshold) == (2.0, 0.75, 0.25)
    assert results[1].probability is not None
    assert results[1].probability.paste_into(SHAPE)[1, 1, 2] == 0.5
    assert results[1].uncertainty is None
    assert client.files == {}, "what was taken is gone"


def test_guess_has_no_score_and_keeps_its_name_status(client: MemoryClient) -> None:
    guess, other = ClientSession(client).encode(volume()).segment(parse_prompts("heart; spleen"))
    assert (guess.guess, guess.score) == (True, None)
    assert (other.guess, other.score) == (False, 0.75)
    assert guess.name_status is not None
    assert (guess.name_status.kind, guess.name_status.near) == (NameKind.UNKNOWN, ("liver",))


def test_cancelled_run_sends_no_request(client: MemoryClient) -> None:
    cancel = CancelToken()
    cancel.request()
    with pytest.raises(JobCancelled):
        ClientSession(client, cancel=cancel).load("dsm-small")
    assert client.requests == []


def test_voxels_are_sent_once_and_again_after_release(client: MemoryClient) -> None:
    session = ClientSession(client)
    first, second = session.encode(volume()), session.encode(volume())
    assert first.key == second.key
    assert client.num_put == 1
    session.encode(volume(1))
    assert client.num_put == 2
    first.release()
    session.encode(volume())
    assert client.num_put == 3
    assert client.arrays == {}, "nothing stays behind once it is encoded"


def test_region_is_encoded_alone_unless_the_whole_volume_is_encoded(client: MemoryClient) -> None:
    session, region = ClientSession(client), Box((1, 1, 1), (3, 3, 3))
    part = session.encode(volume(), region=region)
    assert session.encode(volume(), region=region).key == part.key
    assert client.num_put == 1
    whole = session.encode(volume())
    assert session.encode(volume(), region=region).key == whole.key != part.key
    assert client.num_put == 2
    of_mr = session.encode(volume(modality="MR"), region=region)
    assert session.encode(volume(modality="MR")).key == of_mr.key, "an MR image is encoded whole"


def test_clicks_only_send_the_volume_once_without_encoding(client: MemoryClient) -> None:
    session = ClientSession(client)
    clicked = [replace(parse_prompts("schwannoma")[0], clicks=(Click((1, 1, 1)),))]
    scan = session.prepare(volume(), clicked)
    assert client.kept == {scan.key: False}
    (result,) = scan.segment(clicked)
    assert (result.prompt, result.source) == (clicked[0], ResultSource.CLICK)
    assert session.prepare(volume(), [*clicked, *parse_prompts("liver")]).key == scan.key
    assert client.kept == {scan.key: False}, "the names may be another model's"
    assert session.encode(volume()).key == scan.key
    assert client.kept == {scan.key: True}
    assert session.open(volume()).key == scan.key
    assert client.num_put == 1


def test_prompts_encode_a_region_only(client: MemoryClient) -> None:
    session, region, names = ClientSession(client), Box((1, 1, 1), (3, 3, 3)), parse_prompts("liver")
    whole = session.open(volume())
    part = session.prepare(volume(), names, region=region)
    assert client.kept == {whole.key: False, part.key: False}
    sent = [request for request in client.requests if isinstance(request, SetVolume) and request.array]
    assert [request.region for request in sent] == [None, region]
    session.encode(volume())
    assert session.prepare(volume(), names, region=region).key == whole.key, "its encoding serves the region"


def test_clicks_reuse_the_encoding_of_a_region(client: MemoryClient) -> None:
    session, region = ClientSession(client), Box((1, 1, 1), (3, 3, 3))
    part = session.encode(volume(), region=region)
    assert session.open(volume(), region=region).key == part.key
    assert client.num_put == 1


def test_region_is_encoded_after_clicks_in_the_volume(client: MemoryClient) -> None:
    session, region = ClientSession(client), Box((1, 1, 1), (3, 3, 3))
    whole = session.open(volume())
    part = session.encode(volume(), region=region)
    assert client.kept == {whole.key: False, part.key: True}


def test_load_returns_the_device(client: MemoryClient) -> None:
    assert ClientSession(client).load("dsm-small", device="cuda", sha256="ab").device == "memory"
    assert client.requests == [Load(id="job-1", model="dsm-small", device="cuda", sha256="ab")]


def test_progress_is_reported_and_cancel_stops_the_next_request(client: MemoryClient) -> None:
    seen: list[str] = []
    cancel = CancelToken()
    session = ClientSession(client, on_progress=lambda progress: seen.append(progress.stage), cancel=cancel)
    scan = session.encode(volume())
    assert "decode" in seen
    cancel.request()
    client._open_jobs.clear()
    with pytest.raises(JobCancelled):
        _run_open(scan.session)


def _run_open(session: ClientSession) -> None:
    """A request that nobody answers: only the cancel ends it."""
    client = session.client
    assert isinstance(client, MemoryClient)
    client.submit = lambda request: client._open_jobs.add(request.id) or request.id  # type: ignore[method-assign,func-returns-value]
    session.load("dsm-small")


def test_worker_errors_are_raised(client: MemoryClient) -> None:
    def refuse(request: Request) -> str:
        client._open_jobs.add(request.id)
        client._note(Error(id=request.id, code="quota", text="Too many volumes."))
        return request.id

    client.submit = refuse  # type: ignore[method-assign]
    with pytest.raises(ServerError) as caught:
        ClientSession(client).encode(volume())
    assert caught.value.code == "quota"
