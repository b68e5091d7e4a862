"""The worker's messages over HTTP, for several users of one machine: `dsm serve`."""
