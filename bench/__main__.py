"""`python -m bench [MEASURE]`; usually run as `make bench` or `make bench ONLY=relay`."""

from __future__ import annotations

import sys

from local.settings import PYTHON_PATH

# The application is a layer and functions, not an installed package. `python -m local` does the same.
sys.path[:0] = [str(folder) for folder in PYTHON_PATH]

if __name__ == "__main__":
    from bench.cli import main

    raise SystemExit(main())
