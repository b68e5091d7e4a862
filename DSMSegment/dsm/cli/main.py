"""Command line entry point: parse arguments, run one command, map errors to one line and an exit code."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from dsm._version import __version__
from dsm.errors import DSMError, JobCancelled

# Modules of `dsm.cli`, each with `add_parser(subparsers, parents)`; none imports more than the standard library before
# it runs.
_COMMANDS = (
    "segment",
    "batch",
    "dicomweb",
    "serve",
    "info",
    "vocabulary",
    "models",
    "evaluate",
    "data",
    "train",
    "bench",
    "web",
    "completion",
    "worker",
)

EXIT_UNEXPECTED = 1
EXIT_EXPECTED = 2
EXIT_CANCELLED = 130  # as shells report a program that Ctrl+C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `dsm`.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        Exit code: 0, 1 for an unexpected error, 2 for one that the user can do something about, 130 for Ctrl+C.
    """
    # Before torch is loaded. Its threads would wait for each other at full speed: beside other programs, an encoding
    # took four times as many CPU seconds, and four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: not every encoding has every name and dash
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser(arguments[0] if arguments else None).parse_args(arguments)
    debug = bool(options.debug)
    level = logging.DEBUG if debug else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        with warnings.catch_warnings(), _terminated_as_interrupted():
            if not debug:
                warnings.simplefilter("ignore")
            code = int(options.run(options))
            sys.stdout.flush()
            return code
    except (KeyboardInterrupt, JobCancelled):
        return _fail("cancelled; no file was left half-written.", EXIT_CANCELLED, debug=debug)
    except DSMError as error:
        return _fail(error.one_line, EXIT_EXPECTED, debug=debug)
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough.
        _discard_output()
        return EXIT_UNEXPECTED
    except Exception as error:
        return _fail(*_explain(error), debug=debug)


def _explain(error: Exception) -> tuple[str, int]:
    """Return what to say of an error that no command has foreseen, and the exit code."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _discard_output()
        return (
            "no space is left where the output goes, or for temporary files. Free some, and try again.",
            EXIT_EXPECTED,
        )
    if isinstance(error, (ImportError, OSError)):
        from dsm.worker.error_mapping import error_message

        known = error_message(error, "")
        if known.code == "import_failed":
            return f"{known.text} {known.hint}", EXIT_EXPECTED
    what = f"unexpected error: {type(error).__name__}: {error} Please report it with the output of --debug."
    return what, EXIT_UNEXPECTED


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of one command, as importing all of them takes longer than running most; else of all."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show logs, and the traceback of an error")
    parser = _Parser(
        prog="dsm", description="Text-prompted segmentation of CT and MR volumes. Research use, not a medical device."
    )
    parser.add_argument("--version", action="version", version=f"dsm {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    for name in (command,) if command in _COMMANDS else _COMMANDS:
        importlib.import_module(f"dsm.cli.{name}").add_parser(subparsers, [common])
    return parser


class _Formatter(argparse.HelpFormatter):
    """Help whose example stays on one line, to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("Example: "):
            return text.replace(" ", "\n  ", 1)
        return super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Argument parser that reports errors in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Formatter, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_EXPECTED, f"{self.prog}: {message} See `{self.prog} --help`.\n")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM (a batch system, `timeout`) end the program as Ctrl+C does: what was begun is removed."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Drop what is not written yet: Python would fail once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print("dsm:", " ".join(message.split()), file=sys.stderr)
    return code
