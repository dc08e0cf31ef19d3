"""Odd records: few are usual, left out and reported; many say that logging or joining is broken, and make the look invalid."""

from __future__ import annotations

from collections.abc import Iterator

from retrain_assets.experiment.data import CanaryData
from retrain_assets.experiment.health.health_check import HealthCheck

FEW = 10
"""Odd rows up to which a share of them says nothing."""

MAX_EARLY_SHARE = 0.01
"""Largest share of outcomes observed before their exposure: more is a clock that is wrong, or a join of the wrong rows."""

MAX_LATE_SHARE = 0.25
"""Largest share of outcomes that come after the outcome window: more is a window that is too short for this outcome."""

MAX_DUPLICATE_SHARE = 0.05
"""Largest share of exposure rows that repeat a request: more is a logger that writes in loops."""


def record_checks(data: CanaryData) -> Iterator[HealthCheck]:
    """``clock_skew`` and ``unknown_revisions``, of which there may be none; ``outcomes_before_exposure``, ``late_outcomes`` and
    ``duplicate_exposures``, each a share of the rows read with its limit; ``duplicate_outcomes`` and ``unknown_outcomes``.

    Corrections replace outcomes as a matter of course, and outcomes of requests from before the experiment are unknown to it, so
    these two have no limit: what they could hide shows as missing outcomes.
    """
    units = sum(one.champion.exposed + one.challenger.exposed for one in data.stages)
    answered = sum(one.champion.with_outcome + one.challenger.with_outcome for one in data.stages)
    exposures, outcomes = max(data.exposures, units), max(data.outcomes, answered)
    yield _none(
        "clock_skew",
        data.future_rows,
        "exposures or outcomes are dated in the future; they are left out until the clocks agree",
        "set the clock of what writes them right, or correct the dates",
    )
    yield _none(
        "unknown_revisions",
        data.unknown_revisions,
        "exposures carry a toggle revision the ledger does not know; they are left out",
        "a router follows a flag document that is not this ledger's: run `retrain reconcile` and restart it",
    )
    yield _share(
        "outcomes_before_exposure",
        data.outcomes_before_exposure,
        outcomes,
        MAX_EARLY_SHARE,
        "outcome rows were observed before their exposure and are ignored",
        "check request ids and the clocks of both tables",
    )
    yield _share(
        "late_outcomes",
        data.late_outcomes,
        outcomes,
        MAX_LATE_SHARE,
        "outcome rows came after the outcome window and are ignored",
        "find what delays them, or declare a longer outcome_window in the next contract",
    )
    yield _share(
        "duplicate_exposures",
        data.duplicate_exposures,
        exposures,
        MAX_DUPLICATE_SHARE,
        "exposure rows repeat a request; the first counts",
        "find what logs requests again",
    )
    yield _number("duplicate_outcomes", data.duplicate_outcomes, "outcome rows were replaced by a later one")
    yield _number("unknown_outcomes", data.unknown_outcomes, "outcome rows name a request that was not exposed; ignored")


def _share(name: str, number: int, rows: int, limit: float, words: str, remedy: str) -> HealthCheck:
    """Odd rows that come with any traffic, as a share of all rows read."""
    if not number:
        return HealthCheck(name, True, f"0 {words}", 0.0, limit)
    if number < 0:
        return HealthCheck(name, False, f"{number} {words}: that cannot be; the records were counted wrongly", None, limit)
    share = number / max(rows, number)
    ok = share <= limit or number <= FEW
    text = f"{number} {words} ({share:.2%}, limit {limit:.2%})"
    return HealthCheck(name, ok, text if ok else f"{text}; {remedy}", share, limit)


def _none(name: str, number: int, words: str, remedy: str) -> HealthCheck:
    """Rows nobody can explain: one is enough."""
    return HealthCheck(name, number == 0, f"{number} {words}" + (f"; {remedy}" if number else ""), float(number), 0.0)


def _number(name: str, number: int, words: str) -> HealthCheck:
    return HealthCheck(name, True, f"{number} {words}", float(number))
