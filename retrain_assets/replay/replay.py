"""History replayed on data time, day by day, through the real definitions, sensors and release controller."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.scorer import Scorer
from retrain_assets.compute.stages.building import Build, build_features
from retrain_assets.contract import Contract
from retrain_assets.home import Home, ReplayClock
from retrain_assets.replay.engine import Engine
from retrain_assets.replay.outcomes import known_outcomes
from retrain_assets.routing import RoutingRule, VersionRef, rules_from_document
from retrain_assets.serving import ExposureLog

DAY = timedelta(days=1)
MORNING = time(6, tzinfo=UTC)
"""When the replay's daily tick runs: after the last flight of the day before has been scheduled, before the first of the day."""


@dataclass
class Replay:
    """One model served and watched over historical days.

    Args:
        home: where all state is; its clock runs on data time.
        contract: the release contract, Python paths absolute, with a ``rehearsal``.
        by_day: source rows of each day, in the schema of the source.
        engine: runs jobs and sensors.
        land: called with a day's rows once all about them is known; None where the source holds the whole history already.
    """

    home: Home
    contract: Contract
    by_day: Mapping[date, pl.DataFrame]
    engine: Engine
    land: Callable[[pl.DataFrame, date], object] | None = None
    clock: ReplayClock = field(init=False)
    _bundles: dict[VersionRef, Bundle] = field(default_factory=dict, init=False)
    _scheduled: date | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put the home on data time."""
        self.clock = ReplayClock(self.home.replay_clock_path)

    def days(self, first: date, last: date) -> Iterator[date]:
        """Play the days one by one: yields each morning, with sensors still to be evaluated, and then serves the day."""
        for day in days(first, last):
            self.begin(day)
            yield day
            self.serve(day)

    def begin(self, day: date) -> None:
        """Come to the morning of a day: what is known by now lands in the source and in the outcomes."""
        self.clock.set(datetime.combine(day, MORNING))
        settled = day - self._settling
        if self.land is not None and settled in self.by_day:
            self.land(self.by_day[settled], settled)
        self._settle(settled)

    def watch(self, day: date) -> None:
        """The sensors, in the order a daemon would come to them; on the first call of a day what its schedules ask for, too."""
        now, scheduled = datetime.combine(day, MORNING), self._scheduled != day
        self._scheduled = day
        for sensor in ("upkeep_sensor", "decision_sensor", "canary_sensor", "decision_sensor"):
            self.engine.tick(sensor)
        if scheduled and self.contract.cadence.on_drift is not None and self.engine.is_due("drift_schedule", now, DAY):
            self.engine.run(self.engine.road.drift_job)
            self.engine.tick("drift_sensor")
        if scheduled and self.contract.cadence.cron is not None and self.engine.is_due("cadence_schedule", now, DAY):
            self.engine.tick_schedule("cadence_schedule")
        self.engine.tick("decision_sensor")

    def serve(self, day: date) -> None:
        """Score the day's rows by the arm the flag document routes them to, and log the exposures; again, it changes nothing."""
        path = self.home.flags_path
        rule = rules_from_document(json.loads(path.read_text())).get(self.contract.model) if path.exists() else None
        if rule is None or rule.champion is None or day not in self.by_day:
            return
        rows, source = self.by_day[day], self.contract.source
        features = build_features(self._build, rows, source, self.contract.features)
        requests = rows.select(
            request_id=pl.concat_str(_text(source.unit), _moment(rows, source.event_time).dt.epoch("us"), separator="@"),
            unit_id=_text(source.unit),
            exposed_at=_moment(rows, source.event_time),
            **{name: pl.col(name) for name in self._attributes},
        )
        adjust_for = self.contract.experiment.adjust_for
        champion = self._bundle(rule.champion)
        challenger = self._bundle(rule.challenger) if rule.challenger else None
        covariate = adjust_for is not None and adjust_for.champion_score
        scored = Scorer(rule, champion, challenger, champion_scores_all=covariate).score(requests, features)
        self.log.append_exposures(self.contract.model, scored.drop("decision"), str(day))
        decision = self._decision(scored, rule, features)
        answers = scored.select("request_id", "unit_id", "exposed_at", _score="score", _decision=decision)
        pending = pl.concat([rows, answers], how="horizontal")
        self._pending(day).parent.mkdir(parents=True, exist_ok=True)
        pending.write_parquet(self._pending(day))

    def _settle(self, day: date) -> None:
        """Record what became of a day's rows; what has no outcome yet gets none."""
        if not (path := self._pending(day)).exists():
            return
        outcomes = known_outcomes(pl.read_parquet(path), self.contract)
        self.log.append_outcomes(self.contract.model, outcomes, str(day))
        path.unlink()

    def _decision(self, scored: pl.DataFrame, rule: RoutingRule, features: pl.DataFrame) -> pl.Series:
        """The decision of each row: of a binary task as it was served, of several classes the likeliest one's name."""
        if self.contract.task != "multiclass" or rule.champion is None:
            return scored["decision"]
        arms = {"champion": rule.champion, "challenger": rule.challenger or rule.champion}
        decided = {arm: classes_of(self._bundle(version), features) for arm, version in arms.items()}
        frame = scored.select("arm", "error").with_columns(**decided)
        answered = pl.when((pl.col("arm") == "challenger") & ~pl.col("error")).then("challenger").otherwise("champion")
        return frame.select(answered).to_series()

    def _bundle(self, version: VersionRef) -> Bundle:
        """A registered version, loaded once, only if it is the bundle the rule names."""
        if version not in self._bundles:
            path = self.engine.platform.registry.download(self.contract.model, version.version)
            self._bundles[version] = load_bundle(path, version.bundle)
        return self._bundles[version]

    def _pending(self, day: date) -> Path:
        return self.home.root / "rehearsal" / self.contract.model / f"{day}.parquet"

    @property
    def _settling(self) -> timedelta:
        """Days from a day to the morning on which the labels of all its rows are known."""
        return (1 + math.ceil(self.contract.source.label_delay / DAY)) * DAY

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


def days(first: date, last: date) -> Iterator[date]:
    """Every day from the first to the last one."""
    for number in range((last - first).days + 1):
        yield first + number * DAY


def classes_of(bundle: Bundle, features: pl.DataFrame) -> pl.Series:
    """The likeliest class of each row, as the label has it."""
    return pl.Series([bundle.manifest.classes[place] for place in bundle.score(features).argmax(axis=1)])


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)


def _moment(rows: pl.DataFrame, column: str) -> pl.Expr:
    """An event time as a moment in UTC; one without a time zone is UTC already."""
    moment = pl.col(column).cast(pl.Datetime("us", getattr(rows.schema[column], "time_zone", None)))
    naive = rows.schema[column] == pl.Date or getattr(rows.schema[column], "time_zone", None) is None
    return moment.dt.replace_time_zone("UTC") if naive else moment.dt.convert_time_zone("UTC")
