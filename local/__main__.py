"""`python -m local COMMAND`; `make help` lists the commands under their usual names."""

from __future__ import annotations

import sys

from local.settings import PYTHON_PATH

# The application is a layer and some functions, not an installed package; it is found as Lambda finds it.
sys.path[:0] = [str(folder) for folder in PYTHON_PATH]

if __name__ == "__main__":
    from local.commands.cli import main

    raise SystemExit(main())
