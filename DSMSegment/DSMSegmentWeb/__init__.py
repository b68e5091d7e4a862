"""The workflow of the panel in a browser: text prompts on real MRML, with trame-slicer, without the Slicer application.

Runs, writing, terminology and undo are `DSMSegmentLib`'s; the network runs in the worker process. One server has one
scene, and belongs to one person: every browser window that it lets in shows the same scene.
"""
