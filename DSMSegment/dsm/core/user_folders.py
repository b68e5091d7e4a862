"""Folders of the user for this program, after the convention of the operating system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NAME = "dsmsegment"


def user_data_dir() -> Path:
    """Return the folder for what a user installs."""
    if sys.platform == "win32":
        return Path(_local_app_data(), _NAME)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share", _NAME)


def user_cache_dir() -> Path:
    """Return the folder for what can be made again at any time."""
    if sys.platform == "win32":
        return Path(_local_app_data(), _NAME, "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _NAME
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", _NAME)


def _local_app_data() -> str | Path:
    return os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
