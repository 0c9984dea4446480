"""Keep in npm's lock file what `npm ci` needs: names, versions, hashes and dependencies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

UNNEEDED = ("deprecated", "engines", "funding", "license")


def main() -> None:
    """Rewrite the lock file that the command line names."""
    path = Path(sys.argv[1])
    lock = json.loads(path.read_text())
    for package in lock["packages"].values():
        for name in UNNEEDED:
            package.pop(name, None)
    path.write_text(json.dumps(lock, indent=2) + "\n")


if __name__ == "__main__":
    main()
