"""Contracts of the project one stands in, read from its ``defs.yaml`` files without Dagster; faults name file, line and field."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from retrain_assets.cli.contract_faults import explain
from retrain_assets.contract import Contract, ContractError, RetrainError
from retrain_assets.contract.paths import in_module
from retrain_assets.home import Home

COMPONENT = "RetrainComponent"
FILES = ("defs.yaml", "component.yaml")


@dataclass(frozen=True, slots=True)
class Written:
    """A contract as it stands in a file, not yet validated.

    Args:
        file: the file.
        module: Python module of its folder, what relative paths start from.
        attributes: its attributes.
        node: their YAML node, which knows the lines.
    """

    file: Path
    module: str
    attributes: Any
    node: yaml.Node

    @property
    def model(self) -> str | None:
        """The model it names; None where it names none."""
        return self.attributes.get("model") if isinstance(self.attributes, dict) else None


def contract_of(model: str, start: Path | None = None, environment: str | None = None) -> Contract:
    """The contract of a model, from the project around a folder (the working directory by default), Python paths absolute.

    It is that of an environment, this process's by default.

    Raises:
        ContractError: when it is not valid (one line with file, line and field), or there is none of that model.
    """
    folder, _ = _definitions_folder(start or Path.cwd())
    written, faults = written_in(start)
    known = [str(one.model) for one in written]
    found = [one for one in written if one.model in (model, None)]
    exact = [one for one in found if one.model == model]
    if len(exact) > 1:
        files = " and ".join(str(one.file) for one in exact)
        raise ContractError(f"model {model} has two contracts", where=files, remedy="keep one")
    if not exact and faults:
        raise faults[0]
    if not exact and not found:
        raise ContractError(f"there is no contract of model {model!r}", where=str(folder), remedy=_instead(model, known, folder))
    return valid((exact or found)[0], environment)


def _instead(model: str, known: list[str], folder: Path) -> str:
    """What to do where there is no contract of a model: correct its name, or go to the project it is in."""
    if close := get_close_matches(model, known, n=1):
        return f"did you mean {close[0]}?"
    here = f"contracts here: {', '.join(known) or 'none'}"
    if folder.is_relative_to(Path(__file__).parent.parent):
        return f"{here}; no dg project is around {Path.cwd()}, so go to the folder of yours"
    return here


def contract_in_file(file: Path, model: str, environment: str | None = None) -> Contract:
    """The contract of a model in one YAML file; Python paths are made absolute in the file's folder.

    Raises:
        ContractError: when it is not valid, or there is none of that model.
    """
    for one in _written(file, file.resolve().parent.name):
        if one.model == model:
            return valid(one, environment)
    raise ContractError(f"there is no contract of model {model!r}", where=_shown(file), remedy="name another file")


def environments_of(model: str, start: Path | None = None) -> list[str]:
    """The environments that the contract of a model names; none where there is no such contract."""
    attributes: dict[str, Any] = next((one.attributes for one in written_in(start)[0] if one.model == model), {})
    return list(attributes.get("environments") or ())


def written_in(start: Path | None = None) -> tuple[list[Written], list[ContractError]]:
    """The contracts of the project around a folder as they are written, and a fault of each file that cannot be read."""
    written: list[Written] = []
    faults: list[ContractError] = []
    folder, module = _definitions_folder(start or Path.cwd())
    for file in sorted(path for name in FILES for path in folder.rglob(name)):
        try:
            written += list(_written(file, ".".join((module, *file.parent.relative_to(folder).parts))))
        except ContractError as fault:
            faults.append(fault)
    return written, faults


def project_or_recorded(home: Home, model: str) -> Contract:
    """The project's contract of a model; where the project has none, the one recorded last.

    Raises:
        ContractError: when the project's is not valid, or there is none at all.
    """
    try:
        return contract_of(model)
    except ContractError as error:
        if not error.what.startswith("there is no contract") or (recorded := _recorded(home, model)) is None:
            raise
        return recorded


def project_on_path() -> None:
    """The team's code is imported from the project one stands in, as Dagster does."""
    folder = next((one for one in (Path.cwd(), *Path.cwd().parents) if (one / "pyproject.toml").is_file()), Path.cwd())
    base = folder / "src" if (folder / "src").is_dir() else folder
    if str(base) not in sys.path:
        sys.path.insert(0, str(base))


def _definitions_folder(start: Path) -> tuple[Path, str]:
    """Folder and module of the definitions of the project around ``start``; of this package where there is no project."""
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("dg", {}).get("project")
        except tomllib.TOMLDecodeError as error:
            raise ContractError(f"is not TOML ({error})", where=str(file), remedy="correct it") from error
        if project is not None:
            module = project.get("defs_module") or f"{project.get('root_module')}.defs"
            base = folder / "src" if (folder / "src").is_dir() else folder
            return base.joinpath(*module.split(".")), module
    spec = find_spec("retrain_assets")
    assert spec is not None  # this file is part of it
    assert spec.origin is not None
    return Path(spec.origin).parent / "defs", "retrain_assets.defs"


def _written(file: Path, module: str) -> Iterator[Written]:
    """The contracts of one file."""
    where = _shown(file)
    text = file.read_text(encoding="utf-8")
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            document = loader.get_node()
            value = loader.construct_document(document) if document is not None else None
            if isinstance(value, dict) and str(value.get("type", "")).rpartition(".")[2] == COMPONENT:
                attributes = _attributes(document)
                _refuse_templates(text, attributes, where)
                yield Written(file, module, value.get("attributes"), attributes)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        remedy = "indent with spaces, not tabs" if "\\t" in str(error.problem) else "correct this line"
        raise ContractError(f"is not YAML ({error.problem})", where=f"{where}:{line}", remedy=remedy) from error
    finally:
        loader.dispose()


def _refuse_templates(text: str, node: yaml.Node, where: str) -> None:
    template = re.compile(r"\{\{.*?\}\}").search(text, node.start_mark.index, node.end_mark.index)
    if template is not None:
        line = text.count("\n", 0, template.start()) + 1
        what = f"{template.group()} is resolved by Dagster only"
        raise ContractError(what, where=f"{where}:{line}", remedy="write the value itself")


def _attributes(document: Any) -> yaml.Node:
    """The node of ``attributes``; the document's own where there are none."""
    found: yaml.Node = next((value for key, value in document.value if key.value == "attributes"), document)
    return found


def valid(written: Written, environment: str | None = None) -> Contract:
    """A written contract as it holds in an environment, this process's by default.

    Raises:
        ContractError: when it does not hold there or in another of its environments, with file, line and field.
    """
    try:
        contract = Contract.model_validate(written.attributes)
        here = contract.in_environment(environment or Home.from_environment().environment)
        return in_module(here, written.module, written.file)
    except ValidationError as error:
        raise explain(error, written.node, _shown(written.file)) from error


def _recorded(home: Home, model: str) -> Contract | None:
    from retrain_assets.cli.opening import controller_of, is_recorded

    if not is_recorded(home):
        return None
    controller = controller_of(home)
    state = controller.state(model)
    if state.active_toggle is not None:
        return state.active_toggle.terms
    for known in reversed(list(state.retrains.values())):
        try:
            return Contract.recorded(controller.evidence.get(known.contract_digest))
        except RetrainError:
            continue
    return None


def _shown(file: Path) -> str:
    """A path as people read it: relative to the working directory where it is below it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
