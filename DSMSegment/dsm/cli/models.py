"""`dsm models`: list, verify, install, remove and pack models."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsm.cli.output_check import check_output
from dsm.cli.progress_bar import ProgressBar
from dsm.cli.question import is_confirmed
from dsm.errors import JobCancelled
from dsm.models.card import licence_of
from dsm.models.store import find_model, list_models, model_dirs, model_entry, verify_model

_INSTALL_PERCENT = {"download": 90, "check": 5, "write": 5}


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    parser = subparsers.add_parser("models", help="list, install, remove or verify models")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list", parents=parents, epilog="Example: dsm models list", help="list the installed models"
    )
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=run_list)
    verify = actions.add_parser(
        "verify",
        parents=parents,
        epilog="Example: dsm models verify dsm-small",
        help="check every file of a model by its SHA-256",
    )
    verify.add_argument("model", nargs="?", metavar="MODEL", help="name or folder; by default all that are installed")
    verify.set_defaults(run=run_verify)
    path = actions.add_parser(
        "path",
        parents=parents,
        epilog="Example: dsm models path",
        help="print the folder of a model, or those that are searched",
    )
    path.add_argument("model", nargs="?", metavar="MODEL", help="name or folder")
    path.set_defaults(run=run_path)
    install = actions.add_parser(
        "install",
        parents=parents,
        epilog="Example: dsm models install model.zip",
        help="install a model from a folder, a .zip file or a URL",
    )
    install.add_argument("source", metavar="FOLDER|FILE|URL", help="https:// and file:// addresses of a .zip file")
    install.add_argument("--sha256", metavar="HEX", help="expected hash of the archive (or `#sha256=HEX` in the URL)")
    install.add_argument("--name", help="name to install it under; by default that of its folder")
    install.add_argument("--into", metavar="DIR", type=Path, help="folder for it (default: see `dsm models path`)")
    install.add_argument("-y", "--yes", action="store_true", help="accept the licence without being asked")
    install.set_defaults(run=run_install)
    remove = actions.add_parser(
        "remove", parents=parents, epilog="Example: dsm models remove NAME", help="delete a model that was installed"
    )
    remove.add_argument("model", metavar="NAME", help="of an installed model")
    remove.add_argument("--into", metavar="DIR", type=Path, help="folder that it was installed into")
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask")
    remove.set_defaults(run=run_remove)
    pack = actions.add_parser(
        "pack",
        parents=parents,
        epilog="Example: dsm models pack dsm-small --output dsm-small.zip",
        help="write a model as one .zip file and print its SHA-256",
    )
    pack.add_argument("model", metavar="MODEL", help="name or folder")
    pack.add_argument("-o", "--output", metavar="FILE.zip", type=Path, required=True, help="archive to write")
    pack.set_defaults(run=run_pack)


def run_list(options: argparse.Namespace) -> int:
    """Print name, size and folder of each model."""
    found = list_models()
    if options.json:
        rows = [{**asdict(entry), "path": str(entry.path), "licence": licence_of(entry.path)} for entry in found]
        print(json.dumps(rows, indent=1))
        return 0
    for entry in found:
        clicks = "clicks" if entry.has_clicks else "no clicks"
        print(f"{entry.name}\t{entry.num_bytes / 1e6:.1f} MB\t{clicks}\t{entry.path}")
    if not found:
        print(f"No model is installed in {', '.join(map(str, model_dirs()))}.")
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Verify one model or all; the first that is damaged ends it."""
    folders = [find_model(options.model)] if options.model else [entry.path for entry in list_models()]
    for folder in folders:
        entry = verify_model(folder)
        print(f"{entry.name}\tok\t{entry.digest}")
    if not folders:
        print(f"No model is installed in {', '.join(map(str, model_dirs()))}.")
    return 0


def run_path(options: argparse.Namespace) -> int:
    """Print a folder, or the folders that are searched."""
    for folder in [find_model(options.model)] if options.model else model_dirs():
        print(folder.resolve())
    return 0


def run_install(options: argparse.Namespace) -> int:
    """Install a model after showing the licence of its weights."""
    from dsm.models.library import ModelLibrary

    library = ModelLibrary(options.into)
    with ProgressBar(_INSTALL_PERCENT) as bar:
        entry = library.install(
            options.source,
            name=options.name,
            sha256=options.sha256,
            accept=_accepted if options.yes else _accept,
            progress=bar,
        )
    print(f"{entry.name}\t{entry.num_bytes / 1e6:.1f} MB\t{entry.path}")
    return 0


def run_remove(options: argparse.Namespace) -> int:
    """Remove an installed model; one that came with the program stays."""
    from dsm.models.library import ModelLibrary

    library = ModelLibrary(options.into)
    installed = library.folder / options.model
    entry = model_entry(installed if installed.is_dir() else find_model(options.model))
    if not library.is_removable(entry) or options.yes or is_confirmed(f"Delete {entry.path}?"):
        library.remove(entry)
        print(f"{entry.name} was removed.")
        return 0
    raise JobCancelled(f"{entry.name} was not removed.")


def run_pack(options: argparse.Namespace) -> int:
    """Write the archive of a model."""
    from dsm.models.archive import pack_model

    check_output(options.output, suffixes=(".zip",))
    digest = pack_model(find_model(options.model), options.output)
    print(f"{digest}  {options.output}")
    return 0


def _accepted(name: str, licence: str) -> bool:
    print(_licence_text(name, licence), file=sys.stderr)
    return True


def _accept(name: str, licence: str) -> bool:
    print(_licence_text(name, licence), file=sys.stderr)
    return is_confirmed("Do you accept?")


def _licence_text(name: str, licence: str) -> str:
    return f"Weights of {name}: {licence or 'see their model card'}. For research use only, not a medical device."
