"""Edited code reaches the running functions: their environments are replaced when a file changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

import orjson

from infra.sam_template.definitions import FunctionDefinition
from local.lambda_host.code import Snapshot, changed_files, code_folders, snapshot
from local.lambda_host.host import LambdaHost
from local.lambda_host.model import InvocationResult

logger = logging.getLogger(__name__)

# A look at all files takes a few milliseconds.
_LOOK_EVERY_SECONDS = 1.0
# An editor or git writes several files one after the other.
_QUIET_SECONDS = 0.3
_FILES_NAMED_MAX = 3


async def reload_edited_code(host: LambdaHost, functions: Iterable[FunctionDefinition]) -> None:
    """Watch the code of the functions, and replace the environments of those whose code changes, until cancelled."""
    template = host.template.path
    folders = {template, *(folder for function in functions for folder in code_folders(function))}
    seen = await asyncio.to_thread(snapshot, folders)
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        present = await asyncio.to_thread(snapshot, folders)
        if present == seen:
            continue
        present = await _when_quiet(folders, present)
        changed = changed_files(seen, present)
        seen = present
        if template in changed:
            logger.warning("%s has changed: `make down`, then `make up`, to apply it.", template.name)
        await _reload(host, changed - {template})


async def _when_quiet(folders: Iterable[Path], present: Snapshot) -> Snapshot:
    """Return the state of the files once they have not changed for a moment."""
    while True:
        await asyncio.sleep(_QUIET_SECONDS)
        later = await asyncio.to_thread(snapshot, folders)
        if later == present:
            return later
        present = later


async def _reload(host: LambdaHost, changed: set[Path]) -> None:
    functions = host.functions_of(changed)
    results = await host.reload(functions)
    packages = {function.logical_id: function.handler.partition(".")[0].replace("_", "-") for function in functions}
    reloaded = sorted(packages[name] for name, error in results.items() if error is None)
    if reloaded:
        logger.info("reloaded: %s (changed: %s)", ", ".join(reloaded), _named(changed))
    for name, error in results.items():
        if error is not None:
            reason = _reason(error)
            logger.error("%s keeps its old code, because the new code does not start: %s", packages[name], reason)


def _named(changed: set[Path]) -> str:
    names = sorted(f"{path.parent.name}/{path.name}" for path in changed)
    more = len(names) - _FILES_NAMED_MAX
    return ", ".join(names[:_FILES_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _reason(error: InvocationResult) -> str:
    """Return the type and message of the error that a function reported at its start."""
    try:
        body = orjson.loads(error.payload)
    except orjson.JSONDecodeError:
        body = {}
    return f"{body.get('errorType', 'no type')}: {body.get('errorMessage', 'no message')}"
