"""The command `dsm`: `python -m dsm`, or `python PATH/dsm/__main__.py` where another `dsm` may come first."""

import sys
from pathlib import Path

if not __package__:  # run as a file: the package beside it, whatever PYTHONPATH says
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dsm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
