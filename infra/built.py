"""What `make package` has built: for which processor, of which sources, how large."""

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
# Where the layer's certificates come from, and what the functions see of them below /opt.
CERTIFICATES = Path("layers/paybridge/certificates")
RDS_CERTIFICATES = "/opt/certificates/rds.pem"
ARCHITECTURES = ("arm64", "x86_64")
# The machine in the header of an ELF file.
_MACHINES = {0xB7: "arm64", 0x3E: "x86_64"}
_MACHINE_OFFSET = 18
_PACKAGE_AGAIN = "run `make package`"


class Built:
    """A folder that `sam build` has written, and the tree that it was made of."""

    def __init__(self, folder: Path = BUILD, project: Path = PROJECT) -> None:
        """Raises InputMissingError when nothing has been built there."""
        self.folder = folder
        self._project = project
        if not self.template.is_file():
            raise InputMissingError(f"There is no package yet: {_PACKAGE_AGAIN} first.")

    @property
    def template(self) -> Path:
        """The template that sam deploys."""
        return self.folder / "template.yaml"

    def functions(self) -> dict[str, str]:
        """The package of each function's code by its logical id."""
        resources: dict[str, Any] = _read(self._project / "template.yaml")["Resources"]
        return {
            name: resource["Properties"]["Handler"].partition(".")[0]
            for name, resource in resources.items()
            if resource["Type"] == "AWS::Serverless::Function"
        }

    def architecture(self) -> str:
        """The processor that the layer's compiled libraries are for. Raises InputMissingError where there are none."""
        for library in sorted((self.folder / LAYER / "python").rglob("*.so")):
            with library.open("rb") as file:
                header = file.read(_MACHINE_OFFSET + 2)
            return _MACHINES.get(int.from_bytes(header[_MACHINE_OFFSET:], "little"), "another processor")
        raise InputMissingError(f"The package holds no libraries: {_PACKAGE_AGAIN} again.")

    def changed_source(self) -> str | None:
        """A source that is not in the package as it is in the tree, or None: contents count, not dates."""
        if _deployed(_read(self.template)) != _deployed(_read(self._project / "template.yaml")):
            return "template.yaml"
        for source, copy in self._copies():
            here, there = (digests(self._project / source), digests(copy))
            # Certificates are fetched and not part of a clone: a package may have some that this tree has not.
            names = here.keys() if source == CERTIFICATES else here.keys() | there.keys()
            for name in sorted(names):
                if here.get(name) != there.get(name):
                    return str(source / name)
        if self._missing_distributions():
            return "layers/paybridge/requirements.txt"
        return None

    def has_rds_certificates(self) -> bool:
        """Whether the functions will find Amazon's bundle at `RDS_CERTIFICATES`."""
        return (self.folder / LAYER / "certificates" / "rds.pem").is_file()

    def digest(self) -> str:
        """A digest of all that is in the package."""
        return digest_of(f"{name}={value}" for name, value in sorted(digests(self.folder).items()))

    def _copies(self) -> Iterator[tuple[Path, Path]]:
        """Folders of the tree, relative to it, and where the package has their copies."""
        for logical_id, package in self.functions().items():
            yield Path("functions") / package, self.folder / logical_id / package
        yield Path("layers/paybridge/paybridge"), self.folder / LAYER / "python" / "paybridge"
        yield CERTIFICATES, self.folder / LAYER / "certificates"

    def _missing_distributions(self) -> set[str]:
        lock = (self._project / "layers/paybridge/requirements.txt").read_text(encoding="utf-8")
        pinned = {
            pin.replace("-", "_").lower() for pin in re.findall(r"^([A-Za-z0-9._-]+==[^\s;]+)", lock, re.MULTILINE)
        }
        folders = (self.folder / LAYER / "python").glob("*.dist-info")
        return pinned - {folder.name.removesuffix(".dist-info").replace("-", "==", 1).lower() for folder in folders}


def digests(folder: Path) -> dict[str, str]:
    """The digest of each file below a folder, which need not be there, by its path in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def digest_of(lines: Iterator[str]) -> str:
    """One digest of several lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read(template: Path) -> dict[str, Any]:
    return load_yaml(template.read_text(encoding="utf-8"), str(template))


def _deployed(template: dict[str, Any]) -> dict[str, Any]:
    """The template without the places of code, which `sam build` changes, and what it notes for itself."""
    resources = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        kept = {key: value for key, value in properties.items() if key not in {"CodeUri", "ContentUri"}}
        resources[name] = {**resource, "Properties": kept, "Metadata": None}
    return {**template, "Resources": resources}
