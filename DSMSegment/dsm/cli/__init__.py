"""The command line `dsm`: one module per command."""
