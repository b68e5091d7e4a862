"""`python -m DSMSegmentWeb` is `dsm web`."""

import sys

from dsm.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["web", *sys.argv[1:]]))
