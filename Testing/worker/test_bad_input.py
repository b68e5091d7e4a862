"""Bad input gets a code and a hint, and the next job works."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worker_host import AFFINE, SMALL, Host, Pipes, files, phantom

from dsm.errors import DSMError
from dsm.text.prompt import parse_prompts
from dsm.wire.arrays import write_array
from dsm.wire.codec import to_fields
from dsm.wire.messages import MAX_LINE_BYTES, Load, PromptItem, Segment

(LIVER,) = parse_prompts("liver")

pytestmark = pytest.mark.xdist_group("worker")  # one worker for all of them


def refused(host: Host, job: str) -> DSMError:
    """Wait for the job to fail, and see that the worker still works."""
    with pytest.raises(DSMError) as caught:
        host.wait(job, timeout_s=200)
    assert host.alive
    assert str(caught.value)
    return caught.value


def set_voxels(index: tuple[int, ...], value: float) -> np.ndarray:
    array = phantom(SMALL).astype(np.float32)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (set_voxels((3, 4, 5), np.nan), "input.not_finite"),
        (set_voxels((3, 4, 5), np.inf), "input.not_finite"),
        (np.zeros((4, 4), np.int16), "input.axes"),
        (np.zeros((4, 4, 4, 2), np.int16), "input.axes"),
        (np.zeros((8, 8, 1), np.int16), "input.slice"),
        (np.zeros((0, 8, 8), np.int16), "input.slice"),
        (np.zeros((4, 4, 4), np.complex64), "input.dtype"),
    ],
)
def test_array_that_is_not_a_volume(encoded: Host, array: np.ndarray, code: str) -> None:
    assert refused(encoded, encoded.set_volume(array)).code == code
    assert len(encoded.results(encoded.segment("liver"))) == 1


SHEARED = ((3.0, 2.0, 0.0, 0.0), *AFFINE[1:])
SINGULAR = ((0.0, 0.0, 0.0, 0.0), *AFFINE[1:])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"array": "missing.npy"}, "bad_image"),
        ({"array": "../outside.npy"}, "protocol.path"),
        ({"array": "/etc/passwd"}, "protocol.path"),
        ({"array": "..\\outside.npy"}, "protocol.path"),
        ({"array": "a\0.npy"}, "protocol.path"),
        ({"affine": SHEARED}, "geometry.sheared"),
        ({"affine": SINGULAR}, "geometry.singular"),
        ({"modality": "PET"}, "input.modality"),
    ],
)
def test_invalid_volume_message(encoded: Host, options: dict[str, Any], code: str) -> None:
    assert refused(encoded, encoded.set_volume(phantom(SMALL), **options)).code == code
    assert len(encoded.results(encoded.segment("liver"))) == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"\x93NUMPY\x01\x00v\x00{'descr': '<i2'}", bytes(range(256))],
    ids=["empty", "text", "cut off", "anything"],
)
def test_file_that_is_not_an_array(host: Host, data: bytes) -> None:
    (host.folder / "bad.npy").write_bytes(data)
    assert refused(host, host.set_volume(phantom(SMALL), array="bad.npy")).code == "bad_image"


@pytest.mark.parametrize(
    ("prompts", "options", "code"),
    [
        ([], {}, "prompt.empty"),
        (["liver"], {"key": "never sent"}, "no_volume"),
    ],
)
def test_invalid_segment_message(encoded: Host, prompts: list[str], options: dict[str, Any], code: str) -> None:
    assert refused(encoded, encoded.segment(*prompts, **options)).code == code
    assert len(encoded.results(encoded.segment("liver"))) == 1


@pytest.mark.parametrize("name", ["../m", "", "/m", "a/b"])
def test_result_files_outside_the_folder_are_refused(encoded: Host, name: str) -> None:
    item = PromptItem(id="p", prompt=LIVER, file=name)
    job = encoded.submit(Segment(id=encoded.new_id(), volume_key="volume", prompts=(item,)))
    assert refused(encoded, job).code in ("protocol.path", "protocol")
    assert not (encoded.folder.parent / "m").exists()


def test_two_prompts_may_not_share_a_file(encoded: Host) -> None:
    items = tuple(PromptItem(id=file, prompt=LIVER, file=file) for file in ("same", "Same"))
    job = encoded.submit(Segment(id=encoded.new_id(), volume_key="volume", prompts=items))
    assert refused(encoded, job).code == "protocol"


def test_unknown_model_keeps_the_loaded_one(encoded: Host) -> None:
    error = refused(encoded, encoded.load("dsm-nonexistent"))
    assert error.code == "no_model"
    assert error.hint
    assert len(encoded.results(encoded.segment("liver"))) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "text_bank.safetensors"])
def test_flipped_byte_in_the_model(encoded: Host, tiny_model: Path, tmp_path: Path, name: str) -> None:
    damaged = tmp_path / "dsm tiny, damaged"
    shutil.copytree(tiny_model, damaged)
    data = bytearray((damaged / name).read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / name).write_bytes(data)
    assert refused(encoded, encoded.load(damaged)).code == "bad_checksum"
    assert len(encoded.results(encoded.segment("liver"))) == 1


def test_model_with_an_unexpected_checksum_or_precision(encoded: Host, tiny_model: Path) -> None:
    assert refused(encoded, encoded.load(tiny_model, sha256="0" * 64)).code == "bad_checksum"
    assert refused(encoded, encoded.load(tiny_model, precision="int2")).code == "unsupported"


def test_unknown_device(host: Host, tiny_model: Path) -> None:
    error = refused(host, host.load(tiny_model, device="cuda:99"))
    assert error.code == "device"
    assert error.hint


GARBAGE = [
    (b"\x00\xff\xfe\x80" * 10 + b"\n", "protocol"),
    (b"hello?\n", "protocol"),
    (b"[]\n", "protocol"),
    (b'{"type":"segment","id":"x"}\n', "protocol"),
    (b'{"type":"segment","id":"x","volume_key":1,"prompts":{}}\n', "protocol"),
    (b'{"type":"dance","id":"x"}\n', "unsupported"),
    (b'{"type":"done","id":"x","seconds":1}\n', "unsupported"),
    (b'{"type":"hello","protocol":99,"folder":"/"}\n', "unsupported"),
    (b'{"type":"hello","folder":"relative"}\n', "protocol.path"),
    (b'{"type":"hello","folder":"/no/such/folder"}\n', "protocol.path"),
    (b'{"type":"hello","folder":"/a\\u0000b"}\n', "protocol.path"),
    (b"x" * (MAX_LINE_BYTES + 1000) + b"\n", "protocol.too_long"),
    (b"[" * 50_000 + b"\n", "protocol"),
]


def test_garbage_gets_an_error_and_the_next_job_works(tmp_path: Path) -> None:
    with Pipes() as pipes:
        pipes.send(type="release", id="before hello")
        assert pipes.receive()["code"] == "protocol"
        pipes.send(type="hello", folder=str(tmp_path))
        assert pipes.receive()["type"] == "ready"
        for number, (line, code) in enumerate(GARBAGE):
            pipes.write(line)
            answer = pipes.receive()
            assert (answer["type"], answer["code"]) == ("error", code), line[:60]
            assert len(answer["text"]) < 500
            pipes.send(type="release", id=str(number))
            assert pipes.receive()["type"] == "done"


def test_error_of_a_bad_message_has_its_job_id(host: Host, tiny_model: Path) -> None:
    job = host.submit(Load(id=host.new_id(), model="dsm-nonexistent"))
    assert refused(host, job).code == "no_model"
    with Pipes() as pipes:
        pipes.send(type="load", id="job-5", model=7)
        assert pipes.receive()["id"] == "job-5"


def test_flood_of_jobs_is_bounded_and_each_gets_a_response(tiny_model: Path, tmp_path: Path) -> None:
    with Pipes() as pipes:
        pipes.send(type="hello", folder=str(tmp_path))
        pipes.send(type="load", id="load", model=str(tiny_model))  # imports PyTorch: the others have to wait
        line = b'{"type":"segment","id":"%d","volume_key":"none","prompts":[]}\n'
        pipes.write(b"".join(line % number for number in range(1100)))
        answers: dict[str, str] = {}
        while len(answers) < 1101:
            message = pipes.receive(200)
            if message["type"] in ("done", "error"):
                answers[message["id"]] = message.get("code", "")
        assert answers["load"] == ""
        assert answers["0"] == "no_volume"
        assert answers["1099"] == "busy"


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_full_disk(encoded: Host) -> None:
    """The system refuses every byte over a limit, as a full disk would (the error is EFBIG in place of ENOSPC)."""
    import resource

    before = files(encoded)
    soft, hard = resource.prlimit(encoded.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(encoded.pid, resource.RLIMIT_FSIZE, (20, hard))
    try:
        error = refused(encoded, encoded.segment("liver", "spleen", threshold=0.2, maps=True))
    finally:
        resource.prlimit(encoded.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert error.code == "disk_full"
    assert error.hint
    assert files(encoded) == before, "nothing half-written"
    assert len(encoded.results(encoded.segment("liver", threshold=0.2, maps=True))) == 1


def test_folder_removed_by_the_host(tiny_model: Path, tmp_path: Path) -> None:
    with Pipes() as pipes:
        folder = tmp_path / "folder"
        folder.mkdir()
        pipes.send(type="hello", folder=str(folder))
        pipes.send(type="load", id="1", model=str(tiny_model))
        write_array(folder, "a.npy", phantom(SMALL))
        pipes.send(type="set_volume", id="2", key="v", array="a.npy", affine=AFFINE)
        assert pipes.receive_end("2")["type"] == "done"
        shutil.rmtree(folder)
        item = {"id": "p", "prompt": to_fields(LIVER), "file": "m"}
        pipes.send(type="segment", id="3", volume_key="v", prompts=[item], options={"probabilities": True})
        assert pipes.receive_end("3")["code"] == "output"
        pipes.send(type="release", id="4")
        assert pipes.receive_end("4")["type"] == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_out_of_memory(fresh_host: Host) -> None:
    """An array that does not fit is refused; the worker lives on."""
    import resource

    write_array(fresh_host.folder, "big.npy", np.zeros((256, 256, 1024), np.float32))
    used = int(Path(f"/proc/{fresh_host.pid}/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(fresh_host.pid, resource.RLIMIT_AS)
    resource.prlimit(fresh_host.pid, resource.RLIMIT_AS, (used + 100 * 2**20, hard))
    assert refused(fresh_host, fresh_host.set_volume(phantom(SMALL), array="big.npy")).code == "oom_ram"
    resource.prlimit(fresh_host.pid, resource.RLIMIT_AS, (hard, hard))
    fresh_host.wait(fresh_host.set_volume(phantom(SMALL)), timeout_s=200)
