"""The module's panel, section by section."""
