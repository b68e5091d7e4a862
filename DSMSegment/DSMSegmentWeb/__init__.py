"""Browser version of the panel: text prompts on MRML with trame-slicer, without the Slicer application.

Runs, writing, terminology and undo are `DSMSegmentLib`'s; the network runs in the worker process. `serve.py` starts the
server; its gate lets browsers in, and gives each a scene in a process of its own (docs/adr/0020).
"""
