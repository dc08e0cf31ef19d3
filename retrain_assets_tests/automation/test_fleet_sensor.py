"""One sensor for many models: who is looked at, who is left alone, and what one that fails does to the others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets import Road
from retrain_assets.automation.canary_sensor import canary_sensor
from retrain_assets.automation.decision_sensor import decision_sensor
from retrain_assets.automation.fleet_sensor import Answer, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.moments import next_moment
from retrain_assets.automation.override_sensor import override_sensor
from retrain_assets.automation.sensor_faults import SensorFaults
from retrain_assets.automation.upkeep_sensor import upkeep_sensor
from retrain_assets.contract import RetrainError
from retrain_assets.ledger import Actor
from retrain_assets_tests.automation.fleet import Fleet, asked, fleet, said
from retrain_assets_tests.automation.inbox import inbox
from retrain_assets_tests.release.world import MODEL, RUTH

OPS = Actor("person", "ops@flights.example")
RETRAIN = "2013-07-01"


class Probe:
    """A kind of sensor that keeps count of whom it looks at, and fails where it is told to."""

    def __init__(self, *, seconds: float = 40.0) -> None:
        self.looked: list[str] = []
        self.broken: set[str] = set()
        self.seconds = seconds

    def __call__(self, roads: list[Road], jobs: None = None) -> dg.SensorDefinition:
        kind = SensorKind("probe", "Looks.", self.look, job=lambda road: road.retrain_job)
        return fleet_sensor(kind, roads, jobs, seconds=self.seconds)

    def look(self, tick: Tick, road: Road, kept: Any) -> Answer:
        self.looked.append(road.model)
        if road.model in self.broken:
            raise RetrainError("its records cannot be read", where=road.model)
        quiet = next_moment(road, tick.state(road.model), tick.beyond, tick.now)
        return Answer("nothing is due", again_at=quiet, kept=(kept or 0) + 1)

    def seen(self) -> list[str]:
        found, self.looked = self.looked, []
        return found


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, 3) as found:
        found.world.bootstrap()
        found.share_history()
        yield found


def test_a_model_is_left_alone_until_something_is_recorded_about_it(three: Fleet) -> None:
    probe = Probe()
    three.tick(probe)
    assert probe.seen() == [MODEL, "model_001", "model_002"]
    three.tick(probe)
    assert probe.seen() == []
    three.world.launch(RETRAIN)
    three.tick(probe)
    assert probe.seen() == [MODEL]
    three.world.controller.engage_kill_switch(None, OPS, "prices are wrong")
    three.tick(probe)
    assert len(probe.seen()) == 3


def test_a_model_is_looked_at_again_every_hour_when_its_contract_changed_and_when_the_clock_was_set_back(three: Fleet) -> None:
    probe = Probe()
    three.tick(probe)
    probe.seen()
    three.world.clock.forward(minutes=59)
    three.tick(probe)
    assert probe.seen() == []
    three.world.clock.forward(minutes=1)
    three.tick(probe)
    assert len(probe.seen()) == 3
    three.contracts = [*three.contracts[:2], three.contracts[2].model_copy(update={"purpose": "Another one"})]
    three.tick(probe)
    assert probe.seen() == ["model_002"]
    three.world.clock.forward(hours=-1)
    three.tick(probe)
    assert len(probe.seen()) == 3


def test_a_model_that_fails_stops_no_other_is_tried_again_and_keeps_what_it_had(three: Fleet) -> None:
    probe = Probe()
    three.tick(probe)
    three.world.clock.forward(hours=2)
    probe.broken = {"model_001"}
    first = three.tick(probe)
    probe.seen()
    assert said(first) == (
        "the probe sensor failed for model_001: model_001: its records cannot be read; 2 of 3 models: nothing is due"
    )
    three.tick(probe)
    assert probe.seen() == ["model_001"]
    probe.broken = set()
    assert said(three.tick(probe)) == "3 of 3 models: nothing is due"
    assert json.loads(three.cursors["retrain_probe_sensor"] or "")["models"]["model_001"]["kept"] == 2


def test_a_tick_that_runs_out_of_time_says_so_and_the_next_goes_on_from_there(three: Fleet) -> None:
    probe = Probe(seconds=-1)
    first = three.tick(probe)
    assert said(first).startswith("no time was left for 2 of 3 models; the next tick begins with model_001")
    three.tick(probe)
    three.tick(probe)
    assert probe.seen() == [MODEL, "model_001", "model_002"]
    three.world.clock.forward(hours=2)
    for _ in range(3):
        three.tick(probe)
    assert sorted(probe.seen()) == [MODEL, "model_001", "model_002"]


def test_people_are_told_that_a_sensor_fails_for_their_model_once(tmp_path: Path) -> None:
    with inbox() as box, fleet(tmp_path, 2, box.url()) as found:
        probe = Probe()
        found.tick(upkeep_sensor)
        probe.broken = {"model_001"}
        for _ in range(3):
            found.tick(probe)
            found.tick(upkeep_sensor)
        assert box.titles == ["[now] model_001: the probe sensor failed: model_001: its records cannot be read"]


def test_a_run_that_died_is_seen_though_nothing_is_recorded_about_its_model(three: Fleet) -> None:
    three.world.launch(RETRAIN)
    three.tick(decision_sensor)
    assert asked(three.tick(decision_sensor)) == asked(three.tick(decision_sensor, remembering=False))
    road = three.roads[0]
    tags = {"dagster/partition": RETRAIN, "retrain/model": MODEL}
    three.instance.add_run(dg.DagsterRun(job_name=road.retrain_job, tags=tags, status=dg.DagsterRunStatus.FAILURE))
    retrains = [retrain for job, retrain, _ in asked(three.tick(decision_sensor)) if job == road.decision_job]
    assert RETRAIN in retrains


SENSORS = (canary_sensor, decision_sensor, override_sensor)


@pytest.mark.parametrize("seed", range(2))
def test_a_tick_that_remembers_asks_for_exactly_what_a_full_look_asks_for(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to the models, in whatever order, and however much time passes between two ticks; also without the look
    that is made every hour whatever was computed."""
    monkeypatch.setattr("retrain_assets.automation.fleet_sensor.LONGEST", timedelta(days=99))
    chance = random.Random(seed)
    with fleet(tmp_path, 3, approval={"valid_for": "3h"}) as found:
        world = found.world
        world.awaiting(RETRAIN)
        found.share_history()
        names = [contract.model for contract in found.contracts]
        today = world.clock.now().date()

        def act() -> None:
            model = chance.choice(names)
            controller, state = world.controller, world.controller.state(model)
            toggle = state.active_toggle
            acts: list[Any] = [
                lambda: controller.declare_freeze(today, today + timedelta(days=1), OPS, "moves"),
                lambda: controller.engage_kill_switch(model, OPS, "prices are wrong"),
                lambda: controller.release_kill_switch(model, OPS, "mended"),
                lambda: controller.approve(model, RETRAIN, RUTH, "clear win"),
                lambda: controller.rollback(toggle.name, OPS, "customers call") if toggle else None,
                lambda: controller.mark_owner_left("team:product", RUTH, "dissolved"),
                lambda: controller.mark_owner_back("team:product", RUTH, "it is not"),
                lambda: controller.launch_retrain(world.contract, None, {"kind": "person"}, OPS) if model == MODEL else None,
                lambda: controller.expire_due(),
            ]
            try:
                chance.choice(acts)()
            except RetrainError:
                return

        for _ in range(25):
            act()
            world.clock.forward(minutes=chance.choice([1, 1, 1, 20, 45, 60, 180, 1440]))
            for sensor in SENSORS:
                full, remembered = found.tick(sensor, remembering=False), found.tick(sensor)
                assert asked(remembered) == asked(full)


def test_twenty_canaries_at_once_are_each_looked_at_by_themselves(tmp_path: Path) -> None:
    """One tick asks for twenty looks; what ends one ends no other, in the sensor and in what serving reads."""
    with fleet(tmp_path, 20) as found:
        found.world.ramp(RETRAIN)
        found.share_history()
        found.world.clock.forward(days=2)
        for contract in found.contracts:
            found.expose(contract.model)
        first = found.tick(canary_sensor)
        assert {job for job, _, _ in asked(first)} == {road.canary_job for road in found.roads}
        assert len({key for _, _, key in asked(first)}) == 20
        flags = found.world.flags()["flags"]
        assert {contract.model for contract in found.contracts} <= set(flags)
        ended = found.contracts[7].model
        found.world.controller.rollback(f"{ended}-{RETRAIN}", OPS, "customers call")
        left = {job for job, _, _ in asked(found.tick(canary_sensor))}
        assert left == {road.canary_job for road in found.roads if road.model != ended}
        after = found.world.flags()["flags"]
        assert {model for model in flags if flags[model] != after[model]} == {ended}


def test_a_partition_that_dagster_lost_is_added_again_and_stops_no_other_model(three: Fleet) -> None:
    """A run of a partition that Dagster does not know fails a whole tick, as after its record was restored."""

    def look(tick: Tick, road: Road, kept: Any) -> Answer:
        return Answer("a run is due", requests=[dg.RunRequest(job_name=road.retrain_job, partition_key=RETRAIN)])

    roads = three.roads
    three.instance.add_dynamic_partitions(roads[0].partitions.name or "", [RETRAIN])
    kind = SensorKind("probe", "Looks.", look, job=lambda road: road.retrain_job)
    done = three.tick(lambda some: fleet_sensor(kind, some))
    assert len(asked(done)) == 3
    added = [(one.partitions_def_name, list(one.partition_keys)) for one in done.dynamic_partitions_requests or ()]
    assert added == [(road.partitions.name, [RETRAIN]) for road in roads[1:]]


def test_a_note_of_a_failing_sensor_that_cannot_be_read_stops_no_tick(three: Fleet) -> None:
    probe = Probe()
    folder = three.world.home.root / "cache" / "sensor_faults"
    folder.mkdir(parents=True)
    (folder / "probe-model_001.json").write_text("")  # as a loss of power leaves it
    probe.broken = {"model_001"}
    three.tick(probe)
    three.tick(upkeep_sensor)
    assert [one.model for one in SensorFaults(three.world.home).standing()] == ["model_001"]
