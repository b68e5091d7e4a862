"""What the engine costs, measured beside other networks in the same run."""
