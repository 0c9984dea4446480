"""The Terraform modules that watch: alarms, dashboard and budget, by their own tests beside them."""

from pathlib import Path

import pytest

from tests.support.terraform import prepared

MODULES = ("alarms", "budget", "dashboard")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_well_formed_and_passes_its_tests(module: str, tmp_path: Path) -> None:
    terraform = prepared(f"modules/{module}", tmp_path, {})
    for command in (("fmt", "-check", "-diff"), ("validate", "-no-color"), ("test", "-no-color")):
        done = terraform.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Success! 0 passed" not in done.stdout
