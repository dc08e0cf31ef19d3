"""A made-up but plausible home: roads a retrain can take, written by the release room's own plans. A sample, not a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from retrain_assets.compute import StageResult
from retrain_assets.contract import Contract, Gate, Verdict, digest_of
from retrain_assets.experiment import (
    ArmCounts,
    ArmStatistics,
    CanaryData,
    Look,
    MeasureStatistics,
    Plan,
    StageCounts,
    Stratum,
    StratumStatistics,
    analyse,
)
from retrain_assets.gates.canary import canary_gate
from retrain_assets.gates.offline.gate import offline_gate
from retrain_assets.gates.training import TrainingEvidence, recorded, training_gate
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor, EvidenceStore, Ledger
from retrain_assets.release import ModelState, ToggleState, approvals, deciding, fold, ramping, retrains
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.platform import fold_platform
from retrain_assets.release.promotion import Grounds
from retrain_assets_tests.reports.sample_evidence import (
    CONTRACT,
    DORA,
    DRIFT,
    MODEL,
    RUN,
    RUTH,
    data_verdicts,
    evaluation,
    manifest_of,
)

_SHARES = {"shadow": 0.0, "5": 0.05, "25": 0.25, "50": 0.5}


@dataclass
class Sample:
    """A home whose ledger is written event by event, on made-up time."""

    home: Home
    now: datetime = datetime(2013, 4, 1, 6, tzinfo=UTC)
    seed: int = 11
    contract: Contract = CONTRACT
    stages: dict[str, list[tuple[int, str, datetime]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.home.ledger_url)
        self.evidence = EvidenceStore(self.home.evidence_dir)
        self.evidence.put(self.contract.to_json())

    def state(self) -> ModelState:
        return fold(self.ledger.events(model=MODEL)).get(MODEL) or ModelState(MODEL)

    def do(self, actor: Actor, reason: str, plan: Callable[[Drafts], object]) -> None:
        drafts = Drafts(self.state(), actor, self.now, reason, fold_platform(self.ledger.events()))
        plan(drafts)
        if drafts.events:
            self.ledger.append_all(drafts.events)

    def launch(self, key: str, trigger: Mapping[str, Any], actor: Actor = SYSTEM) -> None:
        self.now = datetime.fromisoformat(f"{key[:10]}T06:00:00+00:00")
        reason = f"retrain launched: {trigger['kind']}"
        self.do(actor, reason, lambda drafts: retrains.launch(drafts, self.contract, key, trigger))

    def gate(self, key: str, gate: Gate, verdicts: list[Verdict], subjects: Mapping[str, str]) -> None:
        self.now += timedelta(minutes=7)
        full = {"gate": str(gate), "subjects": dict(subjects), "verdicts": [verdict.to_json() for verdict in verdicts]}
        digest = self.evidence.put(full)
        self.do(
            SYSTEM, f"gate {gate} judged", lambda drafts: retrains.gate_evaluated(drafts, key, gate, verdicts, subjects, digest)
        )

    def until_candidate(self, key: str, version: str) -> dict[str, str]:
        """Gates data and training passed, the candidate registered; the digests that were judged."""
        manifest = manifest_of(key)
        subjects = {"dataset": manifest.dataset, "features": manifest.feature_pipeline, "bundle": manifest.digest}
        rows = {"train": 81234, "holdout": 12874}
        made = self.stage(key, "dataset", {"window": dict(manifest.window), "rows": rows, "left_out": {"label_missing": 612}})
        names = {"feature_names": list(manifest.feature_names), "feature_function": manifest.feature_function}
        self.stage(key, "features", names)
        self.gate(key, Gate.DATA, data_verdicts(), {name: subjects[name] for name in ("dataset", "features")} | made)
        evidence = TrainingEvidence(
            duration_s=14.32, artifact_loaded=True, reload_max_difference=0.0, refit_same_digest=True, refit_max_difference=0.0,
            loss=0.5312, baseline_loss=0.6021, recent_loss=0.5987, recent_rows=12930, loss_rows=12874,
            recorded=recorded(manifest.to_json()),
            signatures=dict.fromkeys(("snapshot", "hold-out", "bundle"), tuple(manifest.feature_dtypes.items())),
        )  # fmt: skip
        cost = {"amount": 14.32 * 2 / 3600, "currency": "EUR", "per_hour": 2.0, "seconds": 14.32}
        about = {"manifest": manifest.to_json(), "evidence": evidence.to_json(), "cost": cost}
        checkout = {"repository": "git@git.flights.example:delay.git", "unknown": None}
        trained = self.stage(key, "training", {**about, "checkout": checkout})
        self.do(SYSTEM, "candidate registered", lambda drafts: retrains.candidate_registered(drafts, key, version, subjects))
        self.gate(key, Gate.TRAINING, training_gate(evidence, contract=self.contract), subjects | trained)
        return subjects

    def offline(self, key: str, subjects: Mapping[str, str], *, bootstrap: bool = False) -> None:
        champion = self.state().champion
        compared = {"champion": champion.bundle} if champion is not None else {}
        self.gate(key, Gate.OFFLINE, offline_gate(evaluation(bootstrap=bootstrap), self.contract), subjects | compared)

    def bootstrap(self, key: str = "2013-04-01") -> None:
        self.launch(key, {"kind": "person", "reason": "first model of this kind"}, DORA)
        self.offline(key, self.until_candidate(key, "1"), bootstrap=True)
        reason = "nothing to compare with; absolute limits hold, and passengers get no warnings at all today"
        self.do(RUTH, reason, lambda drafts: approvals.bootstrap(drafts, key, self.contract))

    def arm(self, key: str) -> None:
        self.do(SYSTEM, "gates before traffic passed", lambda drafts: ramping.register_and_arm(drafts, self.contract, key))
        self.now += timedelta(minutes=5)
        self.do(SYSTEM, "the ramp begins", lambda drafts: ramping.step(drafts, f"{MODEL}-{key}"))

    def toggle(self, key: str) -> ToggleState:
        toggle = self.state().toggle_of(key)
        assert toggle is not None
        return toggle

    def follow_until(self, key: str, *, cost: float, missed: float = 0.0, looks: int = 60, stop: str = "") -> Look:
        """Looks every twelve hours until one is not about an active ramp any more; what the last one found."""
        traffic = Traffic(np.random.default_rng(self.seed), cost, missed)
        plan, look = Plan.from_contract(self.contract), None
        for _ in range(looks):
            self.now += timedelta(hours=12)
            toggle = self.toggle(key)
            traffic.live(toggle.stage_revision, toggle.stage or "")
            look = analyse(
                traffic.data(toggle), plan, stage=toggle.stage or "", revision=toggle.stage_revision,
                stage_started_at=toggle.stage_started[toggle.stage_revision], armed_at=toggle.armed_at or self.now,
                now=self.now, before=look,
            )  # fmt: skip
            self.record(key, look, plan)
            if not self.toggle(key).active or self.toggle(key).state == "awaiting_approval" or self.toggle(key).stage == stop:
                break
        assert look is not None
        return look

    def record(self, key: str, look: Look, plan: Plan) -> None:
        document = look.to_json()
        digest = self.evidence.put(document)
        bundle = self.toggle(key).challenger.bundle
        verdicts = canary_gate(look, plan)
        full = {"gate": "canary", "verdicts": [verdict.to_json() for verdict in verdicts]}
        stored = self.evidence.put(full)
        subjects = {"bundle": bundle, "report": digest}
        self.do(SYSTEM, look.reason, lambda drafts: ramping.follow(drafts, key, document, digest))
        self.do(
            SYSTEM,
            "gate canary judged",
            lambda drafts: retrains.gate_evaluated(drafts, key, Gate.CANARY, verdicts, subjects, stored),
        )

    def approve(self, key: str, reason: str) -> None:
        self.now += timedelta(hours=3)
        self.do(RUTH, reason, lambda drafts: approvals.approve(drafts, key, typed_by="rrelease", evidence=None))

    def decide(self, key: str) -> None:
        self.now += timedelta(minutes=10)
        known = self.state().retrains[key]
        self.do(
            SYSTEM,
            "decision about the retrain",
            lambda drafts: deciding.decide(drafts, key, self.contract, Grounds(known.subjects)),
        )

    def roll_back(self, key: str, reason: str) -> None:
        self.do(RUTH, reason, lambda drafts: ramping.roll_back(drafts, f"{MODEL}-{key}", cause="person"))

    def stage(self, key: str, stage: str, metadata: Mapping[str, Any]) -> dict[str, str]:
        """A stage's result on disk and what is recorded of it as evidence, named as its gate's event does."""
        path = self.home.stage_dir(MODEL, key, stage) / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        result = StageResult(stage, {}, metadata, {}, digest_of(key), RUN | {"dagster_run_id": f"run of {key}"})
        path.write_text(json.dumps({**result.to_json(), "basis": digest_of(stage)}))
        return {"stage_record": self.evidence.put(result.record)}

    def promoted(self, key: str = "2013-07-01", version: str = "2") -> None:
        """A drift retrain through all gates, approved and promoted."""
        self.launch(key, DRIFT)
        self.offline(key, self.until_candidate(key, version))
        self.arm(key)
        self.follow_until(key, cost=-0.7)
        self.approve(key, "cost falls in every look since 25 %, no guardrail near its margin")
        self.decide(key)

    def stopped_by_leak(self, key: str = "2013-08-01") -> None:
        self.launch(key, {"kind": "person", "reason": "try departure delay as a feature"}, DORA)
        self.gate(key, Gate.DATA, data_verdicts(leak=True), {"dataset": digest_of("dataset"), "features": digest_of("leaky")})
        self.decide(key)

    def stopped_by_calibration(self, key: str = "2013-09-01") -> None:
        """The candidate separates better than the champion and over-predicts by ten points."""
        self.launch(key, DRIFT)
        champion = self.state().champion
        subjects = self.until_candidate(key, "3") | ({"champion": champion.bundle} if champion is not None else {})
        self.gate(key, Gate.OFFLINE, offline_gate(evaluation(too_high=0.1), self.contract), subjects)
        self.decide(key)

    def rolled_back(self, key: str = "2013-11-01", version: str = "3") -> None:
        self.launch(key, {"kind": "cadence", "cron": "0 6 1 * *"})
        self.offline(key, self.until_candidate(key, version))
        self.arm(key)
        self.follow_until(key, cost=1.5, missed=0.1)
        self.decide(key)


@dataclass
class Traffic:
    """Units with a cost, a missed late flight, an error and a latency tail, as sums per revision, arm and origin."""

    draw: np.random.Generator
    cost: float
    missed: float
    sums: dict[tuple[int, str, str, str, str], ArmStatistics] = field(default_factory=dict)
    exposed: dict[tuple[int, str], int] = field(default_factory=dict)

    def live(self, revision: int, stage: str) -> None:
        for origin, units in (("EWR", 160), ("JFK", 150), ("LGA", 140)):
            for arm, share in (("champion", 1 - _SHARES[stage]), ("challenger", _SHARES[stage])):
                count = round(units * share)
                self.exposed[revision, arm] = self.exposed.get((revision, arm), 0) + (units if stage == "shadow" else count)
                if count and stage != "shadow":
                    self._add(revision, stage, origin, arm, count)

    def _add(self, revision: int, stage: str, origin: str, arm: str, count: int) -> None:
        better = arm == "challenger"
        values = {
            "cost_per_flight": np.clip(self.draw.normal(7.6 + (self.cost if better else 0), 4.2, count), 0, 30),
            "missed_late_rate": (self.draw.random(count) < 0.11 + (self.missed if better else 0)).astype(float),
            "error_rate": np.zeros(count),
            "slow_rate": (self.draw.random(count) < 0.06).astype(float),
        }
        for measure, sample in values.items():
            outside = int(((sample < 0) | (sample > 1)).sum())
            one = ArmStatistics.of_mean(count, float(sample.sum()), float((sample**2).sum()), outside=outside)
            key = (revision, stage, origin, arm, measure)
            self.sums[key] = self.sums.get(key, ArmStatistics.empty()) + one

    def data(self, toggle: ToggleState) -> CanaryData:
        stages = {key[0]: key[1] for key in self.sums}
        stages |= {revision: "shadow" for revision, share in toggle.shares.items() if share == 0}
        live = [revision for revision in stages if stages[revision] != "shadow"]

        def measure(name: str, origins: tuple[str, ...]) -> MeasureStatistics:
            return MeasureStatistics(strata=tuple(self._stratum(revision, stages[revision], name, origins) for revision in live))

        names, origins = ("cost_per_flight", "missed_late_rate", "error_rate", "slow_rate"), ("EWR", "JFK", "LGA")
        return CanaryData(
            stages=tuple(self._counts(revision, stages[revision], toggle) for revision in sorted(stages)),
            measures={name: measure(name, origins) for name in names},
            segments={f"origin={origin}": {name: measure(name, (origin,)) for name in names} for origin in origins},
            first_traffic_at=min((toggle.stage_started[revision] for revision in live), default=None),
            late_outcomes=3,
            exposures=sum(self.exposed.values()),
            outcomes=sum(self.exposed.values()),
        )

    def _stratum(self, revision: int, stage: str, measure: str, origins: tuple[str, ...]) -> StratumStatistics:
        arms = [
            sum(
                (self.sums.get((revision, stage, origin, arm, measure), ArmStatistics.empty()) for origin in origins),
                ArmStatistics.empty(),
            )
            for arm in ("champion", "challenger")
        ]
        return StratumStatistics(Stratum(revision, stage), *arms)

    def _counts(self, revision: int, stage: str, toggle: ToggleState) -> StageCounts:
        champion, challenger = (self.exposed.get((revision, arm), 0) for arm in ("champion", "challenger"))
        arms = [ArmCounts(units, units, max(0, units - units // 60)) for units in (champion, challenger)]
        return StageCounts(revision, stage, toggle.shares[revision], *arms, started_at=toggle.stage_started[revision])
