"""The decision sensor: decides about retrains that are due, also about those that died, and gets each its audit record."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.attempts import DEAD, run_key
from retrain_assets.automation.dagster_news import newly_dead
from retrain_assets.automation.fleet_sensor import Answer, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.moments import POLICY_EVERY, next_moment
from retrain_assets.automation.override_sensor import CONTINUES_TAG
from retrain_assets.ledger import SYSTEM, EventKind, Ledger
from retrain_assets.release import ModelState, Move, PlatformState, RetrainState, ToggleState
from retrain_assets.release.overrides import closed_checks
from retrain_assets.release.policy import (
    GATES_BEFORE_TRAFFIC,
    arming_subjects,
    gate_obstacles,
    standing_approvals,
    toggle_brakes,
)

RUNS_LOOKED_AT = 100
"""How many of a partition's newest runs are searched; runs of other models with the same key are among them."""


def decision_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Launches the decision job for every retrain that can be promoted or has to be rejected."""
    kind = SensorKind(
        name="decision",
        description="Promotes retrains with enough approvals, rejects those that failed a gate, were rolled back, expired or "
        "died, and has the audit record written.",
        look=decision_look,
        job=lambda road: road.decision_job,
        catches_up=True,
        woken=lambda tick, mark: newly_dead(tick.instance, mark),
    )
    return fleet_sensor(kind, roads, jobs)


def decision_look(tick: Tick, road: Road, kept: None) -> Answer:
    """What of one model is to be decided now."""
    if record_dead_runs(tick, road):
        tick = tick.renewed()
    state = tick.state(road.model)
    overtaken = overtaken_audits(tick.platform.ledger, road.model)
    requests = [
        dg.RunRequest(
            run_key=run_key(tick.instance, road.decision_job, key, f"{road.model}:{key}:{why}"),
            job_name=road.decision_job,
            partition_key=key,
        )
        for key, retrain in sorted(state.retrains.items())
        if (why := decision_due(state, key, retrain, tick.beyond, tick.now) or overtaken.get(key)) is not None
    ]
    quiet = next_moment(road, state, tick.beyond, tick.now)
    return Answer("a decision is due" if requests else "no retrain awaits a decision", requests=requests, again_at=quiet)


def record_dead_runs(tick: Tick, road: Road) -> list[str]:
    """Record retrains whose run failed or was cancelled without a gate or stage having said why; gives their keys."""
    state, now, dead = tick.state(road.model), tick.now, []
    for key, retrain in state.retrains.items():
        if retrain.ended is not None or state.toggle_of(key) is not None:
            continue
        if decision_due(state, key, retrain, tick.beyond, now) is not None:
            continue
        if not gate_obstacles(retrain, arming_subjects(retrain, state.champion), now=now):
            continue
        run = latest_run(tick.instance, road, key, retrain.reopened)
        if run is not None and run.status in DEAD:
            why = f"run {run.run_id} ended as {run.status.value} before its gates were decided"
            tick.platform.controller.record_stage_failure(road.model, key, "run", why, SYSTEM)
            dead.append(key)
    return dead


def latest_run(instance: dg.DagsterInstance, road: Road, retrain: str, reopened: int | None = None) -> dg.DagsterRun | None:
    """The newest run that worked on a retrain before its traffic: of the retrain job, or of assets chosen by hand in the UI.

    Of one that an override opened again only the runs that go on from there; the one the gate stopped has had its say.
    """
    assets = {road.key(name) for name in ("dataset", "feature_snapshot", "candidate_model", "evaluation_report")}
    tags = {"dagster/partition": retrain, **({CONTINUES_TAG: str(reopened)} if reopened is not None else {})}
    runs = instance.get_runs(dg.RunsFilter(tags=tags), limit=RUNS_LOOKED_AT)
    return next((run for run in runs if run.job_name == road.retrain_job or assets & (run.asset_selection or set())), None)


def overtaken_audits(ledger: Ledger, model: str) -> dict[str, str]:
    """Retrains whose audit record was made before their end, before a promoted version was rolled back, or before somebody said
    what an emergency's cause was."""
    overtaken: dict[str, str] = {}
    kinds = [EventKind.ROLLED_BACK, EventKind.RETRAIN_ENDED, EventKind.AUDIT_RECORDED, EventKind.FOLLOW_UP_CLOSED]
    ended: set[str] = set()
    for event in ledger.events(model=model, kinds=kinds):
        if event.retrain is None:
            continue
        if event.kind is EventKind.AUDIT_RECORDED:
            overtaken.pop(event.retrain, None)
        elif event.kind is not EventKind.FOLLOW_UP_CLOSED or event.retrain in ended:
            overtaken[event.retrain] = f"{event.kind.value}-{event.sequence}"
        if event.kind is EventKind.RETRAIN_ENDED:
            ended.add(event.retrain)
    return overtaken


def decision_due(state: ModelState, key: str, retrain: RetrainState, platform: PlatformState, now: datetime) -> str | None:
    """Why a retrain is due for a decision, as text for the run key; None when it is not.

    The same reason is asked about once, so an approval counts only from when it can take effect: not while a freeze, a kill
    switch or a missing owner stops promotions. Where the contract asks a policy, it is asked again from time to time.
    """
    if retrain.ended is not None:
        return None if retrain.audit is not None else f"ended-{retrain.ended}"
    toggle = state.toggle_of(key)
    if toggle is not None:
        if toggle.state.value in ("rolled_back", "rejected"):
            return f"{toggle.state.value}-{toggle.revision}"
        if toggle.active and (closed := _closed_gate(retrain, now)) is not None:
            return closed  # an override was withdrawn
        approvals = standing_approvals(toggle, now)
        if toggle.state.value == "awaiting_approval" and approvals and not toggle_brakes(toggle, Move.PROMOTE, now, platform):
            return f"approved-{toggle.revision}-{'-'.join(str(item.sequence) for item in approvals)}{asked_again(toggle, now)}"
        return None
    if retrain.failure is not None:
        return "failed"
    return _closed_gate(retrain, now)


def _closed_gate(retrain: RetrainState, now: datetime) -> str | None:
    """The first gate before traffic that is closed; named anew after each override, as one may lapse or be withdrawn."""
    for gate in GATES_BEFORE_TRAFFIC:
        if closed_checks(retrain, gate, now):
            again = f"-{retrain.reopened}" if retrain.reopened is not None else ""
            return f"gate-{gate.value}-{retrain.verdicts[gate].outcome.value}{again}"
    return None


def asked_again(toggle: ToggleState, now: datetime) -> str:
    """What tells one time a contract's policy is asked from the next, ``POLICY_EVERY`` apart; empty without a policy."""
    if toggle.terms.approval.policy is None:
        return ""
    return f"-{int((now - toggle.approvals[-1].at) / POLICY_EVERY)}"
