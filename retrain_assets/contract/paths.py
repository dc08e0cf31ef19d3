"""Python paths of a contract as its folder writes them (``.features.build``) and as everybody else imports them."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from retrain_assets.contract.contract import Contract
from retrain_assets.contract.idle_limits import refuse_idle_limits


def in_module(contract: Contract, module: str) -> Contract:
    """The declared contract with its relative Python paths made absolute in ``module``.

    Raises:
        ContractError: for a limit that decides nothing.
    """
    refuse_idle_limits(contract)
    values: dict[str, Any] = contract.to_json()
    values["features"] = absolute(values["features"], module)
    values["source"]["schema"] = absolute(values["source"]["schema"], module)
    return Contract.model_validate(values)


def absolute(path: str, module: str) -> str:
    """A Python path as seen from outside its folder."""
    return module + path if path.startswith(".") else path


def missing_code(path: str) -> str:
    """What an absolute Python path names that is not there; empty when it is there, or only an import could tell.

    The file is read, not imported: a contract is loaded with the definitions, its code only by its stages.
    """
    module, _, name = path.rpartition(".")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return f"there is no module {module}"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except SyntaxError as error:
        return f"{spec.origin}:{error.lineno} is not Python ({error.msg})"
    if {name, "*", "__getattr__"} & _bound(tree):
        return ""
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return f"{spec.origin} has no {name}, it defines {', '.join(defined) or 'nothing'}"


def _bound(tree: ast.Module) -> set[str]:
    """Every name a file binds, at whatever depth; ``*`` where it imports everything of another."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
