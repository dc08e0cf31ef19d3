"""A real home on a replay clock: ledger, evidence, MLflow registry, flag document, traffic; and its contract's project."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from retrain_assets.bundle import Manifest
from retrain_assets.contract import Contract, Gate, Outcome, Verdict, canonical_json, digest_of, sha256_hex
from retrain_assets.experiment import Look, Plan
from retrain_assets.gates.canary import canary_gate
from retrain_assets.home import Home, ReplayClock
from retrain_assets.ledger import SYSTEM, Actor, EvidenceStore
from retrain_assets.release import ReleaseController, ToggleState
from retrain_assets.routing import compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.look import look_at

MODEL = "churn"
FIRST, SECOND = "2024-03-01", "2024-04-01"
START = datetime(2024, 4, 1, 6, tzinfo=UTC)
RUTH = Actor("person", "ruth@example.org")
TOGGLE = f"{MODEL}-{SECOND}"

ATTRIBUTES: dict[str, Any] = {
    "model": MODEL,
    "task": "binary_classification",
    "purpose": "Offer help to accounts that are about to leave",
    "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:accounts"),
    "source": {
        "uri": "accounts.parquet",
        "event_time": "seen_at",
        "unit": "account",
        "label": "churned",
        "label_delay": "1d",
        "schema": ".schema.Accounts",
    },
    "window": {"train": "40d", "holdout": "10d", "backtests": 2},
    "features": ".features.build",
    "trainer": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "decision": {"threshold": 0.5},
    "gates": {
        "data": {"min_rows": 500, "max_age": "2d"},
        "offline": {"metrics": {"roc_auc": {"min": 0.6}}},
    },
    "experiment": {
        "cohort": {"region": {"in": ["north", "south"]}},
        "ramp": ["shadow", 50, 100],
        "outcomes": ["cost", "complaint"],
        "success": {"cost": {"direction": "decrease"}},
        "guardrails": {"complaint": {"direction": "decrease", "margin": 0.1}},
        "outcome_window": "1d",
        "min_stage": {"units": 20, "duration": "1d"},
        "max_duration": "14d",
        "expected_units_per_day": 100,
        "planned_units": 1000,
    },
    "toggle": {
        "owner": "team:accounts",
        "purpose": "Compare the retrained churn model with the champion",
        "expires_after": "20d",
        "remove_after": "30d",
        "rollback": "previous_champion",
    },
    "approval": {"approvers": [RUTH.name, "paul@example.org"], "valid_for": "2d"},
    "cadence": {"min_interval": "7d"},
}


def write_project(folder: Path, attributes: dict[str, Any] | str = ATTRIBUTES) -> Path:
    """A Dagster project with the contract of ``churn``; the path of its ``defs.yaml``."""
    defs = folder / "shop" / "defs" / MODEL
    defs.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n')
    document = {"type": "retrain_assets.components.RetrainComponent", "attributes": attributes}
    text = attributes if isinstance(attributes, str) else yaml.safe_dump(document, sort_keys=False)
    (defs / "defs.yaml").write_text(text)
    return defs / "defs.yaml"


class World:
    """A home and what happened in it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.clock = ReplayClock(self.home.replay_clock_path)
        self.contract = Contract.model_validate(ATTRIBUTES)

    @classmethod
    def copied(cls, base: Path, target: Path) -> World:
        """A home of one's own: the registry's artifacts are looked for in the copy, too."""
        shutil.copytree(base, target)
        with sqlite3.connect(target / "mlflow.db") as database:
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "source"),
                ("model_versions", "storage_location"),
            ):
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(base), str(target)))
        database.close()
        return cls(target)

    @property
    def controller(self) -> ReleaseController:
        """A controller as another process would open it."""
        return ReleaseController.open(self.home)

    @property
    def evidence(self) -> EvidenceStore:
        return EvidenceStore(self.home.evidence_dir)

    @property
    def toggle(self) -> ToggleState:
        return self.controller.state(MODEL).toggles[TOGGLE]

    @property
    def champion(self) -> str | None:
        version = self.controller.state(MODEL).champion
        return version.version if version else None

    def flags(self) -> dict[str, Any]:
        return json.loads(self.home.flags_path.read_bytes())

    def forward(self, **by: float) -> None:
        self.clock.set(self.clock.now() + timedelta(**by))

    def begin(self) -> None:
        """Two candidates whose gates before traffic passed, the second's comparison still to come; no champion."""
        self.clock.set(START)
        for key in (FIRST, SECOND):
            self.candidate(key)

    def candidate(self, key: str) -> None:
        controller, bundle = self.controller, self.home.stage_dir(MODEL, key, "training") / "bundle"
        bundle.mkdir(parents=True)
        model = f"a model of {key}".encode()
        (bundle / "model.txt").write_bytes(model)
        manifest = _manifest(key, {"model.txt": sha256_hex(model)})
        (bundle / "manifest.json").write_bytes(canonical_json(manifest.to_json()))
        controller.launch_retrain(self.contract, key, {"kind": "person", "reason": "try"}, SYSTEM)
        from retrain_assets.registry import Registry

        registry = Registry.of(self.home)
        version = registry.register(bundle, manifest.to_json(), manifest.digest, tags={"retrain": key})
        subjects = {"dataset": manifest.dataset, "features": manifest.feature_pipeline, "bundle": manifest.digest}
        controller.register_candidate(MODEL, key, version, subjects)
        for gate in (Gate.DATA, Gate.TRAINING, *([Gate.OFFLINE] if key == FIRST else [])):
            verdict = Verdict(gate, "holds", Outcome.PASS, "holds", 0.7, 0.6)
            controller.record_gate(MODEL, key, gate, [verdict], subjects)

    def bootstrap(self) -> None:
        """The first candidate serves, and the second is compared with it."""
        champion = self.controller.bootstrap(self.contract, FIRST, RUTH, "first champion").champion
        assert champion is not None
        self.compared_with(champion.bundle)

    def compared_with(self, champion: str) -> None:
        """The second candidate passed gate offline against a champion's bundle."""
        subjects = dict(self.controller.state(MODEL).retrains[SECOND].subjects)
        verdict = Verdict(Gate.OFFLINE, "holds", Outcome.PASS, "holds", 0.7, 0.6)
        self.controller.record_gate(MODEL, SECOND, Gate.OFFLINE, [verdict], {**subjects, "champion": champion})

    def ramp(self) -> None:
        """The second candidate at 50 per cent, three days of traffic behind it."""
        controller = self.controller
        controller.register_and_arm(self.contract, SECOND, SYSTEM, "gates passed")
        controller.step(TOGGLE, SYSTEM, "enter the ramp")
        controller.step(TOGGLE, SYSTEM, "shadow is over")
        self.serve(days=3, units=200)

    def serve(self, *, days: int, units: int, better: float = 2.0) -> None:
        """Traffic of some days, routed by the flag document, its outcomes known a day later."""
        rule = rules_from_document(self.flags())[MODEL]
        assign, log, draw = compile_rule(rule), ExposureLog(self.home), np.random.default_rng(3)
        for _ in range(days):
            now = self.clock.now() + timedelta(hours=1)
            names = [f"u-{now:%m%d}-{number}" for number in range(units)]
            given = [assign(name, {"region": "north"}, now) for name in names]
            challenged = np.array([one.arm == "challenger" for one in given])
            keys = pl.DataFrame({"request_id": names, "unit_id": names})
            exposures = keys.with_columns(
                model=pl.lit(MODEL),
                toggle=pl.lit(rule.toggle),
                revision=pl.lit(rule.revision),
                stage=pl.lit(rule.stage),
                arm=pl.Series([one.arm for one in given]),
                version=pl.Series([one.version for one in given]),
                bundle=pl.Series([one.bundle for one in given]),
                exposed_at=pl.lit(now).cast(pl.Datetime("us", "UTC")),
                latency_ms=pl.lit(3.0),
                error=pl.lit(False),
                score=pl.lit(0.4),
                shadow_score=pl.lit(None, dtype=pl.Float64),
                region=pl.lit("north"),
            )
            cost = draw.normal(10, 3, units) - better * challenged
            complaint = (draw.random(units) < 0.1).astype(float)
            outcomes = keys.with_columns(
                observed_at=pl.lit(now + timedelta(hours=12)).cast(pl.Datetime("us", "UTC")),
                cost=pl.Series(cost),
                complaint=pl.Series(complaint),
            )
            log.append_exposures(MODEL, exposures, f"{now:%Y-%m-%d}")
            log.append_outcomes(MODEL, outcomes, f"{now:%Y-%m-%d}")
            self.forward(days=1)
        self.forward(days=1)

    def look(self) -> Look:
        """A recorded look, as the canary report makes it."""
        controller, toggle = self.controller, self.toggle
        look = look_at(self.home, toggle, self.clock.now())
        digest = self.evidence.put(look.to_json())
        subjects = {"bundle": toggle.challenger.bundle, "report": digest}
        verdicts = canary_gate(look, Plan.from_contract(toggle.terms))
        controller.record_gate(MODEL, SECOND, Gate.CANARY, verdicts, subjects)
        controller.follow(MODEL, SECOND, look.to_json(), digest)
        return look


def _manifest(key: str, files: dict[str, str]) -> Manifest:
    return Manifest(
        model=MODEL,
        retrain=key,
        task="binary_classification",
        estimator="sklearn.linear_model.LogisticRegression",
        params={},
        feature_names=("silence",),
        feature_dtypes={"silence": "numeric"},
        feature_function="shop.defs.churn.features.build",
        feature_pipeline=digest_of("features"),
        dataset=digest_of(f"rows until {key}"),
        label={"column": "churned", "delay": "1d"},
        window={"train_start": "2024-01-01", "train_end": "2024-02-20", "holdout_end": key},
        calibration={"kind": "none", "fitted_on": ""},
        decision={"threshold": 0.5},
        classes=(0, 1),
        seed=7,
        code={"commit": None, "dirty": None},
        environment={"python": "3.11", "platform": "test", "packages": {"numpy": "2.0.0"}},
        files=files,
    )
