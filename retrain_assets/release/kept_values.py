"""Values of the folded state as JSON and back, by the types their dataclasses declare. Reading one runs no code of its own."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

Step = Callable[[Any], Any]

_PLAIN = (str, int, float, bool, type(None))


def to_plain(value: Any, kind: Any) -> Any:
    """A value of a declared type as what JSON holds; a dataclass as the list of its fields."""
    return _writer(kind)(value)


def from_plain(value: Any, kind: Any) -> Any:
    """The inverse of :func:`to_plain`.

    Raises:
        TypeError: for what has not the shape of the type.
        ValueError: the same.
    """
    return _reader(kind)(value)


def field_values(value: Sequence[Any], kind: Any) -> list[Any]:
    """The values of a dataclass's fields, in the order its constructor takes them."""
    return [read(one) for read, one in zip(_field_readers(kind), value, strict=True)]


@cache
def field_names(kind: Any) -> tuple[str, ...]:
    """The fields of a dataclass, in the order its constructor takes them."""
    return tuple(one.name for one in fields(kind))


@cache
def _writer(kind: Any) -> Step:
    origin, arguments = _taken_apart(kind)
    if is_dataclass(kind):
        steps = [(name, _writer(of)) for name, of in _field_types(cast("Any", kind))]
        return lambda value: [write(getattr(value, name)) for name, write in steps]
    if origin in (tuple, Sequence):
        write = _writer(arguments[0])
        return lambda value: [write(one) for one in value]
    if origin is Mapping:
        key, item = _writer(arguments[0]), _writer(arguments[1])
        return lambda value: [[key(name), item(one)] for name, one in value.items()]
    if origin is frozenset:
        return sorted
    if origin is Union:
        write = _writer(arguments[0])
        return lambda value: None if value is None else write(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return str
    if kind in (datetime, date):
        return lambda value: value.isoformat()
    return _as_it_is


@cache
def _reader(kind: Any) -> Step:
    origin, arguments = _taken_apart(kind)
    if is_dataclass(kind):
        return lambda value: cast("Any", kind)(*field_values(value, kind))
    if origin in (tuple, Sequence):
        read = _reader(arguments[0])
        return lambda value: tuple([read(one) for one in value])
    if origin is Mapping:
        key, item = _reader(arguments[0]), _reader(arguments[1])
        return lambda value: {key(name): item(one) for name, one in value}
    if origin is frozenset:
        return frozenset
    if origin is Union:
        read = _reader(arguments[0])
        return lambda value: None if value is None else read(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if kind in (datetime, date):
        return cast("Step", kind.fromisoformat)
    return _as_it_is


def _taken_apart(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a generic type is of, with its arguments; plain ones, and mappings of plain JSON values, as nothing at all.

    Raises:
        TypeError: for a type that this module does not know how to keep.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType or origin is Union:
        one = tuple(of for of in arguments if of is not type(None))
        return (None, ()) if all(of in _PLAIN for of in one) else (Union, _only(one, kind))
    if origin is not None and issubclass(origin, Mapping):
        return (None, ()) if arguments == (str, Any) else (Mapping, arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return tuple, arguments
    if origin is Sequence:
        return Sequence, arguments
    if origin is frozenset and arguments == (str,):
        return frozenset, arguments
    known = kind is Any or kind in _PLAIN or kind in (datetime, date) or is_dataclass(kind)
    if origin is None and (known or issubclass(kind, StrEnum)):
        return None, ()
    raise TypeError(f"the kept state does not know how to keep {kind}")


def _only(several: tuple[Any, ...], kind: Any) -> tuple[Any, ...]:
    if len(several) != 1:
        raise TypeError(f"the kept state does not know how to keep {kind}")
    return several


@cache
def _field_types(kind: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(kind)
    return [(name, hints[name]) for name in field_names(kind)]


@cache
def _field_readers(kind: Any) -> list[Step]:
    return [_reader(of) for _, of in _field_types(kind)]


def _as_it_is(value: Any) -> Any:
    return value
