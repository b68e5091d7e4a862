"""HTTP server of the worker's messages, for several users of one machine: `dsm serve`."""
