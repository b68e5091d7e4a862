"""The command line as users see it: commands, help, exit codes."""

from __future__ import annotations

import argparse
import json
import shlex

import pytest

from dsm._version import __version__
from dsm.cli.main import build_parser, main

COMMANDS = {"segment", "batch", "serve", "info", "vocabulary", "models", "evaluate", "data", "train", "worker"}
COMMANDS |= {"bench", "completion", "web"}


def subparsers_of(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def test_commands_exist():
    assert subparsers_of(build_parser()).keys() >= COMMANDS


def test_every_argument_has_help():
    def check(parser):
        for action in parser._actions:
            assert isinstance(action, argparse._SubParsersAction) or action.help, (parser.prog, action.dest)
        for child in subparsers_of(parser).values():
            check(child)

    check(build_parser())


@pytest.mark.parametrize("command", [[], *[[name] for name in sorted(COMMANDS)], ["models", "verify"]])
def test_help_is_printed(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: dsm")


def commands_of(parser):
    below = subparsers_of(parser).values()
    return [command for child in below for command in commands_of(child)] if below else [parser]


def test_every_help_ends_with_an_example_that_is_a_command(capsys):
    for command in commands_of(build_parser()):
        if command.prog == "dsm worker":  # started by programs
            continue
        shown = command.format_help().splitlines()
        assert shown[-2] == "Example:", command.prog
        line = shown[-1].strip().partition(" > ")[0]  # whole, to be copied
        assert line.startswith(command.prog)
        build_parser().parse_args(shlex.split(line)[1:])


def test_results_are_named_by_one_option():
    for command in commands_of(build_parser()):
        flags = {flag for action in command._actions for flag in action.option_strings}
        assert ("-o" in flags) == ("--output" in flags), command.prog


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"dsm {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["segment"], ["models"], ["evaluate", "--unknown"]])
def test_wrong_arguments_give_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "--help" in captured.err


def test_info_is_json(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == __version__
    assert found["packages"]["torch"]
    assert isinstance(found["models"], list)
