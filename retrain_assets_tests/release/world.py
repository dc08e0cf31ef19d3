"""The smallest real world a release happens in: a home, a ledger, an evidence store, a registry in memory, a clock to set."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from retrain_assets.bundle import Manifest
from retrain_assets.contract import Contract, Gate, Outcome, RetrainError, Verdict, digest_of
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor, EventDraft, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController, ToggleState, VersionRef

MODEL, OTHER = "flight_delay", "arrival_delay"
START = datetime(2013, 7, 1, tzinfo=UTC)
RUTH = Actor("person", "ruth@flights.example")
PAUL = Actor("person", "paul@flights.example")
EVE = Actor("person", "eve@elsewhere.example")

CONTRACT: dict[str, Any] = {
    "model": MODEL,
    "task": "binary_classification",
    "purpose": "Warn passengers when a flight will be late",
    "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:flights"),
    "source": {
        "uri": "flights.parquet",
        "event_time": "scheduled_at",
        "unit": "flight_id",
        "label": "late",
        "label_delay": "1d",
        "schema": ".schema.Flights",
    },
    "window": {"train": "90d", "holdout": "14d", "backtests": 4},
    "features": ".features.build",
    "trainer": {"estimator": "lightgbm.LGBMClassifier"},
    "decision": {"threshold": 0.5},
    "gates": {"data": {"min_rows": 1000, "max_age": "2d"}, "offline": {"metrics": {"roc_auc": {"min": 0.6}}}},
    "experiment": {
        "cohort": {"origin": {"in": ["JFK", "EWR"]}},
        "ramp": ["shadow", 5, 50, 100],
        "outcomes": ["cost_per_flight"],
        "success": {"cost_per_flight": {"direction": "decrease"}},
        "guardrails": {"error_rate": {"column": "error", "direction": "decrease", "margin": 0.01}},
        "outcome_window": "1d",
        "min_stage": {"units": 100, "duration": "1d"},
        "max_duration": "28d",
        "expected_units_per_day": 5000,
    },
    "toggle": {
        "owner": "team:product",
        "purpose": "Compare the retrained model with the champion",
        "expires_after": "30d",
        "remove_after": "60d",
        "rollback": "previous_champion",
    },
    "approval": {"approvers": [RUTH.name, PAUL.name], "required": 1, "valid_for": "3d"},
    "cadence": {"min_interval": "7d"},
}


def contract(**sections: dict[str, Any]) -> Contract:
    """The contract, with some fields of some sections changed."""
    values = deepcopy(CONTRACT)
    for name, changes in sections.items():
        values[name] = {**values[name], **changes}
    return Contract.model_validate(values)


@dataclass
class SettableClock:
    """Stands still until it is moved."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class MemoryRegistry:
    """A registry of bundle directories whose aliases and tags are kept in memory."""

    folder: Path
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    versions: dict[tuple[str, str], Path] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    heads: dict[tuple[str, str], str] = field(default_factory=dict)

    def register(self, model: str, manifest: Manifest) -> str:
        version = str(1 + sum(name == model for name, _ in self.versions))
        bundle = self.folder / model / version
        bundle.mkdir(parents=True)
        (bundle / "manifest.json").write_text(json.dumps(manifest.to_json()))
        self.versions[model, version] = bundle
        return version

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        self.calls.append(f"alias {alias} {version}")
        if version is None:
            self.aliases.pop((model, alias), None)
        else:
            self.aliases[model, alias] = version

    def set_tags(self, model: str, version: str, tags: dict[str, str]) -> None:  # type: ignore[override]
        self.calls.append(f"tags {version} {tags['status']}")
        self.tags.setdefault((model, version), {}).update(tags)

    def carried_head(self, model: str, version: str) -> str | None:
        return self.heads.get((model, version))

    def set_head(self, model: str, version: str, head: str) -> None:
        self.calls.append(f"head {version}")
        self.heads[model, version] = head

    def download(self, model: str, version: str) -> Path:
        self.calls.append(f"download {version}")
        if (model, version) not in self.versions:
            raise RetrainError(f"{model} has no version {version}")
        return self.versions[model, version]

    def status(self, version: str) -> str:
        return self.tags[MODEL, version]["status"]


def manifest(retrain: str, **changes: Any) -> Manifest:
    """The manifest of a bundle without files."""
    values: dict[str, Any] = {
        "model": MODEL,
        "retrain": retrain,
        "task": "binary_classification",
        "estimator": "lightgbm.LGBMClassifier",
        "params": {},
        "feature_names": ("distance",),
        "feature_dtypes": {"distance": "numeric"},
        "feature_function": "features.build",
        "feature_pipeline": digest_of("features"),
        "dataset": digest_of(f"rows until {retrain}"),
        "label": {"column": "late", "delay": "1d"},
        "window": {"train_start": "2013-04-01", "train_end": "2013-06-17", "holdout_end": retrain},
        "calibration": {"kind": "none", "fitted_on": ""},
        "decision": {"threshold": 0.5},
        "classes": (0, 1),
        "seed": 7,
        "code": {"commit": None, "dirty": False},
        "environment": {},
        "files": {},
    }
    return Manifest(**{**values, **changes})


def verdict(gate: Gate, check: str = "holds", outcome: Outcome = Outcome.PASS) -> Verdict:
    """A verdict of a gate."""
    return Verdict(gate, check, outcome, f"{check} is {outcome}", 0.7, 0.6, {"rows": [{"a": 1}]})


@dataclass
class World:
    """A controller and everything it works on."""

    root: Path
    clock: SettableClock = field(default_factory=SettableClock)
    contract: Contract = field(default_factory=contract)

    def __post_init__(self) -> None:
        self.home = Home(self.root)
        self.registry = MemoryRegistry(self.root / "registry")
        self.ledger = Ledger(self.home.ledger_url)
        self.evidence = EvidenceStore(self.home.evidence_dir)
        self.controller = self.another_controller()

    def another_controller(self) -> ReleaseController:
        """One more process's view of the same home."""
        return ReleaseController(self.home, self.ledger, self.evidence, lambda: self.registry, self.clock)

    @property
    def state(self) -> Any:
        return self.controller.state(MODEL)

    def toggle(self, retrain: str) -> ToggleState:
        return self.state.toggles[f"{MODEL}-{retrain}"]

    def launch(self, retrain: str, actor: Actor = SYSTEM) -> None:
        self.controller.launch_retrain(self.contract, retrain, {"kind": "drift"}, actor)

    def judge(self, retrain: str, gate: Gate, outcome: Outcome = Outcome.PASS, **subjects: str) -> None:
        known = dict(self.state.retrains[retrain].subjects)
        if gate is Gate.OFFLINE and self.state.champion is not None:
            known["champion"] = self.state.champion.bundle
        self.controller.record_gate(MODEL, retrain, gate, [verdict(gate, outcome=outcome)], {**known, **subjects})

    def candidate(self, retrain: str, actor: Actor = SYSTEM, *, registered: Manifest | None = None) -> VersionRef:
        """A retrain whose gates before traffic all passed."""
        self.launch(retrain, actor)
        made = registered or manifest(retrain)
        version = self.registry.register(MODEL, made)
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        found = self.controller.register_candidate(MODEL, retrain, version, subjects)
        for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE):
            self.judge(retrain, gate)
        return found

    def bootstrap(self, retrain: str = "2013-04-01") -> VersionRef:
        champion = self.candidate(retrain)
        self.controller.bootstrap(self.contract, retrain, RUTH, "first model")
        return champion

    def arm(self, retrain: str = "2013-07-01", actor: Actor = SYSTEM) -> str:
        """The name of the armed toggle of a new candidate; its champion is bootstrapped when there is none."""
        if self.state.champion is None:
            self.bootstrap()
        self.candidate(retrain, actor)
        return self.controller.register_and_arm(self.contract, retrain).name

    def look(self, retrain: str, action: str, reason: str = "as measured", **changes: Any) -> ToggleState:
        """One look at the canary, its gate recorded first as the asset does."""
        toggle = self.toggle(retrain)
        self.clock.forward(hours=1)
        look = {
            "at": self.clock.now().isoformat(),
            "action": action,
            "reason": reason,
            "stage": toggle.stage,
            "revision": toggle.stage_revision,
            **changes,
        }
        digest = self.evidence.put(look)
        outcome = {"ask_approval": Outcome.PASS, "roll_back": Outcome.FAIL}.get(action, Outcome.INCONCLUSIVE)
        gate = [verdict(Gate.CANARY, "wins", outcome)]
        self.controller.record_gate(MODEL, retrain, Gate.CANARY, gate, {"bundle": toggle.challenger.bundle, "report": digest})
        return self.controller.follow(MODEL, retrain, look, digest)

    def ramp(self, retrain: str = "2013-07-01", actor: Actor = SYSTEM) -> str:
        """A toggle in the last stage of its ramp."""
        name = self.arm(retrain, actor)
        self.controller.step(name, SYSTEM, "enter the ramp")
        self.look(retrain, "step")
        self.look(retrain, "step")
        return name

    def awaiting(self, retrain: str = "2013-07-01", actor: Actor = SYSTEM) -> str:
        """A toggle that awaits approval."""
        name = self.ramp(retrain, actor)
        self.look(retrain, "ask_approval", "better on cost, guardrails hold")
        return name

    def promoted(self, retrain: str = "2013-07-01") -> str:
        """A toggle whose challenger has become champion."""
        name = self.awaiting(retrain)
        self.controller.approve(MODEL, retrain, RUTH, "clear win")
        assert self.controller.decide(MODEL, retrain).decision == "promote"
        return name

    def second_model(self, retrain: str = "2013-07-01") -> str:
        """The name of a toggle of another model: the first model's events once more, under another name."""
        self.ledger.append_all(
            [
                EventDraft(
                    at=event.at,
                    actor=event.actor,
                    kind=event.kind,
                    model=OTHER,
                    reason=event.reason,
                    retrain=event.retrain,
                    toggle=event.toggle and event.toggle.replace(MODEL, OTHER),
                    revision_before=event.revision_before,
                    revision_after=event.revision_after,
                    payload=event.payload,
                )
                for event in self.ledger.events(model=MODEL)
            ]
        )
        self.registry.versions |= {(OTHER, version): path for (_, version), path in self.registry.versions.items()}
        self.controller.reconcile()
        return f"{OTHER}-{retrain}"

    def flags(self) -> dict[str, Any]:
        return json.loads(self.home.flags_path.read_bytes())
