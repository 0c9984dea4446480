"""`python -m paybridge.cli`."""

from __future__ import annotations

from paybridge.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
