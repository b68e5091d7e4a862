"""Browser version of the panel: text prompts on MRML with trame-slicer, without the Slicer application.

Runs, writing, terminology and undo are `DSMSegmentLib`'s; the network runs in the worker process. `serve.py` starts the
server; its session proxy authenticates browsers and gives each a scene in its own process (docs/adr/0020).
"""
