"""`python -m bench [MEASURE]`; `make bench` and `make bench ONLY=relay` are the usual names."""

import sys

from local.settings import PYTHON_PATH

# As in `python -m local`: the application is a layer and some functions, not an installed package.
sys.path[:0] = [str(folder) for folder in PYTHON_PATH]

if __name__ == "__main__":
    from bench.cli import main

    raise SystemExit(main())
