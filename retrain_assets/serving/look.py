"""One look at a canary: the toggle's traffic, aggregated and analysed. Nothing is acted on here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from retrain_assets.compute import StageRequest
from retrain_assets.compute.canary.inputs import TABLES
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.canary.ticks import tick
from retrain_assets.compute.own_code import own_verdicts
from retrain_assets.compute.place import ComputePlace
from retrain_assets.compute.places import located
from retrain_assets.contract import CustodyError, Gate, RetrainError, Verdict, first_line
from retrain_assets.contract.compute import Engine
from retrain_assets.experiment import CanaryData, Look, Plan, analyse
from retrain_assets.gates.canary import canary_gate
from retrain_assets.gates.own import CanaryLook
from retrain_assets.gates.training.budget import FIT_TIME
from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release import RetrainState, ToggleState
from retrain_assets.serving.compaction import settle_whole
from retrain_assets.serving.exposure_log import ExposureLog


def look_at(
    home: Home,
    toggle: ToggleState,
    now: datetime,
    *,
    training_hours: float | None = None,
    keep: bool = True,
    elsewhere: Elsewhere | None = None,
) -> Look:
    """Champion against challenger as of ``now``, from the exposures and outcomes of one toggle.

    Records that cannot be read or summed give a look that says so: its health fails, and nothing can be promoted on it.

    Args:
        home: where the records are.
        toggle: the experiment.
        now: the time of the look.
        training_hours: time the retrain's training took, for its net value; None when it is not known.
        keep: whether the next look counts on from what this one read. Only one that is recorded does, so that each recorded look
            can be computed again to the last bit.
        elsewhere: where the stage ``canary`` runs; None: here, from what came since the last look.

    Raises:
        RetrainError: when the toggle has not been armed.
        CustodyError: when the look before is recorded and its evidence is missing or was changed; without it nothing can be
            decided, because harm and planned looks are counted on from there.
    """
    if toggle.armed_at is None or toggle.stage is None:
        raise RetrainError(f"toggle {toggle.name} has not been armed", remedy="wait for the gates before traffic")
    plan, before = Plan.from_contract(toggle.terms), look_before(home, toggle)
    return analyse(
        _seen(home, toggle, toggle.armed_at, now, keep=keep, elsewhere=elsewhere),
        plan if toggle.active else replace(plan, outcome_window=None),  # where it ended, no traffic is missed
        stage=toggle.stage,
        revision=toggle.stage_revision,
        stage_started_at=toggle.stage_started[toggle.stage_revision],
        armed_at=toggle.armed_at,
        now=now,
        before=before,
        training_hours=training_hours,
    )


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another place where exposures and outcomes are counted and summed, in full at every look.

    Args:
        place: runs the stage ``canary``.
        engine: with one process or by the executors of Spark.
        parameters: further parameters of the stage: tables by name, the meaning of an inference table.
        run_id: the orchestrator's run.
        context: the Dagster execution context of the asset that looks.
    """

    place: ComputePlace
    engine: Engine = "spark"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    context: Any = None

    def seen(self, home: Home, toggle: ToggleState, terms: Terms, now: datetime) -> CanaryData:
        """What the stage gives.

        Raises:
            RetrainError: when it cannot give it.
            OSError: when its answer cannot be read.
        """
        traffic = {"exposures": home.exposures_dir(toggle.model), "outcomes": home.outcomes_dir(toggle.model)}
        tables = self.parameters.get(TABLES, {})
        for kind, path in traffic.items():
            path.mkdir(parents=True, exist_ok=True)
            settle_whole(home, toggle.model, kind)
        request = StageRequest(
            "canary",
            toggle.model,
            toggle.retrain,
            toggle.contract,
            {name: str(path) for name, path in traffic.items() if "table" not in tables.get(name, {})},
            str(home.stage_dir(toggle.model, toggle.retrain, "canary")),
            {**terms.parameters, "now": now.isoformat(), **self.parameters},
            engine=self.engine,
        )
        result = self.place.run(request, run_id=self.run_id, context=self.context)
        return CanaryData.from_json(json.loads(located(result.outputs["data"]["uri"]).read_bytes()))


def _seen(
    home: Home, toggle: ToggleState, armed_at: datetime, now: datetime, *, keep: bool, elsewhere: Elsewhere | None
) -> CanaryData:
    """What the toggle's experiment has seen, matured units only; with ``problem`` where the records cannot be read or summed.

    Reads files that came since the last time; what is known from before is a cache below the home that may be deleted any time.
    """
    log = ExposureLog(home)
    try:
        terms = Terms(toggle.terms, toggle.name, toggle.stage_started, toggle.shares, armed_at)
        if elsewhere is not None:
            return elsewhere.seen(home, toggle, terms, now)
        exposures, outcomes = log.exposure_batches(toggle.model), log.outcome_batches(toggle.model)
        return tick(home.canary_cache_dir(toggle.name), exposures, outcomes, terms, now, keep=keep)
    except (RetrainError, pl.exceptions.PolarsError, OSError) as fault:
        return CanaryData(stages=(), measures={}, problem=first_line(fault))


def look_verdicts(document: Mapping[str, Any], toggle: ToggleState) -> list[Verdict]:
    """Gate canary on a look as it is recorded, the team's own checks last: by the terms that the toggle was armed under."""
    look, terms = Look.from_json(document), toggle.terms
    own = own_verdicts(terms, Gate.CANARY, lambda: CanaryLook.of(look, terms, toggle.retrain))
    return [*canary_gate(look, Plan.from_contract(terms)), *own]


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
