"""How a person reads evidence: columns in reading order, checks that keep a gate closed first, moments without ISO 8601."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrain_assets.contract import Outcome, Verdict

MOMENT = re.compile(r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?(\+00:00|Z)(?![\w:])")
"""A moment as ISO 8601 writes it, in UTC."""

LEADING = (
    *("name", "item", "check", "slice", "rows of", "group", "difference", "feature", "column", "class", "metric"),
    *(
        "baseline",
        "budget",
        "limit of",
        "per row",
        "window",
        "day",
        "start",
        "from",
        "end",
        "to",
        "kind",
        "rule",
        "found",
        "value",
        "measure",
    ),
    *("of", "compared", "outcome", "message", "observed", "threshold", "used", "share", "null share", "limit"),
    *("candidate", "champion", "worse by", "worse by at least", "worse by at most", "before", "after", "train", "holdout"),
    *("change", "rise", "multiple", "auc", "flipped", "bias", "rows", "usual"),
    *("selection rate", "tpr", "tpr at least", "tpr at most", "fpr", "fpr at least", "fpr at most", "calibration"),
    *("mean score", "positive share", "lower", "upper", "at least", "at most"),
)
"""Columns in reading order: what names a row, what was found, what it is held against. Recorded evidence has its keys sorted."""

WORST_FIRST = (Outcome.ERROR, Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)
"""Outcomes in the order a person has to look at them."""


def reading_place(column: str) -> int:
    """Where a column of an evidence table stands among its like, by name; unknown ones stand last."""
    name = column.replace("_", " ")
    return LEADING.index(name) if name in LEADING else len(LEADING)


def worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts, those that keep the gate closed first; otherwise as they were."""
    return sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.outcome))


def readable(text: str) -> str:
    """Text with its moments as a person writes them: ``2013-12-08 13:00 UTC``, midnight as the date alone."""
    return MOMENT.sub(_moment, text)


def _moment(found: re.Match[str]) -> str:
    day, time, seconds = found[1], found[2], found[3] or ":00"
    if (time, seconds) == ("00:00", ":00"):
        return day
    return f"{day} {time}{seconds if seconds != ':00' else ''} UTC"
