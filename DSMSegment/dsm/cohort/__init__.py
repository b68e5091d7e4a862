"""Batch segmentation: find scans, segment them in worker processes, write files and a table; resumable."""
