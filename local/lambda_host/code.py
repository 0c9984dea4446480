"""The code of the functions on disk, and what has changed in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.sam_template.definitions import FunctionDefinition

# The time of the last change in nanoseconds and the length of each file. An editor may keep either of them.
# The files are named by text, because making a path of each would take longer than the look itself.
Snapshot = Mapping[str, tuple[int, int]]

# Python writes these while the functions run.
_NO_CODE = ("__pycache__",)


def code_folders(function: FunctionDefinition) -> list[Path]:
    """Return the folders of a function's own code and of its layers.

    The functions of the template share a code folder, in which each has a package.
    """
    package = function.code_dir / function.handler.partition(".")[0]
    return [package if package.is_dir() else function.code_dir, *function.layer_dirs]


def snapshot(folders: Iterable[Path]) -> Snapshot:
    """Return the state of every file in the folders. A file may be given in place of a folder."""
    files: dict[str, tuple[int, int]] = {}
    for folder in sorted(set(folders)):
        if folder.is_file():
            stat = folder.stat()
            files[str(folder)] = stat.st_mtime_ns, stat.st_size
        else:
            _add(str(folder), files)
    return files


def _add(folder: str, files: dict[str, tuple[int, int]]) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _NO_CODE:
                    continue
                if entry.is_dir():
                    _add(entry.path, files)
                else:
                    stat = entry.stat()
                    files[entry.path] = stat.st_mtime_ns, stat.st_size
    except FileNotFoundError:
        # An editor or git replaces files and folders while this looks.
        return


def changed_files(before: Snapshot, after: Snapshot) -> set[Path]:
    """Return the files that are new, gone or different."""
    return {Path(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
