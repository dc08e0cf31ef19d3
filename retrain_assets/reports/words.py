"""How numbers, times and names read in a report. Probabilities and relative changes become per cent here and nowhere earlier."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from retrain_assets.ledger import named

NOTHING = "—"
"""Shown where there is no value."""


def number(value: float | str | None) -> str:
    """Four significant digits, integers in full with thousands separated, text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or not math.isfinite(value):
        return NOTHING
    if float(value).is_integer() and abs(value) < 1e15:
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.4g}")


def signed(value: float | None) -> str:
    """Three significant digits with a sign."""
    return NOTHING if value is None or not math.isfinite(value) else _minus(f"{value:+.3g}")


def percent(value: float | None) -> str:
    """A share or a relative change as per cent with a sign, one digit after the point, none from 1000 % on."""
    return NOTHING if value is None or not math.isfinite(value) else _minus(f"{value * 100:+.{0 if abs(value) >= 10 else 1}f} %")


def money(value: float | None) -> str:
    """An amount with a sign, thousands separated, without a currency: ``+18,200``."""
    return NOTHING if value is None or not math.isfinite(value) else _minus(f"{value:+,.0f}")


def share(value: float | None) -> str:
    """A share of traffic as per cent, no more digits than needed."""
    return NOTHING if value is None else f"{value * 100:g} %"


def whole_share(value: float | None) -> str:
    """A share as whole per cent: ``42 %``."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value * 100:.0f} %"


def stage(label: str | None) -> str:
    """A stage of the ramp: ``shadow`` or ``25 %``."""
    return NOTHING if label is None else label if not label.replace(".", "", 1).isdigit() else f"{label} %"


def change(estimate: float | None, lower: float | None, upper: float | None, *, relative: bool) -> str:
    """An estimate with its interval: ``−6.1 % [−9.0 %, −3.2 %]``."""
    form = percent if relative else signed
    if form(estimate) == NOTHING:
        return NOTHING
    if NOTHING in (form(lower), form(upper)):
        return f"{form(estimate)}, no interval"
    return f"{form(estimate)} [{form(lower)}, {form(upper)}]"


def moment(value: str | None) -> str:
    """An ISO-8601 time as ``2013-07-01 06:00 UTC``; seconds only where they are not zero."""
    if not value:
        return NOTHING
    at = datetime.fromisoformat(value).astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at.second else f"{at:%Y-%m-%d %H:%M} UTC"


def minute(value: str | None) -> str:
    """A time without its zone, for tables that name it once."""
    return moment(value).removesuffix(" UTC")


def day(value: str | None) -> str:
    """The date of an ISO-8601 time in UTC."""
    return NOTHING if not value else f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d}"


def lasted(start: str, end: str) -> str:
    """Length of a period in days, hours below two days, minutes below two hours."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} seconds"


def actor(value: str | None) -> str:
    """``person:ann@example.org`` as ``ann@example.org``; the system as ``the system``."""
    if not value:
        return NOTHING
    return named(value)


def words(name: str) -> str:
    """A snake-case name as words."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """A reason as a sentence: a capital at the beginning, unless it begins with a name in code."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def _minus(text: str) -> str:
    return text.replace("-", "−")
