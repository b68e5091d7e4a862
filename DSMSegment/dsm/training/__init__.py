"""Data sets with partial labels, losses, the loop, recipes."""
