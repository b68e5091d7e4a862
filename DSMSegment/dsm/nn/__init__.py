"""Modules named for the blocks of DSM (Wu et al., arXiv 2506.12747)."""
