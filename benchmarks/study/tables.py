"""The study's tables as Markdown: for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = dict[str, Any]


def printed(part: str, found: dict[str, Any]) -> str:
    """Every table of a part."""
    tables: dict[str, Sequence[Callable[[dict[str, Any]], str]]] = {
        "no_effect": (no_effect_table,),
        "power": (power_table,),
        "harm": (shipped_table, delay_table),
        "coverage": (coverage_table,),
        "traces": (),
    }
    return "\n\n".join(table(found) for table in tables[part])


def no_effect_table(found: dict[str, Any]) -> str:
    """Part 1."""
    rows = [
        [
            row["metric"],
            row["rule"],
            _count(row["runs"]),
            _rate(row["promoted"], row["promoted_error"], row["missing"]),
            _rate(row["rolled_back"], row["rolled_back_error"], row["missing"]),
        ]
        for row in found["rows"]
    ]
    return table(["metric", "rule", "runs", "falsely promoted", "falsely called worse"], rows)


def power_table(found: dict[str, Any]) -> str:
    """Part 2, at the planned effect and without one."""
    groups: dict[tuple[str, str], dict[float, Row]] = {}
    for row in found["rows"]:
        groups.setdefault((row["metric"], row["rule"]), {})[row["multiple"]] = row
    rows = []
    for (metric, rule), by_multiple in groups.items():
        at, none = by_multiple[1.0], by_multiple[0.0]
        cells = [_rate(one["power"], one["error"], one["missing"]) for one in (at, none)]
        rows.append([metric, rule, _count(at["runs"]), *cells])
    return table(["metric", "rule", "runs", "power", "better without an effect"], rows)


def shipped_table(found: dict[str, Any]) -> str:
    """Part 3, shares shipped."""
    rows = [
        [
            row["metric"],
            row["rule"],
            _count(row["units"]),
            _count(row["runs"]),
            _rate(row["shipped"], row["shipped_error"], row["missing"]),
            _rate(row["rolled_back"], None, row["missing"]),
        ]
        for row in sorted(found["shipped"], key=lambda row: (row["metric"], row["units"]))
    ]
    return table(["metric", "rule", "units", "runs", "shipped", "rolled back"], rows)


def delay_table(found: dict[str, Any]) -> str:
    """Part 3, units until harm is called."""
    rows = [
        [
            row["metric"],
            f"{row['harm']:.0%}",
            row["rule"],
            _units(row["median"], row),
            f"{_units(row['lower_quartile'], row)} to {_units(row['upper_quartile'], row)}" if not row["missing"] else "",
            _rate(row["never"], None, row["missing"]),
            _rate(row["false_calls"], row["false_calls_error"], row["missing"]),
        ]
        for row in found["delays"]
    ]
    return table(["metric", "harm", "rule", "median units", "quartiles", "never", "calls without harm"], rows)


def coverage_table(found: dict[str, Any]) -> str:
    """Part 4."""
    rows = [
        [
            row["metric"],
            _count(row["units"]),
            f"{row['share']:.0%}",
            _count(row["runs"]),
            f"{row['claimed']:.0%}",
            f"{row['exact']:.0%}",
            f"{_percent(row['lower_last'])} / {_percent(row['upper_last'])}",
            f"{_percent(row['lower_ever'])} / {_percent(row['upper_ever'])}",
            "–" if row["width"] is None else f"{row['width']:.3g}",
        ]
        for row in found["rows"]
    ]
    head = [
        "measure",
        "units",
        "share",
        "runs",
        "interval claimed",
        "of these exact",
        "misses at the last look",
        "misses at any look",
    ]
    return table([*head, "width"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells that repeat the row above in the first column are left empty."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    before = ""
    for first, *others in rows:
        lines.append(f"| {' | '.join([first if first != before else '', *others])} |")
        before = first
    return "\n".join(lines)


def _rate(value: float | None, error: float | None, missing: str) -> str:
    if missing or value is None:
        return f"could not run: {missing}" if missing else "–"
    return _percent(value) if error is None else f"{_percent(value)} ± {_percent(error)}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value < 0.0995 else f"{100 * value:.1f} %"


def _count(value: int) -> str:
    return f"{value:,}"


def _units(value: float | None, row: Row) -> str:
    if row["missing"]:
        return f"could not run: {row['missing']}"
    return "not reached" if value is None else f"{value:,.0f}"
