"""Messages between a client and a worker or server, and their encoding."""
