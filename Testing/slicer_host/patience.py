"""Limit of all waiting for an event: far above what a busy machine takes, and below the limit of pytest for a test.

It ends a test that would wait for ever, with a message; that something is fast is measured elsewhere.
"""

PATIENCE_S = 240.0
