"""Check a notebook and run its code: `python -P run_notebook.py NOTEBOOK`, with requirements/notebook.lock.

It runs without a kernel, because the cells use none of its features. What the last cell leaves in `monthly` is printed
as JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import nbformat  # type: ignore[import-not-found]


def main(path: str) -> None:
    """Run every code cell in one namespace, as a kernel does. Raises what nbformat or a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], "the notebook is stored without outputs"
            exec(compile(cell.source, cell.id, "exec"), names)  # noqa: S102 -- it is ours.
    monthly = names["monthly"].reset_index()
    monthly["day"] = monthly["day"].astype(str)
    sys.stdout.write(monthly.to_json(orient="records", default_handler=str))


main(sys.argv[1])
