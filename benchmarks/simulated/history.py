"""A seeded history of many models retrained every week for years, written into a ledger as true links of its chain.

It is a simulation and says so: every event names the actor ``system:simulation`` or a person ``@simulation.example``. What an
event carries has the shape and the size of what the demo records.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from retrain_assets.contract import Contract, digest_of, sha256_hex
from retrain_assets.ledger import Actor, EventDraft, EventKind, EvidenceStore, Ledger

MODELS, WEEKS = 100, 156
FIRST = datetime(2023, 1, 2, 6, tzinfo=UTC)
SIMULATION = Actor("system", "simulation")
RUTH = Actor("person", "ruth@simulation.example")
AT_ONCE = 4000
"""Events in one transaction."""
ENDINGS = {"promoted": 0.45, "rolled_back": 0.3, "stopped": 0.25}
"""Share of the retrains that end so."""

CONTRACT: dict[str, Any] = {
    "model": "model_000",
    "task": "binary_classification",
    "purpose": "A simulated model, retrained every week",
    "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:simulation"),
    "source": {
        "uri": "rows.parquet",
        "event_time": "at",
        "unit": "unit_id",
        "label": "label",
        "label_delay": "1d",
        "schema": ".schema.Rows",
    },
    "window": {"train": "90d", "holdout": "14d", "backtests": 4},
    "features": ".features.build",
    "trainer": {"estimator": "lightgbm.LGBMClassifier"},
    "decision": {"threshold": 0.5},
    "gates": {"data": {"min_rows": 1000, "max_age": "2d"}, "offline": {"metrics": {"roc_auc": {"min": 0.6}}}},
    "experiment": {
        "ramp": ["shadow", 5, 25, 50, 100],
        "outcomes": ["cost"],
        "success": {"cost": {"direction": "decrease"}},
        "guardrails": {"error_rate": {"column": "error", "direction": "decrease", "margin": 0.01}},
        "outcome_window": "1d",
        "min_stage": {"units": 100, "duration": "1d"},
        "max_duration": "6d",
        "expected_units_per_day": 5000,
    },
    "toggle": {
        "owner": "team:simulation",
        "purpose": "Compare the retrained model with the champion",
        "expires_after": "7d",
        "remove_after": "14d",
        "rollback": "previous_champion",
    },
    "approval": {"approvers": [RUTH.name], "required": 1, "valid_for": "3d"},
    "cadence": {"min_interval": "7d"},
}


def write_history(
    ledger: Ledger, *, models: int = MODELS, weeks: int = WEEKS, evidence: EvidenceStore | None = None, seed: int = 8
) -> int:
    """Append the whole history, week by week, model by model; gives the number of retrains.

    Args:
        ledger: an empty one.
        models: how many models.
        weeks: how many retrains each has; the first is its bootstrapped champion.
        evidence: where the evidence that events name is put; None leaves it out, all but the contracts' digests dangle.
        seed: of what ends how.
    """
    sequence, waiting = ledger.head()[0], list[EventDraft]()
    for draft in drafts(models=models, weeks=weeks, first=sequence + 1, evidence=evidence, seed=seed):
        waiting.append(draft)
        if len(waiting) >= AT_ONCE:
            ledger.append_all(waiting)
            waiting.clear()
    ledger.append_all(waiting)
    return models * weeks


def drafts(
    *, models: int, weeks: int, first: int = 1, evidence: EvidenceStore | None = None, seed: int = 8
) -> Iterator[EventDraft]:
    """The events of the history in their order; ``first`` is the sequence that the first of them will get."""
    roads = [_Road(f"model_{number:03d}", random.Random(f"{seed} {number}"), evidence) for number in range(models)]
    sequence = first
    for week in range(weeks):
        for road in roads:
            some = road.retrain(week, sequence)
            sequence += len(some)
            yield from some


@dataclass
class _Road:
    """One model on its way through the years."""

    model: str
    chance: random.Random
    evidence: EvidenceStore | None
    champion: dict[str, str] = field(default_factory=dict)
    promoted: str | None = None
    """The toggle that made the champion, until it is retired."""
    version: int = 0
    _contract: Contract | None = None

    def retrain(self, week: int, sequence: int) -> list[EventDraft]:
        """The events of the retrain of one week; ``sequence`` is that of the first."""
        return _Retrain(self, FIRST + timedelta(weeks=week), sequence).written()

    @property
    def contract(self) -> Contract:
        if self._contract is None:
            self._contract = Contract.model_validate({**CONTRACT, "model": self.model})
            if self.evidence is not None:
                self.evidence.put(self._contract.to_json())
        return self._contract


@dataclass
class _Retrain:
    road: _Road
    at: datetime
    first: int
    events: list[EventDraft] = field(default_factory=list)
    revision: int = 0

    def written(self) -> list[EventDraft]:
        bootstraps = not self.road.champion
        ending = "bootstrapped" if bootstraps else self.road.chance.choices(list(ENDINGS), list(ENDINGS.values()))[0]
        self._add(
            EventKind.RETRAIN_LAUNCHED,
            {"trigger": {"kind": "schedule", "cron": "0 6 * * 1"}, "contract_digest": self.road.contract.digest},
        )
        self._gate("data", 14)
        self._gate("data", 6)
        self.road.version += 1
        subjects = {name: self._digest(name) for name in ("dataset", "features", "bundle")}
        version = {"version": str(self.road.version), "bundle": subjects["bundle"]}
        self._add(EventKind.CANDIDATE_REGISTERED, {**version, "subjects": subjects, "mlflow_run_id": self._digest("run")[-32:]})
        self._gate("training", 8)
        self._gate("offline", 9, "fail" if ending == "stopped" else "pass")
        if bootstraps:
            self._add(EventKind.CHAMPION_BOOTSTRAPPED, version, RUTH)
            self.road.champion = version
            self._end("promote", "bootstrapped")
        elif ending == "stopped":
            self._add(EventKind.REJECTED, {"ending": "stopped", "failure": {"mode": "quality", "sentence": "it was worse"}})
            self._end("reject", "stopped")
        else:
            self._ramp(version, ending)
        return self.events

    def _ramp(self, version: dict[str, str], ending: str) -> None:
        contract = self.road.contract
        registered = {
            "contract": contract.to_json(),
            "contract_digest": contract.digest,
            "challenger": version,
            "previous_champion": self.road.champion,
            "salt": self.toggle,
            "owner": contract.toggle.owner,
            "purpose": contract.toggle.purpose,
            "gates": {},
        }
        self._move(EventKind.TOGGLE_REGISTERED, registered)
        until = {
            "expires_at": (self.at + contract.toggle.expires_after).isoformat(),
            "remove_by": (self.at + contract.toggle.remove_after).isoformat(),
            "share": 0,
        }
        self._move(EventKind.TOGGLE_ARMED, until)
        stages, before = ("shadow", "5", "25", "50"), None
        for stage in stages if ending == "promoted" else stages[: self.road.chance.randint(2, 4)]:
            share = 0 if stage == "shadow" else int(stage) / 100
            self._move(EventKind.TOGGLE_STEPPED, {"from_stage": before, "to_stage": stage, "share": share})
            for _ in range(4):
                look = self._look("hold", stage)
            before = stage
        if ending == "rolled_back":
            found = {"evidence": look, "failure": {"mode": "harm", "sentence": "a guardrail was crossed"}}
            restored = {"cause": "harm", "from": "ramping", "stage": before, "restored": self.road.champion}
            self._look("roll_back", str(before), outcome="fail")
            self._move(EventKind.ROLLED_BACK, {**restored, **found})
            self._move(EventKind.REJECTED, {"ending": "rolled_back"})
            self._end("reject", "rolled_back")
            self._move(EventKind.TOGGLE_RETIRED, {"from": "rejected"})
            return
        look = self._look("ask_approval", str(before))
        self._move(EventKind.APPROVAL_REQUESTED, {"evidence": look})
        approved = {**version, "evidence": look, "typed_by": "ruth", "valid_until": (self.at + timedelta(days=3)).isoformat()}
        number = self.first + len(self.events)
        self._add(EventKind.APPROVED, {**approved, "gates": {}}, RUTH, toggle=self.toggle)
        promoted = {**version, "previous_champion": self.road.champion, "evidence": look, "approvals": [number]}
        self._move(EventKind.PROMOTED, promoted)
        self._end("promote", "promoted", [number])
        if self.road.promoted is not None:
            key, name, revision = self.road.promoted.split("|")
            self._put(EventKind.TOGGLE_RETIRED, {"from": "promoted"}, SIMULATION, name, (int(revision), int(revision) + 1), key)
        self.road.champion, self.road.promoted = version, f"{self.key}|{self.toggle}|{self.revision}"

    @property
    def key(self) -> str:
        return f"{FIRST + (self.at - FIRST) // timedelta(weeks=1) * timedelta(weeks=1):%Y-%m-%d}"

    @property
    def toggle(self) -> str:
        return f"{self.road.model}-{self.key}"

    def _gate(self, gate: str, checks: int, outcome: str = "pass", report: str | None = None) -> None:
        verdicts = [self._verdict(gate, number, outcome if number == 0 else "pass") for number in range(checks)]
        subjects = {name: self._digest(name) for name in ("dataset", "features", "bundle")}
        if gate == "offline" and self.road.champion:
            subjects["champion"] = self.road.champion["bundle"]
        if report is not None:
            subjects["report"] = report
        full = {"model": self.road.model, "retrain": self.key, "gate": gate, "subjects": subjects, "verdicts": verdicts}
        digest = self._stored(full)
        compact = [{name: value for name, value in one.items() if name != "evidence"} for one in verdicts]
        self._add(
            EventKind.GATE_EVALUATED,
            {"gate": gate, "outcome": outcome, "verdicts": compact, "subjects": subjects, "evidence": digest},
        )

    def _verdict(self, gate: str, number: int, outcome: str) -> dict[str, Any]:
        observed = round(self.road.chance.random(), 6)
        return {
            "check": f"{gate}_measure_{number}_within_its_limit",
            "gate": gate,
            "outcome": outcome,
            "message": f"measure {number} of the simulated rows is {observed} on 11,540 hold-out rows; required is at least 0.05",
            "observed": observed,
            "threshold": 0.05,
            "evidence": {},
        }

    def _look(self, action: str, stage: str, outcome: str = "inconclusive") -> str:
        look = {"at": self.at.isoformat(), "action": action, "stage": stage, "revision": self.stage_revision, "simulated": True}
        digest = self._stored(look)
        self._gate("canary", 12, outcome if action != "ask_approval" else "pass", report=digest)
        reason = f"stage {stage}: cost is not shown to win yet, guardrails hold; {action.replace('_', ' ')}"
        payload = {
            "evidence": digest,
            "action": action,
            "reason": reason,
            "stage": stage,
            "revision": self.stage_revision,
            "cause": None,
            "again_at": None,
        }
        self._add(EventKind.CANARY_LOOKED, payload, toggle=self.toggle)
        return digest

    @property
    def stage_revision(self) -> int:
        return self.revision

    def _end(self, decision: str, ending: str, approvals: list[int] | None = None) -> None:
        verdicts = [self._verdict("promotion", number, "pass") for number in range(6)] if decision == "promote" else []
        self._add(EventKind.DECISION_RECORDED, {"decision": decision, "verdicts": verdicts, "approvals": approvals or []})
        self._add(EventKind.RETRAIN_ENDED, {"ending": ending})
        pack = {"model": self.road.model, "retrain": self.key, "simulated": True}
        self._add(EventKind.AUDIT_RECORDED, {"evidence": self._stored(pack), "detail": {}})

    def _add(self, kind: EventKind, payload: Mapping[str, Any], actor: Actor = SIMULATION, toggle: str | None = None) -> None:
        self._put(kind, payload, actor, toggle, (None, None), self.key)

    def _move(self, kind: EventKind, payload: Mapping[str, Any]) -> None:
        self.revision += 1
        self._put(kind, payload, SIMULATION, self.toggle, (self.revision - 1, self.revision), self.key)

    def _put(
        self,
        kind: EventKind,
        payload: Mapping[str, Any],
        actor: Actor,
        toggle: str | None,
        revisions: tuple[int | None, int | None],
        key: str,
    ) -> None:
        self.at += timedelta(hours=1)
        self.events.append(
            EventDraft(self.at, actor, kind, self.road.model, "a simulated week", key, toggle, *revisions, payload)
        )

    def _stored(self, value: dict[str, Any]) -> str:
        return digest_of(value) if self.road.evidence is None else self.road.evidence.put(value)

    def _digest(self, what: str) -> str:
        return f"sha256:{sha256_hex(f'{self.toggle} {what}'.encode())}"
