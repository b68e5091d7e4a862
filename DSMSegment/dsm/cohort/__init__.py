"""Many scans at a time: find them, segment them in worker processes, write files and a table; resume after a kill."""
