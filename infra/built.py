"""Inspect the package that `make package` built: its processor, its sources, its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.errors import InputMissingError
from infra.sam_template.intrinsics import load_yaml

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / ".aws-sam" / "build"
LAYER = "PaybridgeLayer"
# The lock file of each layer.
LAYERS = {LAYER: Path("layers/paybridge/requirements.txt"), "ArchiveLayer": Path("layers/archive/requirements.txt")}
# The folder of the layer's certificates in the tree, and the path of the bundle inside a function.
CERTIFICATES = Path("layers/paybridge/certificates")
RDS_CERTIFICATES = "/opt/certificates/rds.pem"
ARCHITECTURES = ("arm64", "x86_64")
# Machine numbers in the header of an ELF file.
_MACHINES = {0xB7: "arm64", 0x3E: "x86_64"}
_MACHINE_OFFSET = 18
_PACKAGE_AGAIN = "run `make package`"


class Built:
    """A folder written by `sam build`, and the tree it was built from."""

    def __init__(self, folder: Path = BUILD, project: Path = PROJECT) -> None:
        """Open the folder. Raises InputMissingError if it holds no package."""
        self.folder = folder
        self._project = project
        if not self.template.is_file():
            raise InputMissingError(f"There is no package yet: {_PACKAGE_AGAIN} first.")

    @property
    def template(self) -> Path:
        """The template that SAM deploys."""
        return self.folder / "template.yaml"

    def functions(self) -> dict[str, str]:
        """Return the Python package of each function, by logical id."""
        resources: dict[str, Any] = _read(self._project / "template.yaml")["Resources"]
        return {
            name: resource["Properties"]["Handler"].partition(".")[0]
            for name, resource in resources.items()
            if resource["Type"] == "AWS::Serverless::Function"
        }

    def architecture(self) -> str:
        """Return the processor of the layer's compiled libraries. Raises InputMissingError if there are none."""
        for library in sorted((self.folder / LAYER / "python").rglob("*.so")):
            with library.open("rb") as file:
                header = file.read(_MACHINE_OFFSET + 2)
            return _MACHINES.get(int.from_bytes(header[_MACHINE_OFFSET:], "little"), "another processor")
        raise InputMissingError(f"The package holds no libraries: {_PACKAGE_AGAIN} again.")

    def changed_source(self) -> str | None:
        """Return a source that differs between tree and package, or None. Compare contents, not dates."""
        if _deployed(_read(self.template)) != _deployed(_read(self._project / "template.yaml")):
            return "template.yaml"
        for source, copy in self._copies():
            here, there = (digests(self._project / source), digests(copy))
            # Certificates are downloaded, not committed: a package may have some that this tree lacks.
            names = here.keys() if source == CERTIFICATES else here.keys() | there.keys()
            for name in sorted(names):
                if here.get(name) != there.get(name):
                    return str(source / name)
        return next((str(lock) for layer, lock in LAYERS.items() if self._missing_distributions(layer, lock)), None)

    def has_rds_certificates(self) -> bool:
        """Return whether the functions will find Amazon's bundle at `RDS_CERTIFICATES`."""
        return (self.folder / LAYER / "certificates" / "rds.pem").is_file()

    def digest(self) -> str:
        """Return a digest of the whole package."""
        return digest_of(f"{name}={value}" for name, value in sorted(digests(self.folder).items()))

    def _copies(self) -> Iterator[tuple[Path, Path]]:
        """Yield each source folder, relative to the tree, with its copy in the package."""
        for logical_id, package in self.functions().items():
            yield Path("functions") / package, self.folder / logical_id / package
        yield Path("layers/paybridge/paybridge"), self.folder / LAYER / "python" / "paybridge"
        yield CERTIFICATES, self.folder / LAYER / "certificates"

    def _missing_distributions(self, layer: str, lock_file: Path) -> set[str]:
        lock = (self._project / lock_file).read_text(encoding="utf-8")
        pinned = {
            pin.replace("-", "_").lower() for pin in re.findall(r"^([A-Za-z0-9._-]+==[^\s;]+)", lock, re.MULTILINE)
        }
        folders = (self.folder / layer / "python").glob("*.dist-info")
        return pinned - {folder.name.removesuffix(".dist-info").replace("-", "==", 1).lower() for folder in folders}


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder, by relative path. A missing folder has no files."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def digest_of(lines: Iterator[str]) -> str:
    """Return one digest of several lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read(template: Path) -> dict[str, Any]:
    return load_yaml(template.read_text(encoding="utf-8"), str(template))


def _deployed(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template without the code locations and metadata that `sam build` changes."""
    resources = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        kept = {key: value for key, value in properties.items() if key not in {"CodeUri", "ContentUri"}}
        resources[name] = {**resource, "Properties": kept, "Metadata": None}
    return {**template, "Resources": resources}
