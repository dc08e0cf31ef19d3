"""The export to Databricks by the real SDK, against a server that speaks the serving-endpoints API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import serving

from retrain_assets.contract import Refused, RetrainError
from retrain_assets.ledger import SYSTEM
from retrain_assets.serving.databricks_endpoint import export_split
from retrain_assets.serving.databricks_split import Split, split_of
from retrain_assets_tests.release.world import MODEL, RUTH, World, contract
from retrain_assets_tests.serving.databricks_workspace import FAILED, IN_PROGRESS, Workspace, listening

ENDPOINT = "flights"
ENTITY = "main.flights.delay"


@pytest.fixture
def platform() -> Workspace:
    return Workspace()


@pytest.fixture
def client(platform: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WorkspaceClient]:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with listening(platform) as address:
        yield WorkspaceClient(host=address, token="secret")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home", contract=contract(experiment={"cohort": {}}))


def split(world: World) -> Split:
    return split_of(world.state, ENTITY, world.clock.now())


def export(client: WorkspaceClient, made: Split, **more: Any) -> tuple[str, ...]:
    return export_split(client, ENDPOINT, made, pause=lambda seconds: None, **more).differences


def test_the_whole_life_of_a_toggle_on_an_endpoint(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    export(client, split(world))
    assert platform.served(ENDPOINT) == {"1": 100}
    name = world.arm()
    assert export(client, split(world)) == (f"version 2 of {ENTITY}: not served → 0 %",)
    assert platform.served(ENDPOINT) == {"1": 100, "2": 0}
    world.controller.step(name, SYSTEM, "shadow")
    assert export(client, split(world)) == ()
    world.look("2013-07-01", "step")
    assert export(client, split(world)) == (f"version 1 of {ENTITY}: 100 % → 95 %", f"version 2 of {ENTITY}: 0 % → 5 %")
    world.controller.rollback(name, RUTH, "worse")
    export(client, split(world))
    assert platform.served(ENDPOINT) == {"1": 100, "2": 0}
    world.controller.reject(MODEL, "2013-07-01", RUTH, "worse")
    world.controller.retire(name, RUTH, "over")
    assert export(client, split(world)) == (f"version 2 of {ENTITY}: 0 % → not served",)
    assert platform.served(ENDPOINT) == {"1": 100}


def test_after_a_promotion_the_former_champion_is_kept_until_the_toggle_is_retired(
    client: WorkspaceClient, platform: Workspace, world: World
) -> None:
    name = world.promoted()
    export(client, split(world))
    assert platform.served(ENDPOINT) == {"2": 100, "1": 0}
    world.controller.retire(name, RUTH, "over")
    export(client, split(world))
    assert platform.served(ENDPOINT) == {"2": 100}


def test_doing_it_again_calls_nothing_that_changes_anything(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.ramp()
    assert export(client, split(world), tags={"by": "ruth"})
    platform.calls.clear()
    assert export(client, split(world), tags={"by": "ruth"}) == ()
    assert platform.calls == [("GET", f"/api/2.0/serving-endpoints/{ENDPOINT}")]


def test_a_dry_run_says_the_difference_and_changes_nothing(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.ramp()
    expected = (f"version 1 of {ENTITY}: not served → 50 %", f"version 2 of {ENTITY}: not served → 50 %")
    assert export(client, split(world), dry_run=True) == expected
    assert platform.writes() == []


def test_what_a_served_version_gets_stays_and_a_new_one_takes_the_champions(
    client: WorkspaceClient, platform: Workspace, world: World
) -> None:
    world.bootstrap()
    export(client, split(world))
    (entity,) = platform.endpoints[ENDPOINT].config.served_entities
    entity.name, entity.workload_size, entity.environment_vars = "named-by-hand", "Large", {"A": "b"}
    platform.endpoints[ENDPOINT].config.traffic_config.routes[0].served_model_name = "named-by-hand"
    platform.endpoints[ENDPOINT].config.auto_capture_config = serving.AutoCaptureConfigOutput("main", True, "logs")
    world.arm()
    export(client, split(world), tags={"retrain_reason": "why"})
    sent = platform.bodies[platform.calls.index(("PUT", f"/api/2.0/serving-endpoints/{ENDPOINT}/config"))]
    kept, new = sent["served_entities"]
    assert (kept["name"], kept["entity_version"]) == ("named-by-hand", "1")
    assert (new["name"], new["entity_version"], new["entity_name"]) == ("delay-2", "2", ENTITY)
    for one in (kept, new):
        assert (one["workload_size"], one["environment_vars"]) == ("Large", {"A": "b"})
    assert sent["auto_capture_config"] == {"catalog_name": "main", "enabled": True, "schema_name": "logs"}
    assert [(tag.key, tag.value) for tag in platform.endpoints[ENDPOINT].tags] == [("retrain_reason", "why")]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "REQUEST_LIMIT_EXCEEDED"), (500, "INTERNAL_ERROR"), (503, "TEMPORARILY_UNAVAILABLE"), (409, "RESOURCE_CONFLICT")],
)
def test_what_passes_by_itself_is_tried_again(
    client: WorkspaceClient, platform: Workspace, world: World, status: int, code: str
) -> None:
    world.bootstrap()
    platform.faults = [("POST", status, code, "not now")]
    assert export(client, split(world)) == (f"version 1 of {ENTITY}: not served → 100 %",)
    assert platform.served(ENDPOINT) == {"1": 100}
    assert platform.writes() == ["POST", "POST"]


def test_an_update_by_somebody_else_is_waited_for(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.arm()
    platform.updates_take = 3
    export(client, split(world), wait=timedelta())
    assert platform.endpoints[ENDPOINT].state.config_update is IN_PROGRESS
    world.controller.step(f"{MODEL}-2013-07-01", SYSTEM, "shadow")
    world.look("2013-07-01", "step")
    assert len(export(client, split(world))) == 2
    assert platform.served(ENDPOINT) == {"1": 95, "2": 5}
    assert platform.writes() == ["POST", "PUT"]


def test_an_update_that_does_not_end_is_given_up_in_one_line(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    platform.updates_take = 1_000_000
    with pytest.raises(RetrainError, match=r"^flights: the update has not ended after 0:00:00\.2"):
        export(client, split(world), wait=timedelta(seconds=0.2))


def test_an_update_that_fails_says_why(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    platform.updates_fail = "Container image creation failed"
    with pytest.raises(RetrainError, match=r"the update failed \(Container image creation failed\)"):
        export(client, split(world))


def test_a_failed_update_of_before_does_not_stand_in_the_way(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    export(client, split(world))
    platform.endpoints[ENDPOINT].state.config_update = FAILED
    world.arm()
    export(client, split(world))
    assert platform.served(ENDPOINT) == {"1": 100, "2": 0}


def test_a_lasting_refusal_is_one_line_and_is_not_repeated(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    platform.faults = [("POST", 403, "PERMISSION_DENIED", "User has no permission")]
    with pytest.raises(RetrainError, match=r"^flights: Databricks refuses \(User has no permission"):
        export(client, split(world))
    assert platform.writes() == ["POST"]


def test_an_endpoint_of_another_model_is_left_alone(client: WorkspaceClient, platform: Workspace, world: World) -> None:
    world.bootstrap()
    export(client, split_of(world.state, "main.other.model", world.clock.now()))
    platform.calls.clear()
    with pytest.raises(Refused, match=r"the endpoint serves main\.other\.model, too"):
        export(client, split(world))
    assert platform.writes() == []


def test_a_cohort_is_ignored_only_if_that_is_said(world: World, tmp_path: Path) -> None:
    restricted = World(tmp_path / "restricted")
    restricted.ramp()
    with pytest.raises(Refused, match=r"the cohort \(origin\) cannot be kept"):
        split(restricted)
    made = split_of(restricted.state, ENTITY, restricted.clock.now(), ignore_cohort=True)
    assert [one.per_cent for one in made.served] == [50, 50]


def test_a_share_finer_than_one_per_cent_is_refused_not_rounded(tmp_path: Path) -> None:
    world = World(tmp_path / "fine", contract=contract(experiment={"cohort": {}, "ramp": [0.5, 29, 100]}))
    name = world.arm()
    world.controller.step(name, SYSTEM, "begin")
    with pytest.raises(Refused, match=r"a share of 0\.5 % cannot be expressed"):
        split(world)
    world.look("2013-07-01", "step")
    assert [one.per_cent for one in split(world).served] == [71, 29]


def test_an_expired_toggle_gets_nothing_and_without_a_champion_nothing_is_served(world: World) -> None:
    with pytest.raises(Refused, match="there is no champion to serve"):
        split(world)
    world.ramp()
    assert [one.per_cent for one in split(world).served] == [50, 50]
    world.clock.forward(days=31)
    assert [one.per_cent for one in split(world).served] == [100, 0]
