"""One look at a canary: the toggle's traffic, aggregated and analysed. Nothing is acted on here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import polars as pl

from retrain_assets.compute.stages.canary_terms import Terms
from retrain_assets.compute.stages.canary_ticks import tick
from retrain_assets.contract import CustodyError, Gate, RetrainError, first_line
from retrain_assets.experiment import CanaryData, Look, Plan, analyse
from retrain_assets.gates.training.budget import FIT_TIME
from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release import RetrainState, ToggleState
from retrain_assets.serving.exposure_log import ExposureLog


def look_at(home: Home, toggle: ToggleState, now: datetime, *, training_hours: float | None = None, keep: bool = True) -> Look:
    """Champion against challenger as of ``now``, from the exposures and outcomes of one toggle.

    Records that cannot be read or summed give a look that says so: its health fails, and nothing can be promoted on it.

    Args:
        home: where the records are.
        toggle: the experiment.
        now: the time of the look.
        training_hours: time the retrain's training took, for its net value; None when it is not known.
        keep: whether the next look counts on from what this one read. Only one that is recorded does, so that each recorded look
            can be computed again to the last bit.

    Raises:
        RetrainError: when the toggle has not been armed.
        CustodyError: when the look before is recorded and its evidence is missing or was changed; without it nothing can be
            decided, because harm and planned looks are counted on from there.
    """
    if toggle.armed_at is None or toggle.stage is None:
        raise RetrainError(f"toggle {toggle.name} has not been armed", remedy="wait for the gates before traffic")
    plan, before = Plan.from_contract(toggle.terms), look_before(home, toggle)
    return analyse(
        _seen(home, toggle, toggle.armed_at, now, keep=keep),
        plan if toggle.active else replace(plan, outcome_window=None),  # where it ended, no traffic is missed
        stage=toggle.stage,
        revision=toggle.stage_revision,
        stage_started_at=toggle.stage_started[toggle.stage_revision],
        armed_at=toggle.armed_at,
        now=now,
        before=before,
        training_hours=training_hours,
    )


def _seen(home: Home, toggle: ToggleState, armed_at: datetime, now: datetime, *, keep: bool) -> CanaryData:
    """What the toggle's experiment has seen, matured units only; with ``problem`` where the records cannot be read or summed.

    Reads files that came since the last time; what is known from before is a cache below the home that may be deleted any time.
    """
    log = ExposureLog(home)
    try:
        terms = Terms(toggle.terms, toggle.name, toggle.stage_started, toggle.shares, armed_at)
        exposures, outcomes = log.exposure_batches(toggle.model), log.outcome_batches(toggle.model)
        return tick(home.canary_cache_dir(toggle.name), exposures, outcomes, terms, now, keep=keep)
    except (RetrainError, pl.exceptions.PolarsError, OSError) as fault:
        return CanaryData(stages=(), measures={}, problem=first_line(fault))


def look_before(home: Home, toggle: ToggleState) -> Look | None:
    """The last look recorded of the toggle; None before the first one.

    Raises:
        CustodyError: when it is recorded and its evidence is missing or was changed.
    """
    if toggle.last_look is None:
        return None
    evidence, digest = EvidenceStore(home.evidence_dir), toggle.last_look.evidence
    try:
        return Look.from_json(evidence.get(digest))
    except CustodyError as fault:
        what, where, remedy = fault.what, fault.where, fault.remedy
    except (LookupError, TypeError, ValueError) as fault:
        what, where, remedy = f"is no look ({fault!r})", str(evidence.path(digest)), "run: retrain audit verify"
    raise CustodyError(f"{what}; {toggle.name} cannot be looked at again without its last look", where=where, remedy=remedy)


def training_hours(home: Home, retrain: RetrainState) -> float | None:
    """Time the retrain's fit took, as gate training measured it; None when that is not recorded or the record is gone.

    Only what a promotion is worth depends on it, and that says so when it is missing.
    """
    record = retrain.verdicts.get(Gate.TRAINING)
    check = record.checks.get("within_budget") if record else None
    try:
        judged = EvidenceStore(home.evidence_dir).get(check.evidence)["verdicts"] if check else []
        uses = [use for verdict in judged for use in verdict["evidence"].get("budget", ())]
        return next((use["used"] / 3600 for use in uses if use["budget"] == FIT_TIME and use["used"] is not None), None)
    except (CustodyError, KeyError, TypeError):
        return None
