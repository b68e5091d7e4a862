"""`dsm segment --server` with a series of the server's archive, which the server fetches, segments and stores."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.progress_bar import ProgressBar
from dsm.cli.segment_options import segment_options
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.precision import AUTO
from dsm.errors import InputError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.client.connection import Connection
    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult

_PERCENT = {"download": 30, "encode": 55, "text": 2, "decode": 13}

# Options that the server decides, or has no part in, and their defaults.
_OF_THIS_COMPUTER = {
    "model": DEFAULT_MODEL,
    "device": "cpu",
    "precision": AUTO,
    "seed": 0,
    "estimate": False,
    "token_file": None,
}
# Options of files that are read or written here.
_OF_FILES = dict.fromkeys(("output", "report", "probabilities", "uncertainty", "series", "modality", "orientation"))


def check_server_options(options: argparse.Namespace) -> None:
    """Check that no option is given that has no effect with a server.

    Raises:
        InputError: If there is one.
    """
    is_file = isinstance(options.input, Path)
    refused = _OF_THIS_COMPUTER if is_file else _OF_THIS_COMPUTER | _OF_FILES
    given = [name for name, default in refused.items() if getattr(options, name) != default]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        hint = "Leave it out." if is_file else "Leave it out; --send stores the result in the archive."
        raise InputError(f"{flags}: not with --server.", hint=hint)


def segment_in_archive(options: argparse.Namespace) -> int:
    """Let the server do it, and print the table; Ctrl+C stops the job.

    Raises:
        ConfigError: If there is no token.
        DSMError: As the server says.
    """
    from dsm.client.remote import Remote
    from dsm.text.clicked_prompts import with_clicks
    from dsm.text.prompt import parse_prompts
    from dsm.wire.codec import to_fields

    prompts = with_clicks(parse_prompts(options.prompt) if options.prompt or not options.clicks else [], options.clicks)
    body = {
        "address": str(options.input),
        "prompts": [to_fields(prompt) for prompt in prompts],
        "options": to_fields(segment_options(options)),
        "send": options.send,
    }
    connection = Remote.at(options.server, options.certificate, os.environ).connection()
    job = str(connection.call("POST", "/jobs", body=body)["job"])
    try:
        results, notes, stored = _followed(connection, job, prompts)
    finally:
        with suppress(RemoteError):  # else it expires there
            connection.call("DELETE", f"/jobs/{job}")
    from dsm.cli.segment import print_table

    for note in notes:
        print(f"note: {note}")
    print_table(results)
    if stored:
        print(f"stored at {stored}")
    return 0


def _followed(connection: Connection, job: str, prompts: Sequence[Prompt]) -> tuple[list[PromptResult], list[str], str]:
    """Wait for the end of a job; return its results, its notes, and the address of what was stored."""
    from dsm.core.error_codes import make_error

    results: dict[int, PromptResult] = {}
    notes: list[str] = []
    stored = ""
    with ProgressBar(_PERCENT) as progress:
        for event in connection.lines(f"/jobs/{job}/events"):
            kind = event["type"]
            if kind == "progress" and event["stage"] in _PERCENT:
                progress(event["stage"], event["done"], event["total"])
            elif kind == "result":
                results[event["prompt"]] = _result(event, prompts[event["prompt"]])
            elif kind == "note":
                notes.append(event["text"])
            elif kind == "stored":
                stored = event["address"]
            elif kind == "error":
                raise make_error(event["code"], event["text"], hint=event["hint"])
            elif kind == "done":
                return [results[number] for number in sorted(results)], notes, stored
    raise RemoteError("The stream of events ended too early.", code="remote.broken", hint="Try again.")


def _result(event: dict[str, Any], prompt: Prompt) -> PromptResult:
    """Return a result with its numbers; its voxels stay on the server."""
    from dsm.client.session import ResultFiles, prompt_result
    from dsm.wire.codec import from_fields
    from dsm.wire.messages import ResultMetadata

    numbers = from_fields(ResultMetadata, {**event, "size": [0, 0, 0]}, where="result")
    return prompt_result(numbers, ResultFiles(b"", b"", b""), prompt, (0, 0, 0))
