"""Cost of the engine, measured beside other networks in the same run."""
