"""`dsm completion`: completion of commands, options and files in bash and zsh."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsm.cli.output_check import require_package

SHELLS = ("bash", "zsh")

_INSTALL = "Example: dsm completion bash > ~/.local/share/bash-completion/completions/dsm"


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        parents=parents,
        help="print the completion script of a shell",
        description="Print a script that completes commands, options and files of `dsm`. bash reads it from the folder "
        "of the example; zsh from a file _dsm in a folder of $fpath.",
        epilog=_INSTALL,
    )
    parser.add_argument("shell", choices=SHELLS, help="whose script")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    require_package("shtab", extra="cli")
    import shtab

    from dsm.cli.main import build_parser

    parser = build_parser()
    _complete_paths(parser)
    print(shtab.complete(parser, options.shell))
    return 0


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Let every argument that is a path complete to files, or to folders where it is one."""
    import shtab

    from dsm.cli.dicomweb_arguments import scan_source

    for action in parser._actions:  # noqa: SLF001  (argparse has no other way to list them)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                _complete_paths(command)
        elif action.type in (Path, scan_source):
            is_folder = isinstance(action.metavar, str) and "DIR" in action.metavar
            action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]
