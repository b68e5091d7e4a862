"""`dsm models`: which models are installed, whether they are whole, and where."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from dsm.models.store import find_model, list_models, model_dirs, verify_model


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command and its three actions."""
    parser = subparsers.add_parser("models", help="list, verify or locate installed models")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=parents, help="list the installed models")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=run_list)
    verify = actions.add_parser("verify", parents=parents, help="check every file of a model by its SHA-256")
    verify.add_argument("model", nargs="?", metavar="MODEL", help="name or folder; by default all that are installed")
    verify.set_defaults(run=run_verify)
    path = actions.add_parser("path", parents=parents, help="print the folder of a model, or those that are searched")
    path.add_argument("model", nargs="?", metavar="MODEL", help="name or folder")
    path.set_defaults(run=run_path)


def run_list(options: argparse.Namespace) -> int:
    """Print name, size and folder of each model."""
    found = list_models()
    if options.json:
        print(json.dumps([{**asdict(entry), "path": str(entry.path)} for entry in found], indent=1))
        return 0
    for entry in found:
        print(f"{entry.name}\t{entry.num_bytes / 1e6:.1f} MB\t{entry.path}")
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
