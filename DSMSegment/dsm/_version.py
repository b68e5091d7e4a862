"""The version, in one place: packaging, the extension files and the run reports read it."""

__version__ = "0.2.0"
