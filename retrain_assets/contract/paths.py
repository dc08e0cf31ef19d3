"""Python paths of a contract as its folder writes them (``.features.build``) and as everybody else imports them."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrain_assets.contract.contract import Contract
from retrain_assets.contract.duties import refuse_barred
from retrain_assets.contract.errors import ContractError
from retrain_assets.contract.idle_limits import refuse_idle_limits
from retrain_assets.contract.own_code import fill_in_code, place_of


def in_module(contract: Contract, module: str, file: Path | None = None) -> Contract:
    """The declared contract with its relative Python paths made absolute in ``module``, and people's keys read into it.

    Args:
        contract: as it is written.
        module: Python module of its folder.
        file: where it is written; a file of keys that it names is looked for from there.

    Raises:
        ContractError: for a limit that decides nothing, approvers of whom none could approve alone, keys that cannot be read,
            an own check or metric whose function is not there or is called with what it does not take.
    """
    refuse_idle_limits(contract)
    refuse_barred(contract)
    values: dict[str, Any] = contract.to_json()
    values["features"] = absolute(values["features"], module)
    values["trainer"]["estimator"] = absolute(values["trainer"]["estimator"], module)
    values["source"]["schema"] = absolute(values["source"]["schema"], module)
    if (rehearsal := values["rehearsal"]) is not None:
        rehearsal["outcomes"] = absolute(rehearsal["outcomes"], module)
    fill_in_code(values["gates"], module, file)
    if (name := contract.approval.signers_file) is None:
        return Contract.model_validate(values)
    where = place_of(file, name) if file is not None else contract.model
    values["approval"]["allowed_signers"] = _keys(name, file, where)
    try:
        return Contract.model_validate(values)
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ContractError(what, where=f"{where}: approval.allowed_signers ({name})", remedy="correct that file") from error


def _keys(name: str, file: Path | None, where: str) -> str:
    """The text of a file of keys, whose path is seen from the contract's folder."""
    missing = f"{where}: approval.allowed_signers"
    if file is None or Path(name).is_absolute():
        raise ContractError(
            f"{name!r} is no file beside the contract", where=missing, remedy="write a path seen from the contract's folder"
        )
    try:
        text = (file.parent / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ContractError(
            f"the file {file.parent / name} cannot be read ({why})",
            where=missing,
            remedy="put an OpenSSH allowed-signers file there, or write its lines into the contract",
        ) from error
    if len(text.split()) < 2:
        raise ContractError(
            f"the file {file.parent / name} holds no keys", where=missing, remedy="add a line: ann@example.org ssh-ed25519 AAAA…"
        )
    return text


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
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if name in defined or {name, "*", "__getattr__"} & _bound(tree):
        return ""
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
