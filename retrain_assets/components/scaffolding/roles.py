"""Which column is the label, the time, the unit, and what is predicted: as told, inferred, asked, or refused by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

import click
import polars as pl

from retrain_assets.components.scaffolding.facts import Column, Facts
from retrain_assets.components.scaffolding.params import RetrainParams
from retrain_assets.contract import RetrainError, format_duration, parse_duration

TASKS = ("binary_classification", "multiclass", "regression")
LABELS = ("label", "target", "outcome", "y")
MOST_CLASSES = 20
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Roles:
    """What each column is for.

    Args:
        event_time: column with the moment of the prediction.
        unit: column that stays on one arm.
        label: column that is predicted.
        task: what is predicted.
        label_delay: how long after the event the label is known.
    """

    event_time: str
    unit: str
    label: str
    task: str
    label_delay: timedelta


def find_roles(facts: Facts, params: RetrainParams, say: Say) -> Roles:
    """The roles of the source's columns.

    Args:
        facts: the source.
        params: what was said on the command line.
        say: is told what was taken and why.

    Raises:
        RetrainError: naming the option, where a role cannot be told and nobody can be asked.
    """
    label = _label(facts, params, say)
    event_time = _event_time(facts, params, label, say)
    unit = _unit(facts, params, (label, event_time), say)
    task = _task(facts, params, label, say)
    return Roles(event_time, unit, label, task, _label_delay(facts, params, label, event_time, say))


def _label(facts: Facts, params: RetrainParams, say: Say) -> str:
    named = [name for name in facts.columns if name.lower() in LABELS]
    if params.label is None and len(named) == 1:
        say(f"label: {named[0]}, by its name")
    label = _chosen(facts, "label", params.label, named, "which column is predicted")
    column = facts.columns[label]
    if column.distinct < 2:
        raise RetrainError(
            f"has {'one value' if column.distinct else 'no value'}, so there is nothing to predict",
            where=f"--label {label}",
            remedy="name the column that is predicted",
        )
    return label


def _event_time(facts: Facts, params: RetrainParams, label: str, say: Say) -> str:
    moments = [name for name, column in facts.columns.items() if column.is_moment and name != label]
    if params.event_time is None and not moments:
        texts = [name for name, column in facts.columns.items() if column.is_text and _reads_as_time(facts.sample[name])]
        raise RetrainError(
            f"no column is a date or a time{f'; {texts[0]!r} is text that reads as one' if texts else ''}",
            where=f"--source {facts.uri}",
            remedy="write the moment of the prediction as a timestamp in UTC (polars: "
            f'pl.col("{texts[0] if texts else "time"}").str.to_datetime(time_zone="UTC"))',
        )
    whole = [name for name in moments if facts.columns[name].missing == 0]
    likely = whole if len(whole) == 1 else moments
    if params.event_time is None and len(likely) == 1:
        why = "the only date or time" if len(moments) == 1 else "the only date or time that every row has"
        say(f"event time: {likely[0]}, {why}")
    event_time = _chosen(facts, "event-time", params.event_time, likely, "when is the prediction of a row made")
    column = facts.columns[event_time]
    if not column.is_moment:
        raise RetrainError(
            f"is {column.dtype}, and has to be a timestamp",
            where=f"--event-time {event_time}",
            remedy=f'convert it in the source, in polars: pl.col("{event_time}").str.to_datetime(time_zone="UTC")',
        )
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is None:
        say(f"note: {event_time} has no time zone and is taken as UTC; if it is local time, convert it in the source")
    return event_time


def _unit(facts: Facts, params: RetrainParams, taken: Sequence[str], say: Say) -> str:
    possible = {
        name: column
        for name, column in facts.columns.items()
        if name not in taken and column.missing == 0 and (column.is_text or column.dtype.is_integer()) and column.distinct > 1
    }
    named = [name for name in possible if re.search(r"(^|_)(id|key|uuid|guid)$", name.lower()) or re.search(r"[a-z]Id$", name)]
    unique = [name for name, column in possible.items() if column.is_text and column.distinct == facts.rows]
    likely = named or unique
    if params.unit is None and len(likely) == 1:
        say(f"unit: {likely[0]}, {'by its name' if named else 'the only text that names every row'}")
    wanted = "what stays on one arm (customer, account, order)"
    return _chosen(facts, "unit", params.unit, likely if len(likely) == 1 else likely or list(possible), wanted)


def _task(facts: Facts, params: RetrainParams, label: str, say: Say) -> str:
    column = facts.columns[label]
    if params.task is not None and params.task not in TASKS:
        remedy = f"write one of {', '.join(TASKS)}"
        raise RetrainError(f"{params.task!r} is not a task", where="--task", remedy=remedy)
    task = params.task or _likely_task(column)
    if task is None:
        task = _asked("task", TASKS, f"{label} has {column.distinct} different numbers; what is it")
    elif params.task is None:
        say(f"task: {task}, {label} has {column.distinct:,} different {'texts' if column.is_text else 'values'}")
    _refuse_other_labels(column, task)
    return task


def _likely_task(column: Column) -> str | None:
    """What a label is by its values; None for a few whole numbers, which may be classes or counts."""
    if column.distinct == 2:
        return "binary_classification"
    if column.is_text:
        return "multiclass"
    return None if column.dtype.is_integer() and column.distinct <= MOST_CLASSES else "regression"


def _refuse_other_labels(column: Column, task: str) -> None:
    values = {value for value, _ in column.levels}
    where = f"--label {column.name}"
    if task == "binary_classification" and not (column.distinct == 2 and values in ({0, 1}, {False, True})):
        shown = ", ".join(repr(value) for value in sorted(values, key=str)[:5]) or f"{column.distinct:,} different values"
        what = f"is not binary: it holds {shown}{' …' if column.distinct > 5 and values else ''}"
        if column.distinct == 2:
            first = max(values, key=str)
            remedy = f'a binary label is 0/1 or boolean; write (pl.col("{column.name}") == {first!r}) into the source'
        else:
            remedy = "a binary label is 0/1 or boolean; name another column, or give --task multiclass or regression"
        raise RetrainError(what, where=where, remedy=remedy)
    if task == "multiclass" and not (column.is_text or column.dtype.is_integer()):
        raise RetrainError(
            f"is {column.dtype}; a class is a text or a whole number", where=where, remedy="give --task regression"
        )
    if task == "multiclass" and column.distinct > 100:
        raise RetrainError(f"has {column.distinct:,} classes", where=where, remedy="join rare ones, or name another column")
    if task == "regression" and not column.is_number:
        raise RetrainError(f"is {column.dtype}, and a regression predicts a number", where=where, remedy="give --task multiclass")


def _label_delay(facts: Facts, params: RetrainParams, label: str, event_time: str, say: Say) -> timedelta:
    if params.label_delay is not None:
        try:
            return parse_duration(params.label_delay)
        except ValueError as error:
            what, _, remedy = str(error).partition("; ")
            raise RetrainError(what, where="--label-delay", remedy=remedy) from error
    moment = pl.col(event_time).cast(pl.Datetime("us"))
    newest, labelled = facts.lazy.select(moment.max(), labelled=moment.filter(pl.col(label).is_not_null()).max()).collect().row(0)
    waits = -(-(newest - labelled) // timedelta(days=1))
    if facts.columns[label].missing and waits >= 1:
        delay = timedelta(days=waits)
        say(f"label delay: {format_duration(delay)}, the newest rows without a label are that young")
        return delay
    say("label delay: 1d, as the source does not show it; give --label-delay if labels come later")
    return timedelta(days=1)


def _chosen(facts: Facts, option: str, told: str | None, likely: Sequence[str], question: str) -> str:
    """The column as told, the only likely one, or the one somebody names on the terminal."""
    if told is None:
        return likely[0] if len(likely) == 1 else _asked(option, likely or list(facts.columns), question)
    require_column(facts, option, told)
    return told


def require_column(facts: Facts, option: str, name: str) -> None:
    """Refuse a name that the source does not have.

    Raises:
        RetrainError: with the option and the nearest name.
    """
    if name not in facts.columns:
        close = get_close_matches(name, list(facts.columns), n=1)
        remedy = f"did you mean {close[0]}?" if close else f"columns: {', '.join(facts.columns)}"
        raise RetrainError(f"there is no column {name!r}", where=f"--{option}", remedy=remedy)


def _asked(option: str, choices: Sequence[str], question: str) -> str:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        shown = ", ".join(choices[:12]) + (" …" if len(choices) > 12 else "")
        raise RetrainError(f"it cannot be told {question}", remedy=f"give --{option}, one of {shown}")
    return str(click.prompt(f"{question[:1].upper()}{question[1:]}? (--{option})", type=click.Choice(list(choices))))


def _reads_as_time(values: pl.Series) -> bool:
    text = values.cast(pl.String).drop_nulls().head(20)
    return text.len() > 0 and bool(text.str.contains(r"^\d{4}-\d{2}-\d{2}").all())
