"""What the tests of Terraform share: each provider is fetched once for all of them."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def plugin_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of this test run's own, since a provider of one origin must not be taken for that of another."""
    with pytest.MonkeyPatch.context() as patch:
        if "TF_PLUGIN_CACHE_DIR" not in os.environ:
            patch.setenv("TF_PLUGIN_CACHE_DIR", str(tmp_path_factory.mktemp("terraform-plugins")))
            # Terraform uses the folder only with a lock file, of which there is none; or with this.
            patch.setenv("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1")
        yield
