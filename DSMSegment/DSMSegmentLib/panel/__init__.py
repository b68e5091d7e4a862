"""Module panel, section by section."""
