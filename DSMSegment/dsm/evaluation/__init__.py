"""How good the masks are, per case and with intervals."""
