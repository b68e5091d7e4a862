"""The command `dsm`: one function a command."""
