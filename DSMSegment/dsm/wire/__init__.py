"""Messages between a client and a worker or server, and how they are written."""
