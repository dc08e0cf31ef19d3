"""Rows for people and for machines: one printed table a benchmark, and bench.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.measure import Row, shown

NARROWEST = 150
"""Columns of a table that is not printed to a wide terminal."""


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """One table, notes included."""
    console = console or Console()
    console = Console(file=console.file, width=max(console.width, NARROWEST), no_color=console.no_color)
    table = Table(title=rows[0].benchmark, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure", ratio=3)
    table.add_column("value", justify="right")
    table.add_column("against", ratio=2)
    table.add_column("ratio", justify="right")
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("holds")
    table.add_column("rows", justify="right")
    table.add_column("note", ratio=4)
    for row in rows:
        table.add_row(
            row.measure,
            "–" if row.value is None else shown(row.value),
            row.against,
            "–" if row.ratio is None else shown(row.ratio),
            row.target or "–",
            _verdict(row),
            f"{row.rows:,}" if row.rows else "–",
            Text(row.note),
        )
    console.print(table)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """All rows as a JSON list, by atomic rename; directories are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps([row.to_json() for row in rows], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def _verdict(row: Row) -> Text:
    if row.holds is None:
        return Text("not judged", style="dim")
    return Text("yes", style="green") if row.holds else Text("MISSED", style="bold red")
