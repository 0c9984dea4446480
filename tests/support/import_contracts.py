"""Types of import contracts that import-linter lacks; the `importlinter` section of pyproject.toml names them.

`functions_…` are import-linter's own types over the layer and every folder of `functions/`, which `{functions}` stands
for: each function is a top-level package, so a list of them would grow with every new one.
`only` is an allow-list: its modules import the standard library and what it names, and nothing else.
`forbidden_but` is `forbidden` for direct imports, with exceptions among its modules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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


class DirectImportsContract(Contract):
    """A contract that names each direct import of its modules that it does not allow."""

    modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def strange_imports(self, graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
        """Find each import that is not allowed: the importing and the imported module."""
        raise NotImplementedError

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports of each module that are not allowed."""
        strange = sorted(self.strange_imports(graph))
        return ContractCheck(kept=not strange, metadata={"strange": strange})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that are not allowed."""
        for module, imported in check.metadata["strange"]:
            output.print_error(f"{module} is not allowed to import {imported}.", bold=True)

    def imports(self, graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
        """Find each direct import of the modules and of the modules inside them."""
        for module in module_expressions_to_modules(graph, self.modules, as_packages=True):  # type: ignore[arg-type]
            for imported in graph.find_modules_directly_imported_by(module.name):
                yield module.name, imported


class OnlyContract(DirectImportsContract):
    """The modules import the standard library and the allowed modules only."""

    allowed_modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def strange_imports(self, graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
        """Find each import of a module that is neither allowed nor in the standard library."""
        allowed = module_expressions_to_modules(graph, self.allowed_modules)  # type: ignore[arg-type]
        for module, imported in self.imports(graph):
            if imported.partition(".")[0] not in sys.stdlib_module_names and not _is_within(imported, allowed):
                yield module, imported


class ForbiddenButContract(DirectImportsContract):
    """The modules, but for the exceptions among them, import none of the forbidden modules directly."""

    forbidden_modules = fields.SetField(subfield=fields.ModuleExpressionField())
    exceptions = fields.SetField(subfield=fields.ModuleExpressionField())

    def strange_imports(self, graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
        """Find each import of a forbidden module by a module that is no exception."""
        forbidden = module_expressions_to_modules(graph, self.forbidden_modules)  # type: ignore[arg-type]
        exceptions = module_expressions_to_modules(graph, self.exceptions)  # type: ignore[arg-type]
        for module, imported in self.imports(graph):
            if _is_within(imported, forbidden) and not _is_within(module, exceptions):
                yield module, imported


def _with_functions(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [name for entry in value for name in (functions() if entry == PLACEHOLDER else [entry])]


def _is_within(name: str, packages: set[Module]) -> bool:
    return any(name == package.name or name.startswith(f"{package.name}.") for package in packages)


@cache
def _graph(*roots: str) -> grimp.ImportGraph:
    return grimp.build_graph(*roots, include_external_packages=True, cache_dir=None)
