"""Types of import contracts that import-linter lacks; the `importlinter` section of pyproject.toml names them.

`functions_…` are import-linter's own types over the layer and every folder of `functions/`, which `{functions}` stands
for: each function is a top-level package, so a list of them would grow with every new one.
`only` is an allow-list: its modules import the standard library and what it names, and nothing else.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.domain.helpers import module_expressions_to_modules
from importlinter.domain.imports import Module

PLACEHOLDER = "{functions}"


def functions() -> list[str]:
    """Return the packages of the functions, in the project that is the current folder."""
    return sorted(handler.parent.name for handler in Path("functions").glob("*/handler.py"))


class FunctionsContract(Contract):
    """A contract over a graph that holds the functions beside the root packages."""

    def __init__(self, name: str, session_options: dict[str, Any], contract_options: dict[str, Any]) -> None:
        roots = [*session_options["root_packages"], *functions()]
        options = {option: _with_functions(value) for option, value in contract_options.items()}
        super().__init__(name, {**session_options, "root_packages": roots}, options)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Check the contract, in a copy of the larger graph."""
        return super().check(deepcopy(_graph(*self.session_options["root_packages"])), verbose)  # type: ignore[safe-super]


class FunctionsForbidden(FunctionsContract, ForbiddenContract):
    """`forbidden`, with functions."""


class FunctionsIndependence(FunctionsContract, IndependenceContract):
    """`independence`, with functions."""


class OnlyContract(Contract):
    """The modules import the standard library and the allowed modules only."""

    modules = fields.SetField(subfield=fields.ModuleExpressionField())
    allowed_modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports of each module that are not allowed."""
        allowed = module_expressions_to_modules(graph, self.allowed_modules)  # type: ignore[arg-type]
        strange = sorted(
            (module.name, imported)
            for module in module_expressions_to_modules(graph, self.modules, as_packages=True)  # type: ignore[arg-type]
            for imported in graph.find_modules_directly_imported_by(module.name)
            if imported.partition(".")[0] not in sys.stdlib_module_names and not _is_within(imported, allowed)
        )
        return ContractCheck(kept=not strange, metadata={"strange": strange})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that are not allowed."""
        for module, imported in check.metadata["strange"]:
            output.print_error(f"{module} is not allowed to import {imported}.", bold=True)


def _with_functions(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [name for entry in value for name in (functions() if entry == PLACEHOLDER else [entry])]


def _is_within(name: str, packages: set[Module]) -> bool:
    return any(name == package.name or name.startswith(f"{package.name}.") for package in packages)


@cache
def _graph(*roots: str) -> grimp.ImportGraph:
    return grimp.build_graph(*roots, include_external_packages=True, cache_dir=None)
