"""Round trip of messages, and refusal of invalid ones."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsm.core.boxes import Box
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.errors import InputError, ProtocolError
from dsm.wire import messages
from dsm.wire.messages import (
    HOST_TYPES,
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    WORKER_TYPES,
    Cancel,
    Hello,
    Message,
    Progress,
    PromptItem,
    Ready,
    Segment,
    SetVolume,
    decode_event,
    decode_request,
    encode_message,
    job_id_of,
)

AFFINE = ((1.0, 0.0, 0.0, -5.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 2.5, 7.0), (0.0, 0.0, 0.0, 1.0))

_CORNERS = st.tuples(*3 * [st.integers(-999, 999)])
_SIZES = st.tuples(*3 * [st.integers(0, 999)])
# from_type builds every message from its annotations, so a new field is covered without being named here. Lone
# surrogates are left out: they are no text. Floats are finite in JSON.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
_MM = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(Click, st.builds(Click, st.tuples(_MM, _MM, _MM), st.booleans()))
st.register_type_strategy(Box, st.builds(lambda corner, size: Box(corner, corner).grow(size), _CORNERS, _SIZES))
st.register_type_strategy(
    SegmentOptions, st.builds(SegmentOptions, threshold=st.floats(0.01, 0.99), region=st.none() | st.from_type(Box))
)


# Generators of nested JSON warm up for seconds on a busy machine; that says nothing about the code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def any_message(types: dict[str, type[Any]]) -> st.SearchStrategy[Any]:
    return st.one_of([st.from_type(cls) for cls in types.values()])


@patient
@given(any_message({**HOST_TYPES}))
def test_request_round_trip(message: Any) -> None:
    assert decode_request(encode_message(message)) == message


@patient
@given(any_message({**WORKER_TYPES}))
def test_event_round_trip(message: Any) -> None:
    assert decode_event(encode_message(message)) == message


@patient
@given(any_message({**HOST_TYPES, **WORKER_TYPES}))
def test_a_message_is_one_ascii_line_with_type_and_version(message: Message) -> None:
    line = encode_message(message)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    parsed = json.loads(line)
    assert parsed["protocol"] == PROTOCOL_VERSION
    assert parsed["type"] in {**HOST_TYPES, **WORKER_TYPES}


@patient
@given(st.binary(max_size=200))
def test_random_bytes_never_crash(line: bytes) -> None:
    for decode in (decode_request, decode_event):
        try:
            decode(line)
        except (ProtocolError, InputError) as error:
            assert error.code
    assert isinstance(job_id_of(line), str)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
field_names = sorted({field.name for cls in HOST_TYPES.values() for field in fields(cls)})


@patient
@given(st.sampled_from(sorted(HOST_TYPES)), st.dictionaries(st.sampled_from(field_names), json_values))
def test_arbitrary_json_in_the_fields_never_crashes(name: str, values: dict[str, Any]) -> None:
    line = json.dumps({"type": name, **values}).encode()
    try:
        message = decode_request(line)
    except (ProtocolError, InputError):
        return
    assert decode_request(encode_message(message)) == message


@patient
@given(any_message({**HOST_TYPES}), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_never_crashes(message: Any, place: int, flip: int) -> None:
    line = bytearray(encode_message(message))
    line[place % len(line)] ^= flip
    with contextlib.suppress(ProtocolError, InputError):
        decode_request(bytes(line))


def test_unknown_fields_are_ignored() -> None:
    line = b'{"type":"cancel","id":"7","urgency":3,"protocol":%d}' % PROTOCOL_VERSION
    assert decode_request(line) == Cancel(id="7")


def test_line_without_a_version_is_accepted() -> None:
    assert decode_request(b'{"type":"hello","folder":"/data/x"}') == Hello(folder="/data/x")


_SEGMENT = b'{"type":"segment","id":"7","volume_key":"v","prompts":[],"options":'


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"type":"dance","id":"7"}', "unsupported"),
        (b'{"type":"ready","id":"7"}', "unsupported"),
        (b'{"type":"cancel","id":"7","protocol":1}', "unsupported"),
        (b'{"type":"cancel","id":"7","protocol":"x"}', "unsupported"),
        (b'{"id":"7"}', "protocol"),
        (b'{"type":["cancel"],"id":"7"}', "protocol"),
        (b'{"type":"cancel"}', "protocol"),
        (b'{"type":"cancel","id":7}', "protocol"),
        (b'{"type":"cancel","id":null}', "protocol"),
        (b'{"type":"cancel","id":"' + 129 * b"x" + b'"}', "protocol"),
        (b'{"type":"segment","id":"7","volume_key":"v","prompts":"liver"}', "protocol"),
        (b'{"type":"segment","id":"7","volume_key":"v","prompts":["liver"]}', "protocol"),
        (b'{"type":"segment","id":"7","volume_key":"v","prompts":[],"options":{"threshold":true}}', "protocol"),
        (b'{"type":"segment","id":"7","volume_key":"v","prompts":[],"options":{"threshold":NaN}}', "protocol"),
        (b'{"type":"segment","id":"7","volume_key":"v","prompts":[],"options":{"threshold":1e999}}', "protocol"),
        (_SEGMENT + b'{"region":{"start":[0,0,0],"stop":[1,1]}}}', "protocol"),
        (_SEGMENT + b'{"region":{"start":[0,0,0],"stop":[1,1,1.5]}}}', "protocol"),
        (_SEGMENT + b'{"postprocess":1}}', "protocol"),
        (b'{"type":"set_volume","id":"7","key":"v","array":"a.npy","affine":[[1,0,0,0]]}', "protocol"),
        (b"[1,2]", "protocol"),
        (b"null", "protocol"),
        (b"", "protocol"),
        (b"not json", "protocol"),
        (b"\xff\xfe\x00", "protocol"),
        (b"[" * 100_000, "protocol"),
        (b'{"type":"cancel","id":"7","n":' + 5000 * b"9" + b"}", "protocol"),
        (b" " * (MAX_LINE_BYTES + 1), "protocol.too_long"),
    ],
)
def test_bad_line_is_refused_with_a_code(line: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(line)
    assert caught.value.code == code
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (b'{"threshold":2.0}', "input.threshold"),
        (b'{"threshold":0}', "input.threshold"),
        (b'{"region":{"start":[5,5,5],"stop":[0,0,0]}}', "input.box"),
    ],
)
def test_invalid_options_are_refused_when_decoded(options: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_request(_SEGMENT + options + b"}")
    assert caught.value.code == code


def test_error_names_the_invalid_field() -> None:
    line = b'{"type":"segment","id":"7","volume_key":"v","prompts":[{"id":3,"prompt":{},"file":"m"}]}'
    with pytest.raises(ProtocolError, match=r"segment\.prompts\[0\]\.id must be text, not int"):
        decode_request(line)


def test_integers_are_accepted_as_floats() -> None:
    line = (
        b'{"type":"set_volume","id":"1","key":"k","array":"a.npy",'
        b'"affine":[[1,0,0,-5],[0,1,0,0],[0,0,2.5,7],[0,0,0,1]]}'
    )
    assert decode_request(line) == SetVolume(id="1", key="k", array="a.npy", affine=AFFINE)


def test_two_hundred_prompts_of_four_kilobytes_fit_in_a_line() -> None:
    words = 1365 * "肝"  # 3 bytes each in UTF-8
    prompt = Prompt(words, words[:300], "organ", None, (words[:300],))
    items = tuple(PromptItem(id=str(n), prompt=prompt, file=f"m{n}") for n in range(200))
    request = Segment(id="1", volume_key="v", prompts=items)
    assert decode_request(encode_message(request)) == request


def test_too_long_message_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        encode_message(Hello(folder="x" * MAX_LINE_BYTES))
    assert caught.value.code == "protocol.too_long"


def test_non_finite_number_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not finite"):
        encode_message(Progress(id="1", stage="encode", done=0, total=1, eta=float("nan")))


def test_job_id_of_an_invalid_line() -> None:
    assert job_id_of(b'{"type":"segment","id":"job-4","prompts":5}') == "job-4"
    assert job_id_of(b'{"type":"segment","id":["job-4"]}') == ""
    assert job_id_of(b"\x00") == ""


def test_ready_message_contains_the_protocol_version() -> None:
    ready = Ready(pid=1, worker="0", python="3", torch="", devices=())
    assert json.loads(encode_message(ready))["protocol"] == messages.PROTOCOL_VERSION
