import shutil
import subprocess

import pytest

from dsm.cli.main import main

ASK = """
. ./script
complete() { :; }
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_dsm; echo "${COMPREPLY[*]}"; }
ask dsm seg; ask dsm dicomweb ''; ask dsm segment --pr; ask dsm vocabulary --kind ''
"""


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_script_is_valid_and_completes_arguments(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    assert subprocess.run([program, "-n", script], check=False).returncode == 0
    if shell == "bash":
        done = subprocess.run([program, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, check=True)
        commands, actions, flags, kinds = done.stdout.splitlines()
        assert commands == "segment"
        assert set(actions.split()) == {"find", "get", "send"}
        assert set(flags.split()) == {"--precision", "--probabilities", "--prompt"}
        assert kinds == "learned related unknown"
