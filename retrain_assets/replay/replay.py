"""The flights of 2013 replayed on data time, day by day, through the real definitions, sensors and release controller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.stages.building import Build, build_features
from retrain_assets.contract import Contract
from retrain_assets.home import Home, ReplayClock
from retrain_assets.replay.engine import Engine
from retrain_assets.replay.lake import land
from retrain_assets.replay.traffic import outcomes_of
from retrain_assets.routing import VersionRef, rules_from_document
from retrain_assets.serving import ExposureLog, Scorer

DAY = timedelta(days=1)
MORNING = time(6, tzinfo=UTC)
"""When the replay's daily tick runs: after the last flight of the day before has been scheduled, before the first of the day."""


@dataclass
class Replay:
    """One model served and watched over historical days.

    Args:
        home: where all state is; its clock runs on data time.
        contract: the release contract, Python paths absolute.
        flights: source rows of the whole period, with ``date`` (local day).
        engine: runs jobs and sensors.
    """

    home: Home
    contract: Contract
    flights: pl.DataFrame
    engine: Engine
    clock: ReplayClock = field(init=False)
    _scored: dict[date, pl.DataFrame] = field(default_factory=dict, init=False)
    _bundles: dict[VersionRef, Bundle] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Put the home on data time."""
        self.clock = ReplayClock(self.home.replay_clock_path)
        self.by_day = {key[0]: frame.drop("date") for key, frame in self.flights.partition_by("date", as_dict=True).items()}

    def days(self, first: date, last: date) -> Iterator[date]:
        """Play the days one by one: yields each morning, with sensors still to be evaluated, and then serves the day."""
        day = first
        while day <= last:
            self.clock.set(datetime.combine(day, MORNING))
            self._land_and_settle(day)
            yield day
            self._serve(day)
            day += DAY

    def fill_source(self, first: date, last: date) -> None:
        """Land the days before the replay begins, so that a first champion can be trained."""
        day = first
        while day <= last:
            land(self.home, self.by_day[day], day)
            day += DAY

    def watch(self, day: date) -> None:
        """One morning of the sensors, in the order a daemon would come to them; drift reports on their cron day."""
        self.engine.tick("upkeep_sensor")
        self.engine.tick("decision_sensor")
        self.engine.tick("canary_sensor")
        self.engine.tick("decision_sensor")
        if self.contract.cadence.on_drift is not None and self.engine.is_due(
            "drift_schedule", datetime.combine(day, MORNING), DAY
        ):
            self.engine.run(self.engine.road.drift_job)
            self.engine.tick("drift_sensor")
        self.engine.tick("decision_sensor")

    def _land_and_settle(self, day: date) -> None:
        """Two days later a day's outcomes are all known: its rows land in the source and its outcomes are recorded."""
        settled = day - 2 * DAY
        if settled not in self.by_day:
            return
        rows = self.by_day[settled]
        land(self.home, rows, settled)
        exposures = self._scored.pop(settled, None)
        if exposures is not None:
            outcomes = outcomes_of(exposures, rows, self.contract.experiment.outcome_window)
            self.log.append_outcomes(self.contract.model, outcomes, str(settled))

    def _serve(self, day: date) -> None:
        """Score the day's flights by the arm the flag document routes them to, and log the exposures."""
        rule = rules_from_document(json.loads(self.home.flags_path.read_text())).get(self.contract.model)
        if rule is None or rule.champion is None or day not in self.by_day:
            return
        rows, source = self.by_day[day], self.contract.source
        features = build_features(self._build, rows, source, self.contract.features)
        requests = rows.select(
            request_id=source.unit,
            unit_id=source.unit,
            exposed_at=source.event_time,
            **{name: pl.col(name) for name in self._attributes},
        )
        adjust_for = self.contract.experiment.adjust_for
        scorer = Scorer(
            rule,
            self._bundle(rule.champion),
            self._bundle(rule.challenger) if rule.challenger else None,
            champion_scores_all=adjust_for is not None and adjust_for.champion_score,
        )
        self._scored[day] = scorer.score(requests, features)
        self.log.append_exposures(self.contract.model, self._scored[day].drop("decision"), str(day))

    def _bundle(self, version: VersionRef) -> Bundle:
        """A registered version, loaded once, only if it is the bundle the rule names."""
        if version not in self._bundles:
            path = self.engine.platform.registry.download(self.contract.model, version.version)
            self._bundles[version] = load_bundle(path, version.bundle)
        return self._bundles[version]

    @cached_property
    def log(self) -> ExposureLog:
        """Where exposures and outcomes go."""
        return ExposureLog(self.home)

    @cached_property
    def _build(self) -> Build:
        build: Build = import_path(self.contract.features, "features")
        return build

    @cached_property
    def _attributes(self) -> list[str]:
        experiment = self.contract.experiment
        covariates = experiment.adjust_for.columns if experiment.adjust_for else []
        return sorted({*experiment.cohort, *experiment.segments, *covariates})
