"""Shared by the tests of Terraform: each provider is downloaded once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def plugin_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Return a new folder, because providers of different origins must not be mixed."""
    with pytest.MonkeyPatch.context() as patch:
        if "TF_PLUGIN_CACHE_DIR" not in os.environ:
            patch.setenv("TF_PLUGIN_CACHE_DIR", str(tmp_path_factory.mktemp("terraform-plugins")))
            # Without a lock file Terraform uses the folder only with this setting.
            patch.setenv("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1")
        yield
