"""Packages as `sam build` leaves them, made of the sources in no time and without pip."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from infra.built import CERTIFICATES, LAYER, LAYERS, Built
from tests.support.template import ROOT

# The part of an ELF file's header that says which machine it is for.
MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}
WITHOUT_CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")


def make_package(folder: Path, architecture: str = "arm64") -> Built:
    """The package of the present sources, with one empty library for the processor and with certificates."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "template.yaml", folder)
    built = Built(folder)
    for logical_id, package in built.functions().items():
        shutil.copytree(ROOT / "functions" / package, folder / logical_id / package, ignore=WITHOUT_CACHES)
    for layer, lock_file in LAYERS.items():
        lock = (ROOT / lock_file).read_text(encoding="utf-8")
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, flags=re.MULTILINE):
            (folder / layer / "python" / f"{name.replace('-', '_')}-{version}.dist-info").mkdir(parents=True)
    python = folder / LAYER / "python"
    shutil.copytree(ROOT / "layers/paybridge/paybridge", python / "paybridge", ignore=WITHOUT_CACHES)
    (python / "library.so").write_bytes(b"\x7fELF".ljust(18, b"\0") + MACHINES[architecture].to_bytes(2, "little"))
    authorities = folder / LAYER / "certificates/rds.pem"
    authorities.parent.mkdir()
    fetched = ROOT / CERTIFICATES / "rds.pem"
    authorities.write_bytes(fetched.read_bytes() if fetched.exists() else b"")
    return built
