"""A made-up but plausible home: roads a retrain can take, written by the release room's own plans. A sample, not a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from retrain_assets.bundle import Manifest
from retrain_assets.contract import Contract, Gate, Outcome, Verdict, digest_of
from retrain_assets.experiment import (
    ArmCounts,
    ArmStatistics,
    CanaryData,
    Look,
    Plan,
    StageCounts,
    Stratum,
    StratumStatistics,
    analyse,
)
from retrain_assets.gates.calibration import Calibration, CalibrationBin
from retrain_assets.gates.canary import canary_gate
from retrain_assets.gates.evaluation import Backtest, Comparison, OfflineEvaluation, Slice
from retrain_assets.gates.fairness import GroupRates
from retrain_assets.gates.intervals import UNDEFINED, Improvement
from retrain_assets.gates.offline import offline_gate
from retrain_assets.gates.training import TrainingEvidence, training_gate
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor, EvidenceStore, Ledger
from retrain_assets.release import ModelState, ToggleState, deciding, fold, ramping, retrains
from retrain_assets.release.drafts import Drafts

MODEL = "sample_delay"
RUTH = Actor("person", "ruth.release@flights.example")
DORA = Actor("person", "dora.data@flights.example")
DRIFT = {
    "kind": "drift",
    "metric": "label_share",
    "value": 0.0913,
    "threshold": 0.06,
    "window": ["2013-06-17T00:00:00+00:00", "2013-07-01T00:00:00+00:00"],
    "above": 2,
    "of": 3,
    "column": None,
}
CONTRACT = Contract.model_validate(
    {
        "model": MODEL,
        "task": "binary_classification",
        "purpose": "SAMPLE with made-up numbers: warn passengers when a flight will land more than 15 minutes late",
        "owners": {
            "data": "team:data-engineering",
            "training": "team:ml-engineering",
            "evaluation": "team:data-science",
            "experiment": "team:product",
            "release": "team:release",
        },
        "source": {
            "uri": "${RETRAIN_HOME}/sources/flights/*.parquet",
            "event_time": "scheduled_at",
            "unit": "flight_id",
            "label": "late",
            "label_delay": "1d",
            "schema": "flights.schema.Flights",
            "known_after_prediction": ["dep_delay"],
        },
        "window": {"train": "90d", "holdout": "14d", "backtests": 4},
        "features": "flights.features.build",
        "trainer": {
            "estimator": "lightgbm.LGBMClassifier",
            "params": {"n_estimators": 120, "learning_rate": 0.06, "num_leaves": 15},
            "calibration": "isotonic",
            "seed": 7,
        },
        "decision": {"threshold": 0.3333},
        "gates": {
            "data": {"min_rows": 60000, "max_age": "3d", "max_missing": {"late": "10%"}},
            "offline": {
                "metrics": {
                    "roc_auc": {"min": 0.62, "max_regression": 0.02},
                    "brier_score": {"max": 0.25, "max_regression": 0.01},
                },
                "slices": {"columns": ["origin", "carrier"], "metric": "brier_score", "max_regression": 0.03},
                "fairness": [{"column": "origin", "max_tpr_difference": "35%"}],
                "calibration": {"max_ece": 0.1},
                "backtests": {"metric": "roc_auc", "min": 0.55},
            },
        },
        "experiment": {
            "ramp": ["shadow", 5, 25, 50, 100],
            "outcomes": ["cost_per_flight", "missed_late_rate"],
            "segments": ["origin"],
            "success": {"cost_per_flight": {"direction": "decrease", "min_effect": "1%"}},
            "guardrails": {
                "missed_late_rate": {"direction": "decrease", "margin": 0.05},
                "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
                "slow_rate": {"column": "latency_ms", "above": 250, "direction": "decrease", "max_regression": "30%"},
            },
            "outcome_window": "1d",
            "min_stage": {"units": 80, "duration": "1d"},
            "max_duration": "28d",
            "expected_units_per_day": 900,
            "planned_units": 8000,
        },
        "toggle": {
            "owner": "team:product",
            "purpose": "Compare the retrained delay model with the champion on passengers' cost before it replaces it",
            "expires_after": "30d",
            "remove_after": "60d",
            "rollback": "previous_champion",
        },
        "approval": {"approvers": [RUTH.name, "paul.product@flights.example"], "required": 1, "valid_for": "3d"},
        "cadence": {"min_interval": "45d"},
    }
)
_CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL"]
_SHARES = {"shadow": 0.0, "5": 0.05, "25": 0.25, "50": 0.5}


@dataclass
class Sample:
    """A home whose ledger is written event by event, on made-up time."""

    home: Home
    now: datetime = datetime(2013, 4, 1, 6, tzinfo=UTC)
    seed: int = 11
    stages: dict[str, list[tuple[int, str, datetime]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.home.ledger_url)
        self.evidence = EvidenceStore(self.home.evidence_dir)
        self.evidence.put(CONTRACT.to_json())

    def state(self) -> ModelState:
        return fold(self.ledger.events(model=MODEL)).get(MODEL) or ModelState(MODEL)

    def do(self, actor: Actor, reason: str, plan: Callable[[Drafts], object]) -> None:
        drafts = Drafts(self.state(), actor, self.now, reason)
        plan(drafts)
        if drafts.events:
            self.ledger.append_all(drafts.events)

    def launch(self, key: str, trigger: Mapping[str, Any], actor: Actor = SYSTEM) -> None:
        self.now = datetime.fromisoformat(f"{key[:10]}T06:00:00+00:00")
        reason = f"retrain launched: {trigger['kind']}"
        self.do(actor, reason, lambda drafts: retrains.launch(drafts, CONTRACT, key, trigger))

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
        self.gate(key, Gate.DATA, data_verdicts(), {name: subjects[name] for name in ("dataset", "features")})
        rows = {"train": 81234, "holdout": 12874}
        self.stage(key, "dataset", {"window": dict(manifest.window), "rows": rows, "left_out": {"label_missing": 612}})
        self.stage(
            key, "features", {"feature_names": list(manifest.feature_names), "feature_function": manifest.feature_function}
        )
        evidence = TrainingEvidence(
            duration_s=14.32, artifact_loaded=True, reload_max_difference=0.0, refit_same_digest=True, refit_max_difference=0.0,
            loss=0.5312, baseline_loss=0.6021, loss_rows=12874,
        )  # fmt: skip
        self.stage(key, "training", {"manifest": manifest.to_json(), "evidence": evidence.to_json()})
        self.do(SYSTEM, "candidate registered", lambda drafts: retrains.candidate_registered(drafts, key, version, subjects))
        self.gate(key, Gate.TRAINING, training_gate(evidence, contract=CONTRACT), subjects)
        return subjects

    def offline(self, key: str, subjects: Mapping[str, str], *, bootstrap: bool = False) -> None:
        self.gate(key, Gate.OFFLINE, offline_gate(evaluation(bootstrap=bootstrap), CONTRACT), subjects)

    def bootstrap(self, key: str = "2013-04-01") -> None:
        self.launch(key, {"kind": "person", "reason": "first model of this kind"}, DORA)
        self.offline(key, self.until_candidate(key, "1"), bootstrap=True)
        reason = "nothing to compare with; absolute limits hold, and passengers get no warnings at all today"
        self.do(RUTH, reason, lambda drafts: retrains.bootstrap(drafts, CONTRACT, key))

    def arm(self, key: str) -> None:
        self.do(SYSTEM, "gates before traffic passed", lambda drafts: ramping.register_and_arm(drafts, CONTRACT, key))
        self.now += timedelta(minutes=5)
        self.do(SYSTEM, "the ramp begins", lambda drafts: ramping.step(drafts, f"{MODEL}-{key}"))

    def toggle(self, key: str) -> ToggleState:
        toggle = self.state().toggle_of(key)
        assert toggle is not None
        return toggle

    def follow_until(self, key: str, *, cost: float, missed: float = 0.0, looks: int = 60, stop: str = "") -> Look:
        """Looks every twelve hours until one is not about an active ramp any more; what the last one found."""
        traffic = Traffic(np.random.default_rng(self.seed), cost, missed)
        plan = Plan.from_contract(CONTRACT)
        for _ in range(looks):
            self.now += timedelta(hours=12)
            toggle = self.toggle(key)
            traffic.live(toggle.stage_revision, toggle.stage or "")
            look = analyse(
                traffic.data(toggle), plan, stage=toggle.stage or "", revision=toggle.stage_revision,
                stage_started_at=toggle.stage_started[toggle.stage_revision], armed_at=toggle.armed_at or self.now, now=self.now,
            )  # fmt: skip
            self.record(key, look, plan)
            if not self.toggle(key).active or self.toggle(key).state == "awaiting_approval" or self.toggle(key).stage == stop:
                break
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
        self.do(RUTH, reason, lambda drafts: deciding.approve(drafts, key, typed_by="rrelease", evidence=None))

    def decide(self, key: str) -> None:
        self.now += timedelta(minutes=10)
        known = self.state().retrains[key]
        self.do(SYSTEM, "decision about the retrain", lambda drafts: deciding.decide(drafts, key, CONTRACT, known.subjects))

    def roll_back(self, key: str, reason: str) -> None:
        self.do(RUTH, reason, lambda drafts: ramping.roll_back(drafts, f"{MODEL}-{key}", cause="person"))

    def stage(self, key: str, stage: str, metadata: Mapping[str, Any]) -> None:
        path = self.home.stage_dir(MODEL, key, stage) / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        result = {"stage": stage, "outputs": {}, "metadata": metadata, "verdicts": {}, "request_digest": digest_of(key)}
        path.write_text(json.dumps({"basis": digest_of(stage), "result": result}))

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
            one = ArmStatistics(count, float(sample.sum()), float((sample**2).sum()), float(sample.min()), float(sample.max()))
            key = (revision, stage, origin, arm, measure)
            self.sums[key] = self.sums.get(key, ArmStatistics(0, 0.0, 0.0)) + one

    def data(self, toggle: ToggleState) -> CanaryData:
        stages = {key[0]: key[1] for key in self.sums}
        stages |= {revision: "shadow" for revision, share in toggle.shares.items() if share == 0}
        empty = ArmStatistics(0, 0.0, 0.0)

        def stratum(revision: int, measure: str, origins: tuple[str, ...], segment: str | None) -> StratumStatistics:
            arms = [
                sum((self.sums.get((revision, stages[revision], origin, arm, measure), empty) for origin in origins), empty)
                for arm in ("champion", "challenger")
            ]
            return StratumStatistics(Stratum(revision, stages[revision], segment), *arms)

        names = ("cost_per_flight", "missed_late_rate", "error_rate", "slow_rate")
        origins = ("EWR", "JFK", "LGA")
        live = [revision for revision in stages if stages[revision] != "shadow"]
        return CanaryData(
            stages=tuple(self._counts(revision, stages[revision], toggle) for revision in sorted(stages)),
            measures={name: tuple(stratum(revision, name, origins, None) for revision in live) for name in names},
            segments={
                name: tuple(stratum(revision, name, (origin,), f"origin={origin}") for origin in origins for revision in live)
                for name in names
            },
            late_outcomes=3,
        )

    def _counts(self, revision: int, stage: str, toggle: ToggleState) -> StageCounts:
        champion, challenger = (self.exposed.get((revision, arm), 0) for arm in ("champion", "challenger"))
        arms = [ArmCounts(units, units, max(0, units - units // 60)) for units in (champion, challenger)]
        return StageCounts(revision, stage, toggle.shares[revision], *arms, started_at=toggle.stage_started[revision])


def manifest_of(key: str) -> Manifest:
    cutoff = datetime.fromisoformat(f"{key[:10]}T00:00:00+00:00")
    train_end = cutoff - timedelta(days=14)
    return Manifest(
        model=MODEL,
        retrain=key,
        task="binary_classification",
        estimator="lightgbm.LGBMClassifier",
        params={"n_estimators": 120, "learning_rate": 0.06, "num_leaves": 15, "deterministic": True, "n_jobs": 1},
        feature_names=("carrier", "origin", "dest", "hour", "weekday", "distance", "temp", "wind_speed", "visib", "pressure"),
        feature_dtypes={"hour": "numeric", "carrier": "categorical"},
        feature_function="flights.features.build",
        feature_pipeline=digest_of("features of the sample"),
        dataset=digest_of(f"data set of {key}"),
        label={"column": "late", "delay": "1d"},
        window={
            "train_start": (train_end - timedelta(days=90)).isoformat(),
            "train_end": train_end.isoformat(),
            "holdout_end": cutoff.isoformat(),
        },
        calibration={"kind": "isotonic", "fitted_on": "latest quarter of the training window, out of time"},
        decision={"threshold": 0.3333},
        classes=(0, 1),
        seed=7,
        code={"commit": "5f1c0d2e9a7b4c3d8e6f1a2b3c4d5e6f70819203", "dirty": False},
        environment={
            "python": "3.11.9",
            "platform": "linux-x86_64",
            "packages": {"lightgbm": "4.6.0", "numpy": "2.3.1", "polars": "1.40.0"},
        },
        files={"model.txt": "0" * 64},
    )


def data_verdicts(*, leak: bool = False) -> list[Verdict]:
    def passed(
        check: str, message: str, observed: float | None = None, threshold: float | None = None, **evidence: Any
    ) -> Verdict:
        return Verdict(Gate.DATA, check, Outcome.PASS, message, observed, threshold, evidence)

    features = [
        {"feature": "hour", "auc": 0.631, "auc_train": 0.628, "auc_holdout": 0.631},
        {"feature": "visib", "auc": 0.574, "auc_train": 0.574, "auc_holdout": 0.561},
        {"feature": "wind_speed", "auc": 0.552, "auc_train": 0.548, "auc_holdout": 0.552},
    ]
    verdicts = [
        passed("schema_holds", "94,108 rows are as schema Flights says", 0),
        passed("fresh_enough", "age of the newest row in hours is 1; required is at most 72", 1.0, 72.0),
        passed(
            "enough_rows", "number of labelled rows in train is 81,234; required is at least 60,000", 81234, 60000,
            labelled_rows={"train": 81234, "holdout": 12874}, required={"train": 60000, "holdout": 200},
        ),
        passed("volume_is_steady", "relative change of volume is 0.0412; required is at most 0.5", 0.0412, 0.5),
        passed("missingness_within_limits", "share of nulls in late (train) is 0.021; required is at most 0.1", 0.021, 0.1),
    ]  # fmt: skip
    if not leak:
        message = "AUC of the most separating feature (hour) is 0.631; required is at most 0.8"
        return [*verdicts, passed("no_single_feature_separates_label", message, 0.631, 0.8, features=features)]
    leaked = {"feature": "dep_delay", "auc": 0.913, "auc_train": 0.913, "auc_holdout": 0.908}
    return [
        *verdicts,
        Verdict(
            Gate.DATA, "no_single_feature_separates_label", Outcome.FAIL,
            "dep_delay (AUC 0.913) alone separates late better than 0.8; find out whether it is known before the prediction, "
            "and remove it if not", 0.913, 0.8, {"features": [leaked, *features], "features_total": 11, "above_limit": 1},
        ),
        Verdict(
            Gate.DATA, "features_are_known_in_time", Outcome.FAIL,
            "values known only after the prediction are used: dep_delay (1,987 rows); build the features without dep_delay",
            1987, 0, {"rows_changed": {"dep_delay": 1987, "hour": 0}, "known_after_prediction": ["dep_delay"]},
        ),
    ]  # fmt: skip


def evaluation(*, bootstrap: bool = False) -> OfflineEvaluation:
    def compared(metric: str, candidate: float, champion: float, gain: Improvement, rows: int = 12874) -> Comparison:
        return (
            Comparison(metric, rows, candidate, None, UNDEFINED)
            if bootstrap
            else Comparison(metric, rows, candidate, champion, gain)
        )

    draw = np.random.default_rng(5)
    slices = []
    for column, value, rows in [
        *(("origin", origin, 4300) for origin in ("EWR", "JFK", "LGA")),
        *(("carrier", carrier, int(rows)) for carrier, rows in zip(_CARRIERS, draw.integers(150, 2200, 11), strict=True)),
    ]:
        gain, half = float(draw.normal(0.008, 0.006)), float(0.45 / rows**0.5)
        improvement = Improvement(gain, gain - half, gain + half)
        slices.append(Slice(column, value, rows >= 200, compared("brier_score", 0.171 - gain, 0.171, improvement, rows)))
    scores = np.linspace(0.06, 0.62, 10)
    shares = np.clip(scores + draw.normal(0.004, 0.018, 10), 0, 1)
    bins = tuple(CalibrationBin(1287, float(score), float(share)) for score, share in zip(scores, shares, strict=True))
    return OfflineEvaluation(
        task="binary_classification",
        rows=12874,
        rows_without_label=0,
        bootstrap=bootstrap,
        compared=not bootstrap,
        confidence=0.95,
        seed=7,
        resamples=2000,
        metrics=(
            compared("roc_auc", 0.7042, 0.6811, Improvement(0.0231, 0.0152, 0.031)),
            compared("brier_score", 0.1634, 0.1712, Improvement(0.0078, 0.0049, 0.0107)),
        ),
        slices=tuple(slices),
        fairness={"origin": (GroupRates("EWR", 4300, 1100, 0.31, 0.52, 0.22), GroupRates("JFK", 4300, 900, 0.27, 0.44, 0.2))},
        calibration=Calibration(float(np.abs(scores - shares).mean()), float((scores - shares).mean()), bins),
        backtests=tuple(
            Backtest(f"2013-0{month}-{day:02}T00:00:00+00:00", f"2013-0{end}-{last:02}T00:00:00+00:00", 12000 + day * 37, auc)
            for month, day, end, last, auc in (
                (4, 22, 5, 6, 0.668),
                (5, 6, 5, 20, 0.681),
                (5, 20, 6, 3, 0.694),
                (6, 3, 6, 17, 0.701),
            )
        ),
        latency_ms=1.4,
    )
