"""Questions on the terminal."""

from __future__ import annotations

import sys

from dsm.errors import InputError


def is_confirmed(question: str) -> bool:
    """Ask a question on the terminal and return whether the answer is yes.

    Raises:
        InputError: If there is no terminal.
    """
    if not sys.stdin.isatty():
        raise InputError(f"There is no terminal to ask on: {question}", hint="Give --yes if you agree.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # standard output may go to a file
    try:
        answer = input("")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")
