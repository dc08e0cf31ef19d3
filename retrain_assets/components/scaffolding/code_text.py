"""The two Python files of a scaffolded model: the feature function, and the schema with what became of scored rows."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

import polars as pl

from retrain_assets.components.scaffolding.facts import Column, Facts
from retrain_assets.components.scaffolding.limits import Limits
from retrain_assets.components.scaffolding.roles import Roles
from retrain_assets.components.scaffolding.suspects import Sorted

WIDTH = 100
_TYPES: dict[type[pl.DataType], str] = {pl.String: "str", pl.Int64: "int", pl.Float64: "float", pl.Boolean: "bool"}


def features_text(model: str, facts: Facts, roles: Roles, columns: Sorted) -> str:
    """The file ``features.py``."""
    numbers = [name for name in columns.features if facts.columns[name].is_number or facts.columns[name].dtype == pl.Boolean]
    categories = [name for name in columns.features if facts.columns[name].is_text]
    calendar = list(calendar_of(facts, roles).values())
    weekday = any(line.startswith("day_of_week") for line in calendar)
    parts = [
        f'"""Features of {model}: what is known when the prediction is made. One code for Polars and Spark (narwhals)."""',
        "",
        "from typing import Any",
        "",
        "import narwhals as nw",
        "",
        *_listed("NUMBERS", numbers),
        *_listed("CATEGORIES", categories),
        *([f"WEEKDAY = nw.col({_quoted(roles.event_time)}).dt.weekday().cast(nw.Float64)"] if weekday else []),
        *(['"""Monday 1 to Sunday 7; on Spark, narwhals says 0 for a Sunday."""'] if weekday else []),
        *_left_out(columns),
        "",
        "",
        "def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:",
        '    """The unit and its features: one row for each source row, in the same order."""',
        "    return rows.select(",
        f"        {_quoted(roles.unit)},",
        *(["        *NUMBERS,"] if numbers else []),
        *(["        *CATEGORIES,"] if categories else []),
        *(f"        {line}," for line in calendar),
        "    )",
        "",
    ]
    return "\n".join(parts)


def schema_text(model: str, facts: Facts, roles: Roles, limits: Limits) -> str:
    """The file ``schema.py``."""
    fields = [line for column in facts.columns.values() if (line := _field(column, roles)) is not None]
    annotated = any("Annotated[" in line for line in fields)
    polars = any("pl." in line for line in fields)
    parts = [
        f'"""What one source row of {model} must look like, and what became of a scored row (for `retrain rehearse`)."""',
        "",
        f"from typing import {'Annotated, ' if annotated else ''}Any",
        "",
        "import narwhals as nw",
        "import pandera.polars as pa",
        *(["import polars as pl"] if polars else []),
        "",
        *_costs(limits),
        "",
        "class Rows(pa.DataFrameModel):",
        '    """One row: add what must always hold (ranges, allowed values); gate data refuses rows that break it."""',
        "",
        *fields,
        "",
        "",
        *_outcomes(roles),
        "",
    ]
    return "\n".join(parts)


def calendar_of(facts: Facts, roles: Roles) -> dict[str, str]:
    """Features of the event time, by name: none of a date's hour, no weekday where there are less than four of each."""
    moment = f"nw.col({_quoted(roles.event_time)}).dt"
    found = {}
    sample = facts.sample[roles.event_time]
    if sample.dtype != pl.Date and sample.dt.hour().n_unique() > 1:
        found["hour_of_day"] = f"hour_of_day={moment}.hour().cast(nw.Float64)"
    if sample.cast(pl.Datetime("us")).dt.truncate("1d").n_unique() >= 28:
        found["day_of_week"] = "day_of_week=nw.when(WEEKDAY == 0).then(nw.lit(7.0)).otherwise(WEEKDAY)"
    return {name: line for name, line in found.items() if name not in facts.columns}


def _listed(name: str, values: list[str]) -> list[str]:
    if not values:
        return []
    line = f"{name} = [{', '.join(map(_quoted, values))}]"
    if len(line) <= WIDTH:
        return [line]
    return [f"{name} = [", *(f"    {_quoted(value)}," for value in values), "]"]


def _left_out(columns: Sorted) -> list[str]:
    if not columns.left_out:
        return []
    words = (f"# {name}: {why.value} ({said})" for name, (why, said) in columns.left_out.items())
    return ["", "# Left out; add to the lists above what you know to be known in time:", *words]


def _field(column: Column, roles: Roles) -> str | None:
    """A column's line in the schema; None for a type that a schema cannot hold."""
    written = _type(column.dtype)
    if written is None:
        return None
    name = _identifier(column.name)
    options = [f'alias="{column.name}"'] if name != column.name else []
    if column.missing > 0 or column.name == roles.label:
        options.append("nullable=True")
    if column.name == roles.label and roles.task == "binary_classification" and column.dtype != pl.Boolean:
        options.append("isin=[0, 1]")
    elif column.is_number and column.name != roles.unit and _begins_at_zero(column):
        options.append("ge=0")
    return f"    {name}: {written}" + (f" = pa.Field({', '.join(options)})" if options else "")


def _begins_at_zero(column: Column) -> bool:
    """Whether values reach 0, or 1 in whole numbers, and not below: counts, amounts. A warm year has no frost."""
    return column.low == 0 or (column.dtype.is_integer() and column.low == 1)


def _type(dtype: pl.DataType) -> str | None:
    if isinstance(dtype, pl.Datetime):
        zone = f'"{dtype.time_zone}"' if dtype.time_zone else "None"
        return f'Annotated[pl.Datetime, "{dtype.time_unit}", {zone}]'
    if (
        dtype.is_nested()
        or dtype.is_decimal()
        or isinstance(dtype, pl.Enum | pl.Duration)
        or dtype in (pl.Object, pl.Binary, pl.Null)
    ):
        return None
    return _TYPES.get(type(dtype), f"pl.{type(dtype).__name__}")


def _costs(limits: Limits) -> list[str]:
    if limits.threshold is None:
        return []
    ratio = limits.threshold / (1 - limits.threshold)
    return [
        "MISSED_COST = 1.0",
        '"""What a positive without a positive decision costs."""',
        f"FALSE_ALARM_COST = {ratio:.4g}",
        f'"""What a positive decision about a negative costs; decision.threshold {limits.threshold} is right where this is."""',
        "",
    ]


def _outcomes(roles: Roles) -> Iterable[str]:
    label = f"nw.col({_quoted(roles.label)})"
    head = ["def outcomes(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:"]
    if roles.task == "binary_classification":
        return [
            *head,
            '    """What a decision cost once the label is known; null where it is not."""',
            f'    known, positive, decided = ~{label}.is_null(), {label}.cast(nw.Float64) == 1.0, nw.col("decision")',
            "    missed = nw.when(known).then((positive & ~decided).cast(nw.Float64))",
            "    alarm = nw.when(known).then((decided & ~positive).cast(nw.Float64))",
            "    return rows.select(",
            "        cost=missed * MISSED_COST + alarm * FALSE_ALARM_COST, missed_rate=missed, false_alarm_rate=alarm",
            "    )",
        ]
    if roles.task == "multiclass":
        return [
            *head,
            '    """Whether the class was wrong once the label is known; null where it is not."""',
            f'    known, right = ~{label}.is_null(), {label}.cast(nw.String) == nw.col("decision").cast(nw.String)',
            "    return rows.select(mistake=nw.when(known).then((~right).cast(nw.Float64)))",
        ]
    return [
        *head,
        '    """How far the prediction was off once the label is known; null where it is not."""',
        f'    return rows.select(absolute_error=(nw.col("score") - {label}.cast(nw.Float64)).abs())',
    ]


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name)
    plain = f"column_{plain}" if not plain or plain[0].isdigit() or plain.startswith("_") else plain
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
