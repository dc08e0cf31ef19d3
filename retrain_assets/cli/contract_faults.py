"""From pydantic's faults of a contract to one line: file, line, field, what is wrong and what to write instead."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from retrain_assets.contract import Contract, ContractError
from retrain_assets.contract.environments import MAY_DIFFER, in_contract
from retrain_assets.contract.quantities import ModelName, Owner, PythonPath

_WRITE = {
    typing.get_args(kind)[1].pattern: remedy
    for kind, remedy in (
        (Owner, "write team:NAME or an e-mail address"),
        (ModelName, "write small letters, digits and underscores, such as flight_delay"),
        (PythonPath, "write a Python path, such as .features.build"),
    )
}
"""What to write, by the pattern that was not met."""


_EXPECTED = {
    "int_parsing": ("a whole number", "write one, such as 500"),
    "int_type": ("a whole number", "write one, such as 500"),
    "int_from_float": ("a whole number", "write one, such as 500"),
    "float_parsing": ("a number", "write one, such as 0.5"),
    "float_type": ("a number", "write one, such as 0.5"),
    "bool_parsing": ("true or false", "write true or false"),
    "bool_type": ("true or false", "write true or false"),
    "list_type": ("a list", "write it in brackets, [one, another]"),
    "dict_type": ("a part with fields", "write name: value in braces or on lines of their own"),
    "model_type": ("a part with fields", "write its fields, name: value, in braces or on lines of their own"),
    "string_type": ("text", "write it in quotes"),
}
"""What a field takes and what to write, by the kind of value that was found wrong."""


def explain(error: ValidationError, node: yaml.Node, file: str) -> ContractError:
    """The first fault in the order of the file, with the lines of the others.

    Args:
        error: what pydantic found.
        node: the YAML node of the contract.
        file: the file, as it is to be shown.
    """
    faults = sorted((_located(fault, node) for fault in _told_once(error.errors(include_url=False))), key=lambda one: one[0])
    line, fault = faults[0]
    others = ", ".join(f"{_field(other)} (line {number})" for number, other in faults[1:])
    what, remedy = _words(fault)
    field = _field(fault)
    own, within = field.rpartition(".")[2], ".".join(str(part) for part in in_contract(fault["loc"]))
    what = field.removesuffix(within) + what if what.startswith(f"{within} ") else what
    what = what if what.startswith(f"{field} ") else f"{field}: {what.removeprefix(f'{field}: ').removeprefix(f'{own}: ')}"
    return ContractError(what, where=f"{file}:{line}", remedy=remedy + (f"; further faults: {others}" if others else ""))


def _told_once(faults: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Faults without the fields that are only missing because another one, beside them, is their misspelling."""
    misspelt = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    return [
        fault
        for fault in faults
        if fault["type"] != "missing"
        or not any(
            other[:-1] == fault["loc"][:-1] and get_close_matches(str(other[-1]), [str(fault["loc"][-1])], n=1)
            for other in misspelt
        )
    ]


def _located(fault: ErrorDetails, node: yaml.Node) -> tuple[int, ErrorDetails]:
    """The line of the deepest part of the fault's path that is written, and the fault with its path up to there.

    A rule that crosses parts begins its message with the field it is about, ``toggle.expires_after must …``; that field is meant.
    """
    line, walked, node = _walk(node, fault["loc"])
    path = list(walked)
    if fault["type"] == "missing" and len(walked) < len(fault["loc"]):
        path.append(fault["loc"][len(walked)])
    if fault["type"] == "value_error" and (named := re.match(r"Value error, ([a-z_]+(?:\.\w+)*)", fault["msg"])):
        deeper, parts, _ = _walk(node, named.group(1).split("."))
        line, path = (deeper, path + parts) if parts else (line, path)
    return line, {**fault, "loc": tuple(path)}


def _walk(node: yaml.Node, path: Sequence[int | str]) -> tuple[int, list[int | str], yaml.Node]:
    """As far along a path as is written: the line, the path up to there, the node."""
    line, walked = node.start_mark.line + 1, []
    for part in path:
        if isinstance(node, yaml.MappingNode) and (found := [pair for pair in node.value if pair[0].value == str(part)]):
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
        walked.append(part)
    return line, walked, node


def _field(fault: ErrorDetails) -> str:
    return ".".join(str(part) for part in fault["loc"]) or "contract"


def _words(fault: ErrorDetails) -> tuple[str, str]:
    """What is wrong and what to write instead."""
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = _fields_beside(fault["loc"])
        close = get_close_matches(str(fault["loc"][-1]), known, n=1)
        return "there is no such field", f"did you mean {close[0]}?" if close else f"fields here: {', '.join(known)}"
    if kind == "missing":
        described = _description(fault["loc"])
        return "is required", f"add it ({described.rstrip('.')})" if described else "add it"
    if kind == "value_error":
        what, _, remedy = message.partition("; ")
        return what, remedy
    if kind == "string_pattern_mismatch":
        return f"{fault['input']!r} is not written as it has to be", _WRITE.get(fault.get("ctx", {}).get("pattern", ""), message)
    described = _description(fault["loc"]).rstrip(".")
    if (expected := _EXPECTED.get(kind)) is not None:
        return f"{_shown(fault['input'])} is not {expected[0]}", f"{expected[1]}{f' ({described})' if described else ''}"
    return message[:1].lower() + message[1:], described


def _shown(value: Any) -> str:
    """What was written, as it is read: a list or a part by its kind."""
    return {dict: "a part with fields", list: "a list", type(None): "nothing"}.get(type(value)) or repr(value)


def _fields_beside(path: tuple[int | str, ...]) -> list[str]:
    """The fields that may stand where the path's last part stands."""
    if path[0] == "environments" and len(path) == 3:
        return list(MAY_DIFFER)
    parts = _parts(Contract)
    for name in in_contract(path)[:-1]:
        parts = _parts(parts[str(name)].annotation) if str(name) in parts else parts
    return list(parts)


def _description(path: tuple[int | str, ...]) -> str:
    parts, described = _parts(Contract), ""
    for name in in_contract(path):
        if str(name) in parts:
            described = parts[str(name)].description or ""
            parts = _parts(parts[str(name)].annotation)
    return described


def _parts(annotation: Any) -> dict[str, FieldInfo]:
    """Fields, by the name they are written with, of the contract's part an annotation holds; empty where it holds none."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        return {field.alias or name: field for name, field in annotation.model_fields.items()}
    for argument in typing.get_args(annotation):
        if parts := _parts(argument):
            return parts
    return {}
