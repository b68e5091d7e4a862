"""Segments, volumes and tags in the MRML scene."""
