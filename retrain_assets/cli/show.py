"""What commands print: tables that stay readable in a pipe, JSON, times in UTC. Nothing here decides anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

NOTHING = "-"
"""Shown where there is no value."""


def say(line: str = "") -> None:
    """One line of output, free of control characters."""
    click.echo(plain(line))


def say_json(value: Any) -> None:
    """A JSON document, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), or_records: bool = False
) -> None:
    """A table: framed to the terminal's width there, in a pipe plain columns without any cut.

    Args:
        columns: headings.
        rows: one value a column; None shows as ``-``.
        right: headings of the columns that are aligned to the right.
        or_records: on a terminal that is narrower than the table, each row as a block with a line a column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not terminal)  # type: ignore[arg-type]
    shown = [[plain(NOTHING if value is None else str(value)) for value in row] for row in rows]
    for row in shown:
        table.add_row(*map(Text, row))
    console = Console(width=None if terminal else 100_000, no_color=not terminal, highlight=False)
    if (
        or_records
        and terminal
        and shown
        and console.measure(table, options=console.options.update(width=100_000)).maximum > console.width
    ):
        _say_records(columns, shown)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _say_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row as a block, a line a column that has a value; a long value is the terminal's to wrap, so that it can be copied."""
    width = max(map(len, columns))
    for place, row in enumerate(rows, start=1):
        if len(rows) > 1:
            click.echo(f"── {place} of {len(rows)} ".ljust(40, "─"))
        for column, value in zip(columns, row, strict=True):
            if value != NOTHING:
                click.echo(f"{column:<{width}}  {value}")


def plain(text: str) -> str:
    """The text on one line, without control characters: reasons and names are written by others."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def moment(value: datetime | str | None) -> str | None:
    """A time to the minute, ``2013-07-01 06:00 UTC``."""
    if value is None:
        return None
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def at_stage(state: str, stage: str | None) -> str:
    """A toggle's state with the stage it is, or ended, in: ``ramping at 25 %``."""
    words = state.replace("_", " ")
    if stage is None or state in ("armed", "shadow", "promoted", "retired"):
        return words
    return f"{words} in shadow" if stage == "shadow" else f"{words} at {stage} %"


def short(digest: str | None) -> str | None:
    """The beginning of a digest, enough to tell two apart."""
    return f"{digest[:19]}…" if digest else None


def number(value: float | None) -> str | None:
    """A measured value to four figures."""
    return None if value is None else f"{value:.4g}"
