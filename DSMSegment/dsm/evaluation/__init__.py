"""Accuracy of masks, per case and with confidence intervals."""
