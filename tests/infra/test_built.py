"""The package: whether it has the current sources, and for which processor it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.built import CERTIFICATES, LAYER, Built
from infra.errors import InputMissingError
from tests.support.packages import MACHINES, make_package
from tests.support.template import ROOT


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return make_package(tmp_path / "build")


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n# changed\n")


class TestBuilt:
    def test_nothing_built_is_an_error_that_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(InputMissingError, match="`make package` first"):
            Built(tmp_path)

    @pytest.mark.parametrize("architecture", MACHINES)
    def test_knows_the_processor_by_the_libraries(self, tmp_path: Path, architecture: str) -> None:
        assert make_package(tmp_path / "build", architecture).architecture() == architecture

    def test_a_package_without_libraries_is_an_error(self, built: Built) -> None:
        (built.folder / LAYER / "python/library.so").unlink()
        with pytest.raises(InputMissingError, match="no libraries"):
            built.architecture()

    def test_has_a_digest_that_changes_with_any_file(self, built: Built) -> None:
        before = built.digest()
        assert built.digest() == before
        append(built.folder / "JobsFunction/jobs/handler.py")
        assert built.digest() != before


class TestChangedSource:
    def test_is_none_when_all_is_as_it_was(self, built: Built) -> None:
        assert built.changed_source() is None

    @pytest.mark.parametrize(
        ("copy", "source"),
        [
            ("ApiFunction/api/app.py", "functions/api/app.py"),
            (f"{LAYER}/python/paybridge/wiring/settings.py", "layers/paybridge/paybridge/wiring/settings.py"),
        ],
    )
    def test_is_a_file_with_other_contents(self, built: Built, copy: str, source: str) -> None:
        append(built.folder / copy)
        assert built.changed_source() == source

    def test_is_a_file_that_is_new_in_the_tree(self, built: Built) -> None:
        (built.folder / "RelayFunction/relay/handler.py").unlink()
        assert built.changed_source() == "functions/relay/handler.py"

    def test_is_a_file_that_is_gone_from_the_tree(self, built: Built) -> None:
        (built.folder / "RelayFunction/relay/old.py").touch()
        assert built.changed_source() == "functions/relay/old.py"

    def test_is_a_template_with_another_property(self, built: Built) -> None:
        built.template.write_text(built.template.read_text().replace("Timeout: 29", "Timeout: 28"))
        assert built.changed_source() == "template.yaml"

    def test_is_none_for_changes_of_the_template_by_sam(self, built: Built) -> None:
        text = built.template.read_text()
        built.template.write_text(text.replace("ContentUri: layers/paybridge", "ContentUri: PaybridgeLayer"))
        assert built.changed_source() is None

    def test_is_the_lock_when_a_distribution_has_another_version(self, built: Built) -> None:
        [folder] = (built.folder / LAYER / "python").glob("orjson-*.dist-info")
        folder.rename(folder.with_name("orjson-0.0.1.dist-info"))
        assert built.changed_source() == "layers/paybridge/requirements.txt"

    def test_is_none_for_a_certificate_that_is_only_in_the_package(self, built: Built) -> None:
        # Built on another machine: certificates are downloaded, not committed.
        (built.folder / LAYER / "certificates/other.pem").touch()
        assert built.changed_source() is None

    def test_is_a_certificate_that_only_the_tree_has(self, tmp_path: Path) -> None:
        package = make_package(tmp_path / "build").folder
        tree = tmp_path / "tree"
        for name in ("template.yaml", "functions", "layers"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tree / name)
        (tree / CERTIFICATES).mkdir(exist_ok=True)
        (tree / CERTIFICATES / "more.pem").touch()
        assert Built(package, tree).changed_source() == "layers/paybridge/certificates/more.pem"
