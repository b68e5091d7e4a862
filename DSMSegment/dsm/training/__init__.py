"""Training: partially labelled data sets, losses, loop, recipes."""
