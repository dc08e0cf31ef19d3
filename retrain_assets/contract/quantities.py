"""The scalar types of a contract: durations (``90d``), shares (``5%`` or ``0.05``), cron expressions, names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: Any) -> timedelta:
    """``90d``, ``36h``, ``30m``, ``45s``, ``2w`` as a timedelta; a timedelta passes through."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write a number and a unit, such as 90d, 36h, 30m or 45s")
    return timedelta(**{_UNITS[match.group(2)]: float(match.group(1))})


def format_duration(value: timedelta) -> str:
    """The shortest exact form of a duration, in the largest unit that divides it."""
    seconds = value.total_seconds()
    for suffix, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0 and seconds:
            return f"{int(seconds // size)}{suffix}"
    return f"{seconds:g}s"


def parse_share(value: Any) -> float:
    """``5%`` as 0.05; a number passes through."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a share; write 5% or 0.05")
    if isinstance(value, (int, float)):
        return float(value)
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a share; write a percentage such as 5% or a fraction such as 0.05")
    return float(match.group(1)) / 100


def named_once(names: list[str]) -> list[str]:
    """A list in which no name stands twice, unchanged."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} stands there twice; name it once")
    return names


def above_zero(value: timedelta) -> timedelta:
    """A duration that is not nothing, unchanged."""
    if value <= timedelta(0):
        raise ValueError("must be longer than 0; write a duration such as 1d")
    return value


def check_cron(value: str) -> str:
    """A cron expression of five fields, unchanged."""
    try:
        CronSim(value, datetime.now(UTC))
        fields = len(value.split())
        if fields != 5:
            raise CronSimError(f"it has {fields} fields")
    except CronSimError as error:
        raise ValueError(f"{value!r} is not a cron expression ({error}); write five fields such as 0 6 * * 1") from error
    return value


def check_month_day(value: str) -> str:
    """A day of the year as ``MM-DD``, unchanged."""
    try:
        datetime.strptime(f"2000-{value}", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a day of the year; write month and day such as 12-24") from error
    return value


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^\s*\d+(\.\d+)?\s*[smhdw]\s*$",
    "examples": ["90d", "36h"],
    "description": "A duration: a number and one of s, m, h, d, w.",
}
SHARE_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*-?\d+(\.\d+)?\s*%\s*$"}],
    "examples": ["5%", 0.05],
    "description": "A share: a percentage such as 5% or a fraction such as 0.05.",
}

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
Period = Annotated[Duration, AfterValidator(above_zero)]
Cron = Annotated[str, AfterValidator(check_cron)]
MonthDay = Annotated[str, StringConstraints(pattern=r"^\d{2}-\d{2}$"), AfterValidator(check_month_day)]
Share = Annotated[float, BeforeValidator(parse_share), WithJsonSchema(SHARE_SCHEMA)]
Portion = Annotated[Share, Field(ge=0, le=1)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,62}$")]
ColumnName = Annotated[str, StringConstraints(min_length=1)]
TableName = Annotated[str, StringConstraints(pattern=r"^[^.\s]+\.[^.\s]+\.[^.\s]+$")]
"""A table of Unity Catalog: ``CATALOG.SCHEMA.TABLE``."""
Columns = Annotated[list[ColumnName], AfterValidator(named_once)]
Owner = Annotated[str, StringConstraints(pattern=r"^(team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
PythonPath = Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$|^\.[A-Za-z_]\w*$")]
NotifyUrl = Annotated[str, StringConstraints(pattern=r"^(\$\{[A-Z][A-Z0-9_]*\}|[a-z][a-z0-9+.-]*://\S+)$")]
"""A service to notify, or the environment variable that holds its URL (tokens do not belong in a contract): ``${SLACK_URL}``."""
