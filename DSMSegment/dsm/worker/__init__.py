"""The worker process: a session of volumes, encodings and prompts behind the wire."""
