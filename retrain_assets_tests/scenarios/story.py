"""The verbs of a whole-road story: one home, the real definitions run in process, the real ledger, registry and traffic files."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.components.retrain import definitions_of
from retrain_assets.compute.stages.building import build_features
from retrain_assets.contract import Contract
from retrain_assets.home import Home, ReplayClock
from retrain_assets.ledger import Actor, Event, EventKind, EvidenceStore, Ledger
from retrain_assets.registry import Registry
from retrain_assets.release import ApprovalRecord, ModelState, ReleaseController, RetrainState, ToggleState
from retrain_assets.replay.engine import Engine
from retrain_assets.routing import RoutingRule, VersionRef, rules_from_document
from retrain_assets.serving import ExposureLog, Scorer
from retrain_assets_tests.simulation import accounts, contract_with
from retrain_assets_tests.simulation.features import build
from retrain_assets_tests.simulation.traffic import Effect, arrivals, outcomes_of

MODEL = "churn"
DANA = Actor("person", "dana@example.org")
RUTH = Actor("person", "ruth@example.org")
PAUL = Actor("person", "paul@example.org")

FIRST, RETRAIN = "2024-02-25", "2024-03-01"
"""Keys of the retrain that becomes the first champion, and of the one most stories are about."""

BETTER = Effect(cost=-3.0)
WORSE = Effect(cost=3.0)
NOTHING_DIFFERENT = Effect()


@dataclass
class Story:
    """One model on its road. Data time stands still until a verb moves it.

    Args:
        home: where all state is; RETRAIN_HOME names it.
        instance: Dagster's record of runs.
        contract: the release contract.
    """

    home: Home
    instance: dg.DagsterInstance
    contract: Contract = field(default_factory=contract_with)
    _bundles: dict[VersionRef, Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = ReplayClock(self.home.replay_clock_path)
        self.engine = Engine(self.contract, self.home, self.instance)
        self.instance.add_dynamic_partitions(f"{MODEL}_retrains", list(self.state.retrains))

    @property
    def controller(self) -> ReleaseController:
        """Opened anew, as every asset, sensor and command does."""
        return ReleaseController.open(self.home)

    @property
    def ledger(self) -> Ledger:
        """The record alone; reading it repairs nothing."""
        return Ledger(self.home.ledger_url)

    @property
    def evidence(self) -> EvidenceStore:
        return EvidenceStore(self.home.evidence_dir)

    @property
    def registry(self) -> Registry:
        return Registry.of(self.home)

    @property
    def state(self) -> ModelState:
        return self.controller.state(MODEL)

    @property
    def rule(self) -> RoutingRule:
        """What serving reads now."""
        return rules_from_document(json.loads(self.home.flags_path.read_text()))[MODEL]

    def retrain_state(self, key: str = RETRAIN) -> RetrainState:
        return self.state.retrains[key]

    def toggle(self, key: str = RETRAIN) -> ToggleState:
        toggle = self.state.toggle_of(key)
        assert toggle is not None, f"{key} has no toggle"
        return toggle

    @property
    def activation(self) -> tuple[VersionRef | None, RoutingRule, dict[str, str]]:
        """What serves, by the ledger, by the flag document and by the registry."""
        return self.state.champion, self.rule, self.registry.aliases(MODEL)

    def events(self, *kinds: EventKind) -> list[Event]:
        """What the ledger says, of some kinds only where kinds are named."""
        return [event for event in self.ledger.events() if not kinds or event.kind in kinds]

    def write_source(self, rows: pl.DataFrame | None = None) -> Path:
        """The source file, with the simulation's accounts where no others are given."""
        path = self.home.root / "sources" / "accounts.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        (accounts(days=90) if rows is None else rows).write_parquet(path)
        return path

    def travel(self, moment: datetime | timedelta) -> None:
        """Move data time, to a moment or by a duration."""
        self.clock.set(self.clock.now() + moment if isinstance(moment, timedelta) else moment)

    def retrain(self, key: str = RETRAIN, contract: Contract | None = None, tags: Mapping[str, str] | None = None) -> bool:
        """A person launches a retrain at six on the morning of its cut-off; whether its run succeeded."""
        self.travel(max(morning_of(key), self.clock.now()) if self.home.replay_clock_path.exists() else morning_of(key))
        engine = Engine(contract, self.home, self.instance) if contract else self.engine
        return engine.launch(key, person=DANA.name, why="a story")

    def bootstrap_champion(self) -> None:
        """The first champion, on an approver's word, with its audit record."""
        self.write_source()
        assert self.retrain(FIRST)
        self.controller.bootstrap(self.contract, FIRST, RUTH, "First champion; there is nothing to compare it with.")
        self.decide()

    def look(self) -> list[str]:
        """The canary sensor's tick: arms what passed its offline gates, looks at what has matured."""
        return self.engine.tick("canary_sensor")

    def decide(self) -> list[str]:
        """The decision sensor's tick."""
        return self.engine.tick("decision_sensor")

    def approve(self, reason: str = "Cheaper, and nobody complains more.", actor: Actor = RUTH) -> ApprovalRecord:
        return self.controller.approve(MODEL, RETRAIN, actor, reason)

    def materialize(self, asset: str, key: str = RETRAIN, contract: Contract | None = None) -> dg.ExecuteInProcessResult:
        """Materialise one asset alone, as a person can from the UI or ``dagster asset materialize --select``."""
        definitions = definitions_of(contract or self.contract, platform=self.engine.platform)
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            asset_selection=[self.engine.road.key(asset)],
            partition_key=key,
            raise_on_error=False,
        )

    def serve(self, number: int = 2000) -> pl.DataFrame:
        """Score an hour's accounts by the routed arm and log their exposures; gives the exposures."""
        now, rule = self.clock.now(), self.rule
        rows = arrivals(now, number)
        requests = rows.select(request_id="account", unit_id="account", exposed_at="seen_at")
        features = build_features(build, rows, self.contract.source, self.contract.features)
        assert rule.champion is not None
        challenger = self._bundle(rule.challenger) if rule.challenger else None
        exposures = Scorer(rule, self._bundle(rule.champion), challenger).score(requests, features).drop("decision")
        ExposureLog(self.home).append_exposures(MODEL, exposures, f"{now:%Y-%m-%dT%H%M}")
        return exposures

    def record(self, outcomes: pl.DataFrame, name: str | None = None) -> None:
        """Log outcomes."""
        ExposureLog(self.home).append_outcomes(MODEL, outcomes, name or f"{self.clock.now():%Y-%m-%dT%H%M}")

    def serve_days(self, days: int, effect: Effect = NOTHING_DIFFERENT, number: int = 2000) -> None:
        """Serve for some days and look at the canary after each, when all of the day's outcomes have matured."""
        for _ in range(days):
            self.record(outcomes_of(self.serve(number), effect))
            self.travel(timedelta(hours=25))
            self.look()

    def ramp_to_approval(self) -> None:
        """A challenger that is better: from its arming to the request for approval."""
        self.look()
        self.serve_days(2, BETTER)
        assert self.toggle().state.value == "awaiting_approval", self.toggle().last_look

    def failed_step(self) -> str:
        """What Dagster shows of the step that failed in the latest run."""
        (run,) = self.instance.get_runs(limit=1)
        for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
            assert entry.dagster_event is not None
            failure = entry.dagster_event.step_failure_data
            if failure.user_failure_data is not None:
                return failure.user_failure_data.description or ""
            assert failure.error is not None
            return (failure.error.cause or failure.error).message.strip()
        raise AssertionError("no step failed")

    def failed_checks(self) -> dict[str, str]:
        """The checks that Dagster shows as failed in the latest run, warnings aside, with their descriptions."""
        (run,) = self.instance.get_runs(limit=1)
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [entry.dagster_event.asset_check_evaluation_data for entry in entries if entry.dagster_event]
        errors = [one for one in found if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR]
        return {one.check_name: one.description or "" for one in errors}

    def _bundle(self, version: VersionRef) -> Bundle:
        if version not in self._bundles:
            self._bundles[version] = load_bundle(self.registry.download(MODEL, version.version), version.bundle)
        return self._bundles[version]


def morning_of(key: str) -> datetime:
    """Six in the morning UTC of a retrain's cut-off."""
    return datetime.fromisoformat(key[:10]).replace(hour=6, tzinfo=UTC)


def copy_home(source: Path, target: Path) -> None:
    """A home copied to another place; MLflow and stage results name files by absolute paths, which are rewritten."""
    shutil.copytree(source, target)
    columns = {
        "experiments": ["artifact_location"],
        "runs": ["artifact_uri"],
        "logged_models": ["artifact_location"],
        "model_versions": ["source", "storage_location"],
    }
    database = sqlite3.connect(target / "mlflow.db")
    with database:
        for table, names in columns.items():
            for name in names:
                database.execute(f"UPDATE {table} SET {name} = replace({name}, ?, ?)", (str(source), str(target)))
    database.close()
    for result in target.glob("stages/*/*/*/result.json"):
        result.write_text(result.read_text().replace(str(source), str(target)))
