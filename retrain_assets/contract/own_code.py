"""The code of a team's own checks and metrics, read and not imported: whether it is there, what it takes, which code it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from retrain_assets.contract.digests import digest_of, sha256_hex
from retrain_assets.contract.errors import ContractError
from retrain_assets.contract.own_checks import SCORED, OwnCheck, OwnCode, OwnMetric

_PRODUCT = "retrain_assets"


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """A function as its file defines it.

    Args:
        file: that file.
        line: of its ``def``.
        code: digest of the file and of the team's files that it imports, directly or not.
        positional: names of the parameters that may be given by position, in order.
        names: names of all its parameters.
        required: names of those without a default.
        takes_any: whether it takes further keyword arguments; True also where a decorator may have changed what it takes.
    """

    file: Path
    line: int
    code: str
    positional: tuple[str, ...]
    names: frozenset[str]
    required: frozenset[str]
    takes_any: bool


def own_function(path: str, root: Path | None = None) -> OwnFunction:
    """The function that an absolute Python path names.

    Args:
        path: module and function.
        root: a folder that the first part of the path may lie in; otherwise it is where Python finds it.

    Raises:
        ContractError: when it is not there, or is not defined with ``def`` in the file that the path names.
    """
    module, _, name = path.rpartition(".")
    file = _file_of(module, root)
    tree = _tree(file)
    found = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    if found is None:
        raise ContractError(f"{file} {_instead(tree, name)}", remedy="name the file that defines it with def, or write it there")
    spec = found.args
    positional = tuple(one.arg for one in (*spec.posonlyargs, *spec.args))
    required = {*positional[: len(positional) - len(spec.defaults)]}
    required |= {one.arg for one, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default is None}
    return OwnFunction(
        file,
        found.lineno,
        _digest(path, module, file, tree),
        positional,
        frozenset((*positional, *(one.arg for one in spec.kwonlyargs))),
        frozenset(required),
        takes_any=spec.kwarg is not None or bool(found.decorator_list),
    )


def fill_in_code(gates: Mapping[str, Any], module: str, file: Path | None = None) -> None:
    """Make the functions of a contract's own checks and metrics absolute, and fill in the digests of their code.

    Args:
        gates: the JSON of a contract's gates, filled in place.
        module: Python module of the contract's folder.
        file: where the contract is written.

    Raises:
        ContractError: naming file, line and field, when a function is not there or does not take what the contract calls it with.
    """
    for field, values in _own_of(gates):
        written = str(values["function"])
        path = module + written if written.startswith(".") else written
        own = (OwnCheck if "check" in values else OwnMetric).model_validate(values)
        try:
            function = own_function(path, _root_of(file, module))
            if (wrong := misfit(own, function)) is not None:
                raise ContractError(f"{path} ({function.file}:{function.line}) {wrong[0]}", remedy=wrong[1])
        except ContractError as error:
            place = place_of(file, written) if file is not None else module
            raise ContractError(error.what, where=f"{place}: {field}", remedy=error.remedy) from error
        values["function"], values["code"] = path, function.code


def misfit(own: OwnCode, function: OwnFunction) -> tuple[str, str] | None:
    """Why a function cannot be called as the contract says, and what to do; None when it can."""
    if isinstance(own, OwnMetric):
        given = {*SCORED} & function.names
        if not given and not function.takes_any:
            return f"takes none of {', '.join(SCORED)}", "let it take what the metric is made of"
    else:
        given = {*function.positional[:1]}
        if not given and not function.takes_any:
            return "takes no evidence", f"write def {own.function.rpartition('.')[2]}(evidence, …)"
    asked = function.names - given
    if (unknown := sorted(set(own.parameters) - asked)) and not function.takes_any:
        takes = f"it takes {', '.join(sorted(asked))}" if asked else "it takes none"
        return f"does not take the parameter {unknown[0]}", f"correct parameters; {takes}"
    if missing := sorted(function.required - given - set(own.parameters)):
        return f"needs the parameter {missing[0]}", f"add it to parameters: {{{missing[0]}: …}}"
    return None


def _own_of(gates: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Field and values of every check and metric of the team's own."""
    for place, one in enumerate(gates["own"]):
        yield f"gates.own[{place}].function", one
    for name, one in gates["offline"]["own_metrics"].items():
        yield f"gates.offline.own_metrics.{name}.function", one


def place_of(file: Path, written: str) -> str:
    """``file:line`` of the first line of a file that holds a text; the file alone where none does."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    number = next((number for number, line in enumerate(lines, start=1) if written in line), None)
    return f"{file}:{number}" if number else str(file)


def _root_of(file: Path | None, module: str) -> Path | None:
    """The folder that the first part of a module lies in, as its contract's file tells; None where it does not."""
    parts = tuple(module.split("."))
    if file is None or file.resolve().parent.parts[-len(parts) :] != parts:
        return None
    return file.resolve().parent.parents[len(parts) - 1]


def _file_of(module: str, root: Path | None) -> Path:
    if root is not None:
        base = root.joinpath(*module.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return file
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        where = (
            f"there is no file {root.joinpath(*module.split('.'))}.py" if root else f"there is no Python file of module {module}"
        )
        raise ContractError(where, remedy="write it, or correct function")
    return Path(spec.origin)


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise ContractError(f"{file}:{error.lineno} is not Python ({error.msg})", remedy="correct this line") from error


def _instead(tree: ast.Module, name: str) -> str:
    """What a file has instead of a function of a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return f"only imports {name}, from {'.' * node.level}{node.module or ''}"
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return f"defines no function {name}, it defines {', '.join(defined) or 'none'}"


def _digest(path: str, module: str, file: Path, tree: ast.Module) -> str:
    """Of the file and of the team's own files that it imports, by their modules."""
    depth = module.count(".") + (file.name == "__init__.py")
    root = file.parents[depth] if depth < len(file.parents) else file.parent
    found: dict[Path, str] = {}
    waiting = [(file, tree)]
    while waiting:
        one, text = waiting.pop()
        found[one] = sha256_hex(one.read_bytes())
        for other in _imported(text, one, root, module.partition(".")[0]):
            if other not in found and all(other != known for known, _ in waiting):
                waiting.append((other, _tree(other)))
    files = {one.relative_to(root).as_posix(): digest for one, digest in found.items()}
    return digest_of({"path": path, "files": files})


def _imported(tree: ast.Module, file: Path, root: Path, package: str) -> Iterator[Path]:
    """The files of the same package that a file imports; of the product's own package those it imports relatively."""
    for node in ast.walk(tree):
        named: list[Path] = []
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            named = [base, *(base / alias.name for alias in node.names)]
        elif isinstance(node, ast.ImportFrom) and node.module and _is_team(node.module, package):
            base = root.joinpath(*node.module.split("."))
            named = [base, *(base / alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            named = [root.joinpath(*alias.name.split(".")) for alias in node.names if _is_team(alias.name, package)]
        for one in named:
            for candidate in (one.with_suffix(".py"), one / "__init__.py"):
                if candidate.is_file() and candidate.is_relative_to(root):
                    yield candidate


def _is_team(module: str, package: str) -> bool:
    return module.partition(".")[0] == package != _PRODUCT
