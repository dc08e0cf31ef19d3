"""A change of limits as a unified diff of the contract's YAML, comments and form kept; a person reads it and applies it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any

import yaml
from pydantic import ValidationError

from retrain_assets.contract import Contract, ContractError
from retrain_assets.reports.release_review.quantities import Path, shown_path


@dataclass(frozen=True, slots=True)
class ContractFile:
    """A contract's YAML.

    Args:
        name: how a diff names it: relative to its git checkout where it is in one.
        text: its text.
        root: path of the contract in its document; empty where the document is the contract.
    """

    name: str
    text: str
    root: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One limit, to be set to a value."""

    path: Path
    value: float


def contract_file(contract: Contract, written: File | None = None) -> ContractFile:
    """The YAML of a model: its ``defs.yaml``, looked for beside the Python of its features, else the contract in canonical form.

    Args:
        contract: the contract, Python paths absolute.
        written: the file, where it is known.
    """
    for file in [written] if written is not None else _beside_features(contract):
        text = file.read_text(encoding="utf-8")
        if _document(text, contract.model) is not None:
            return ContractFile(_name_in_checkout(file), text, ("attributes",))
    return ContractFile(f"{contract.model}.yaml", yaml.safe_dump(contract.to_json(), sort_keys=False, width=120))


def diff_of(file: ContractFile, model: str, changes: Sequence[Change]) -> str:
    """The changes as a diff that ``git apply`` takes; empty where nothing changes.

    Raises:
        ContractError: when a change cannot be written, or the changed contract would not be valid.
    """
    text = file.text
    for change in changes:
        text = _changed(text, file, model, change)
    _require_valid(text, file, model)
    before, after = (one.splitlines(keepends=True) for one in (file.text, text))
    lines = difflib.unified_diff(before, after, f"a/{file.name}", f"b/{file.name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _changed(text: str, file: ContractFile, model: str, change: Change) -> str:
    node: yaml.Node | None = _document(text, model) if file.root else yaml.compose(text)
    path: Path = (*file.root, *change.path)
    value = _number(change.value)
    for depth, part in enumerate(path):
        found = _child(node, part)
        if found is None:
            changed = _inserted(text, node, path[depth:], value)
            break
        node = found
    else:
        assert node is not None  # the last part was found
        changed = text[: node.start_mark.index] + value + text[node.end_mark.index :]
    if changed is None or _value_at(changed, file, model, change.path) != change.value:
        raise ContractError(
            f"{shown_path(change.path)} cannot be written into it", where=file.name, remedy=f"set it to {value} by hand"
        )
    return changed


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        found: yaml.Node = node.value[part]
        return found
    return None


def _inserted(text: str, node: yaml.Node | None, rest: Path, value: str) -> str | None:
    """The text with a field that was not there, in a mapping that is; None where there is none."""
    if not isinstance(node, yaml.MappingNode) or any(isinstance(part, int) for part in rest):
        return None
    entry = f"{rest[0]}: " + "".join(f"{{{part}: " for part in rest[1:]) + value + "}" * (len(rest) - 1)
    if node.flow_style:
        place = node.end_mark.index - 1
        before = text[:place].rstrip()
        return f"{before}{', ' if node.value else ''}{entry}{text[place:]}"
    first = node.value[0][0]
    indent = " " * first.start_mark.column
    return f"{text[: first.start_mark.index]}{entry}\n{indent}{text[first.start_mark.index :]}"


def _document(text: str, model: str) -> yaml.Node | None:
    """The document with the contract of a model; None where there is none, or the text is not YAML."""
    try:
        documents = list(yaml.compose_all(text))
    except yaml.YAMLError:
        return None
    for node in documents:
        named = _child(_child(node, "attributes"), "model")
        if named is not None and named.value == model:
            return node
    return None


def _contract_in(text: str, file: ContractFile, model: str) -> Any:
    if not file.root:
        return yaml.safe_load(text)
    found = (one.get("attributes") for one in yaml.safe_load_all(text) if isinstance(one, dict))
    return next((one for one in found if isinstance(one, dict) and one.get("model") == model), None)


def _value_at(text: str, file: ContractFile, model: str, path: Path) -> Any:
    try:
        value = _contract_in(text, file, model)
    except yaml.YAMLError:
        return None
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _require_valid(text: str, file: ContractFile, model: str) -> None:
    try:
        Contract.model_validate(_contract_in(text, file, model))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ContractError(
            f"the changed contract would not be valid: {where or 'contract'}: {fault['msg']}", where=file.name, remedy="leave it"
        ) from error


def _number(value: float) -> str:
    """A number that YAML reads as one: no exponent without a point."""
    text = f"{value:.10g}"
    return f"{value:.12f}".rstrip("0").rstrip(".") if "e" in text else text


def _beside_features(contract: Contract) -> Iterator[File]:
    """``defs.yaml`` in the folder of the features' module, without importing it."""
    module = contract.features.rpartition(".")[0]
    for name in (module, module.rpartition(".")[0]):
        try:
            spec = find_spec(name) if name else None
        except (ImportError, ValueError):
            continue
        if spec is None or spec.origin is None:
            continue
        for file in ("defs.yaml", "component.yaml"):
            if (path := File(spec.origin).parent / file).is_file():
                yield path


def _name_in_checkout(file: File) -> str:
    """The path as ``git apply`` wants it, relative to the checkout; to the working directory where there is none."""
    resolved = file.resolve()
    for folder in resolved.parents:
        if (folder / ".git").exists():
            return resolved.relative_to(folder).as_posix()
    here = File.cwd()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else resolved.name
