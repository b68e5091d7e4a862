"""`python -m dsm`: the command `dsm`."""

import sys

from dsm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
