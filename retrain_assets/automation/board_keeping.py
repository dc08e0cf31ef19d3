"""The release board, shown anew by the upkeep sensor when something on it changed and once a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.assets.release_board import KEY, BoardPage, KnownLines
from retrain_assets.automation.fleet_sensor import Answers, Tick
from retrain_assets.automation.tick_metrics import keep_ledger_metrics

_KNOWN: dict[str, KnownLines] = {}
"""Lines of the last board of each home, so that a tick makes anew only what changed."""


def keep_board(tick: Tick, roads: Sequence[Road], answers: Answers) -> Answers:
    """The answers of a tick, the first with the board's events where it shows something else than before.

    A tick that looked at no model has nothing new to show, and asks nothing.
    """
    keep_ledger_metrics(tick.platform.controller, tick.platform.home)
    if not answers:
        return answers
    seen = tick.renewed() if any(answer.did for answer in answers.values()) else tick
    known = _KNOWN.setdefault(str(tick.platform.home.root), {})
    page = BoardPage(roads, seen.states, seen.beyond, tick.platform.home, tick.now, known, instance=tick.instance)
    if _shown(tick.instance) == (page.digest, f"{tick.now:%Y-%m-%d}"):
        return answers
    model, first = next(iter(answers.items()))
    return {**answers, model: replace(first, events=[*first.events, *page.events])}


def _shown(instance: dg.DagsterInstance) -> tuple[str, str] | None:
    """Digest and day of the board that is shown."""
    record = instance.get_latest_materialization_event(KEY)
    shown = record.asset_materialization if record is not None else None
    if shown is None or "as_of" not in shown.metadata:
        return None
    return (shown.tags or {}).get("dagster/data_version", ""), str(shown.metadata["as_of"].value)[:10]
