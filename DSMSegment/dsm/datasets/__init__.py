"""Import of public data sets into our manifest, and checks of a manifest."""
