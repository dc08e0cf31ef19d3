"""From a pack's JSON to its page: the Jinja environment, and what a value looks like in a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from retrain_assets.reports import words
from retrain_assets.reports.evaluation_plots import backtest_plot, reliability_plot, slice_plot
from retrain_assets.reports.forest_plot import forest_plot
from retrain_assets.reports.interval_bar import interval_bar
from retrain_assets.reports.interval_plot import interval_plot, words_of
from retrain_assets.reports.ramp_strip import ramp_strip
from retrain_assets.reports.reading import readable, reading_place
from retrain_assets.reports.trigger_plot import trigger_plot

SYMBOLS: Mapping[str | None, str] = {
    "pass": "✓",
    "better": "✓",
    "non_inferior": "✓",
    "fail": "✕",
    "worse": "✕",
    "error": "!",
    "no_data": "∅",
    "inconclusive": "?",
    None: "·",
}
"""The sign beside each outcome word; it only repeats the word."""

ANSWER_SYMBOLS = {"good": "✓", "bad": "✕", "note": "◆", "open": "…"}

TONE_SYMBOLS = {"good": "✓", "bad": "✕", "warn": "?"}
CALL_SYMBOLS = {"good": "▲", "bad": "✕", "warn": "!", "open": "…"}

FEW_ROWS = 3
"""Entries a cell of the custody table shows without folding them."""

MOST_LETTERS, BEGINNING = 420, 90
"""Letters a cell shows without folding them, and those it shows of what is folded."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def pack_page(pack: Mapping[str, Any], digest: str) -> str:
    """The page of one pack.

    Args:
        pack: as :func:`retrain_assets.reports.pack.pack_of` gives it.
        digest: digest of its JSON, shown so that page and JSON can be told to belong together.
    """
    return _environment().get_template("pack.html.jinja").render(pack=pack, digest=digest)


def index_page(index: Mapping[str, Any]) -> str:
    """The page that lists a model's retrains, from :func:`retrain_assets.reports.index.index_of`."""
    return _environment().get_template("index.html.jinja").render(index=index)


def cell(value: Any) -> Markup:
    """A value as it stands in a table: numbers rounded, digests and times marked up, mappings as ``name value`` pairs."""
    if value is None or value == "" or value == [] or value == {}:
        return Markup('<span class="none">{}</span>').format(words.NOTHING)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int | float):
        return escape(words.number(value))
    if isinstance(value, Mapping):
        pairs = (
            Markup('<span class="pair"><span class="key">{}</span> {}</span>').format(name, cell(item))
            for name, item in value.items()
        )
        return Markup(" ").join(pairs)
    return Markup(", ").join(cell(item) for item in value)


def anchor(row: Mapping[str, Any]) -> str:
    """Where on the page a row of the custody table stands."""
    return "field-" + re.sub(r"[^a-z0-9]+", "-", str(row.get("key") or row["field"]).lower()).strip("-")


def fields_by_name(custody: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every field of the custody table from A to Z, with its place."""
    rows = [(str(row["field"]), anchor(row)) for group in custody for row in group["rows"]]
    return sorted(rows, key=lambda row: row[0].casefold())


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores, so that a narrow column does not cut it."""
    return Markup("_<wbr>").join(name.split("_"))


def moment(value: str | None) -> Markup:
    """A time with its machine-readable form."""
    if not value:
        return cell(None)
    return Markup('<time datetime="{}">{}</time>').format(value, words.moment(value))


def folded(value: Any) -> dict[str, Any] | None:
    """How a value too long for a cell is folded: ``summary`` and, of a list of mappings, ``columns``, ``rows``, ``numeric``.

    None for a value that a cell takes as it is.
    """
    rows = _rows(value)
    if len(rows) > FEW_ROWS:
        (part,) = evidence_parts({"": value})
        return {"summary": f"{len(rows)} entries", **part}
    text = str(cell(value).striptags())
    return {"summary": _beginning(text), "rows": None} if len(text) > MOST_LETTERS else None


def _beginning(text: str) -> str:
    return text[:BEGINNING].rsplit(" ", 1)[0].rstrip(" ,;") + " …"


def evidence_parts(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Evidence of one check as tables and one list of facts.

    Lists of mappings become tables, words before numbers, each in reading order, without empty columns; mappings of mappings too
    (the outer names as first column); everything else is a fact.
    """
    tables: list[dict[str, Any]] = []
    facts: list[tuple[str, Any]] = []
    for name, value in evidence.items():
        if rows := _rows(value):
            columns = list(dict.fromkeys(column for row in rows for column, found in row.items() if found is not None))
            numeric = _numeric(columns, rows)
            ordered = sorted(columns, key=lambda column: (column in numeric, reading_place(column) if column else -1))
            tables.append({"name": name, "columns": ordered, "rows": rows, "numeric": numeric})
        elif value not in (None, [], {}):
            facts.append((name, value))
    return [*([{"facts": facts}] if facts else []), *tables]


def _rows(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Sequence) and not isinstance(value, str) and value and all(isinstance(row, Mapping) for row in value):
        return list(value)
    if isinstance(value, Mapping) and value and all(isinstance(row, Mapping) for row in value.values()):
        return [{"": name, **row} for name, row in value.items()]
    return []


def _numeric(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    known = {name: [row[name] for row in rows if row.get(name) is not None] for name in columns}
    return {name for name, values in known.items() if values and all(is_number(value) for value in values)}


def _text(value: str) -> Markup:
    if _DIGEST.fullmatch(value):
        return Markup('<code class="digest">{}</code>').format(value)
    if _MOMENT.fullmatch(value):
        return moment(value)
    kind, _, name = value.partition(":")
    if kind == "person" and name:
        return escape(name)
    if kind == "system" and name:
        return Markup("the system ({})").format(name)
    return escape(readable(value))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("retrain_assets.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        anchor=anchor,
        cell=cell,
        fields_by_name=fields_by_name,
        folded=folded,
        breakable=breakable,
        moment=moment,
        minute=words.minute,
        day=words.day,
        number=words.number,
        signed=words.signed,
        percent=words.percent,
        share=words.share,
        share0=words.whole_share,
        stage=words.stage,
        actor=words.actor,
        words=words.words,
        sentence=words.sentence,
        readable=readable,
        evidence_parts=evidence_parts,
    )
    environment.globals.update(
        symbols=SYMBOLS,
        answer_symbols=ANSWER_SYMBOLS,
        tone_symbols=TONE_SYMBOLS,
        call_symbols=CALL_SYMBOLS,
        interval_bar=interval_bar,
        forest_plot=forest_plot,
        ramp_strip=ramp_strip,
        interval_plot=interval_plot,
        words_of=words_of,
        backtest_plot=backtest_plot,
        reliability_plot=reliability_plot,
        slice_plot=slice_plot,
        trigger_plot=trigger_plot,
        lasted=words.lasted,
    )
    return environment
