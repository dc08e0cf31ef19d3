"""The replay's engine: real sensors and jobs of a model's definitions, evaluated in process on data time."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from cronsim import CronSim

from retrain_assets.assets import Platform, Road
from retrain_assets.assets.stages import LAUNCHED_BY_TAG, TRIGGER_TAG
from retrain_assets.automation.sensor_faults import SensorFaults
from retrain_assets.components.retrain import definitions_of
from retrain_assets.contract import Contract, RetrainError
from retrain_assets.home import Home


@dataclass
class Engine:
    """One model's definitions with an instance to run them on.

    Args:
        contract: the release contract, Python paths absolute.
        home: where all state is.
        instance: the Dagster instance that keeps runs, materialisations and check results.
    """

    contract: Contract
    home: Home
    instance: dg.DagsterInstance
    runs: int = 0
    _repository: dg.RepositoryDefinition = field(init=False)
    _seen: set[str] = field(default_factory=set, init=False)
    _cursors: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Resolve the definitions once; they are the ones production loads."""
        self.road = Road(self.contract)
        self.platform = Platform(root=str(self.home.root))
        self._repository = definitions_of(self.contract, platform=self.platform).get_repository_def()

    def tick(self, sensor: str) -> list[str]:
        """Evaluate one sensor once and execute what it asks for; the run keys it asked for.

        A run key that was executed before is not executed again, as in the daemon.

        Raises:
            RetrainError: the sensor failed for the model; the daemon would tell it and go on.
        """
        definition = self._repository.get_sensor_def(f"retrain_{sensor}")
        context = dg.build_sensor_context(
            instance=self.instance,
            repository_def=self._repository,
            resources={"platform": self.platform},
            cursor=self._cursors.get(sensor),
        )
        context.log.setLevel(logging.CRITICAL)  # it writes to the console by a handler of its own
        answered = definition(context)
        if isinstance(answered, dg.SensorResult) and answered.cursor is not None:
            self._cursors[sensor] = answered.cursor
        for event in answered.asset_events if isinstance(answered, dg.SensorResult) else ():
            self.instance.report_runless_asset_event(event)
        for fault in SensorFaults(self.home).standing():
            raise RetrainError(fault.line, where=f"the {fault.sensor} sensor of {fault.model}")
        requests, partitions = _asked_for(answered)
        for addition in partitions:
            self.instance.add_dynamic_partitions(addition.partitions_def_name, list(addition.partition_keys))
        done = []
        for request in requests:
            key = request.run_key or ""
            if key in self._seen:
                continue
            self._seen.add(key)
            self.run(request.job_name, request.partition_key, request.tags, request.asset_selection)
            done.append(key)
        return done

    def tick_schedule(self, schedule: str) -> None:
        """Evaluate one schedule of the model once, at its tick, and execute what it asks for."""
        definition = self._repository.get_schedule_def(f"{self.road.model}_{schedule}")
        context = dg.build_schedule_context(
            instance=self.instance, repository_def=self._repository, resources={"platform": self.platform}
        )
        context.log.setLevel(logging.CRITICAL)
        for request in _asked_for(definition(context))[0]:
            self.run(request.job_name or self.road.retrain_job, request.partition_key, request.tags)

    def is_due(self, schedule: str, now: datetime, since: timedelta) -> bool:
        """Whether a schedule of the model has a tick in ``(now - since, now]``."""
        definition = self._repository.get_schedule_def(f"{self.road.model}_{schedule}")
        return next(CronSim(str(definition.cron_schedule), now - since)) <= now

    def run(
        self,
        job: str | None,
        retrain: str | None = None,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> bool:
        """Execute one job in process, or some of its assets; True when it succeeded. A failed gate ends a run and is no fault of
        the replay."""
        self.runs += 1
        definition = self._repository.get_job(job or "")
        result = definition.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            partition_key=retrain,
            asset_selection=list(assets) if assets is not None else None,
            tags=dict(tags or {}),
            raise_on_error=False,
        )
        return bool(result.success)

    def launch(self, retrain: str, *, person: str, why: str) -> bool:
        """Launch one retrain as a person would from the launchpad."""
        self.instance.add_dynamic_partitions(self.road.partitions.name or "", [retrain])
        trigger: dict[str, Any] = {"kind": "person", "reason": why}
        return self.run(self.road.retrain_job, retrain, {TRIGGER_TAG: json.dumps(trigger), LAUNCHED_BY_TAG: person})


def _asked_for(answer: Any) -> tuple[Sequence[dg.RunRequest], Sequence[Any]]:
    """Run requests and partition additions of whatever a sensor function may return."""
    if isinstance(answer, dg.SensorResult):
        return answer.run_requests or [], answer.dynamic_partitions_requests or []
    if isinstance(answer, dg.RunRequest):
        return [answer], []
    return (answer, []) if isinstance(answer, list) else ([], [])


@contextmanager
def persistent_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a home, telemetry and newsletter dialog off, quiet on the console."""
    home.dagster_home.mkdir(parents=True, exist_ok=True)
    config = home.dagster_home / "dagster.yaml"
    if not config.exists():
        config.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
            yield instance
