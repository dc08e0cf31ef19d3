"""What a request may hold, read off the SDK itself: the parameters of its methods and the fields of its dataclasses."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

FLAT = (str, int, float, bool)


def refuse_unknown(sent: Mapping[str, Any], accepts: Any, *, given: set[str], text: bool = False) -> str | None:
    """What is wrong with a request, or None. ``given`` are fields of the path, ``text`` says that all values are text."""
    known = {name: kind for name, kind in known_fields(accepts).items() if name not in given}
    absent = required_fields(accepts) - sent.keys() - given
    if absent:
        return f"Missing required field: {', '.join(sorted(absent))}"
    for name, value in sent.items():
        if name not in known:
            return f"Unknown field '{name}' in request; known are {', '.join(sorted(known)) or 'none'}"
        if not text and (complaint := _mismatch(value, known[name], name)) is not None:
            return complaint
    return None


@functools.cache
def known_fields(accepts: Any) -> dict[str, Any]:
    """Names and types of the fields that a method, a dataclass or a mapping of them allows."""
    if isinstance(accepts, frozenset):
        return dict(accepts)
    if is_record(accepts):
        return _hints(accepts)
    hints = get_type_hints(accepts)
    return {name: hints.get(name, Any) for name in inspect.signature(accepts).parameters if name != "self"}


@functools.cache
def required_fields(accepts: Any) -> frozenset[str]:
    """Names of the fields that a method or a dataclass cannot do without."""
    if isinstance(accepts, frozenset):
        return frozenset()
    parameters = inspect.signature(accepts).parameters.values()
    return frozenset(one.name for one in parameters if one.default is inspect.Parameter.empty and one.name != "self")


def is_record(kind: Any) -> bool:
    """Whether a type is a dataclass of the SDK."""
    return dataclasses.is_dataclass(kind)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if not name.startswith("_")}


def _mismatch(value: Any, kind: Any, where: str) -> str | None:
    if value is None or kind is Any:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        complaints = [_mismatch(value, one, where) for one in inner if one is not type(None)]
        return None if None in complaints else complaints[0]
    if origin in (list, tuple):
        if not isinstance(value, list):
            return f"Field '{where}' must be a list, not {type(value).__name__}"
        return next((c for n, one in enumerate(value) if (c := _mismatch(one, inner[0], f"{where}[{n}]")) is not None), None)
    if origin is dict:
        if not isinstance(value, dict):
            return f"Field '{where}' must be an object, not {type(value).__name__}"
        return next((c for name, one in value.items() if (c := _mismatch(one, inner[1], f"{where}.{name}")) is not None), None)
    return _flat_mismatch(value, kind, where)


def _flat_mismatch(value: Any, kind: Any, where: str) -> str | None:
    if is_record(kind):
        if not isinstance(value, dict):
            return f"Field '{where}' must be an object, not {type(value).__name__}"
        hints = _hints(kind)
        absent = required_fields(kind) - value.keys()
        if absent:
            return f"Missing required field: {', '.join(f'{where}.{name}' for name in sorted(absent))}"
        for name, one in value.items():
            if name not in hints:
                return f"Unknown field '{where}.{name}' in request; known are {', '.join(sorted(hints))}"
            if (complaint := _mismatch(one, hints[name], f"{where}.{name}")) is not None:
                return complaint
        return None
    if isinstance(kind, type) and issubclass(kind, Enum):
        allowed = [member.value for member in kind]
        return None if value in allowed else f"Invalid value '{value}' of '{where}'; allowed are {', '.join(map(str, allowed))}"
    if kind in FLAT:
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            return f"Field '{where}' must be {kind.__name__}, not {type(value).__name__}"
    return None
