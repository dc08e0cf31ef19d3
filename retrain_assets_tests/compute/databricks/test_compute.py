from __future__ import annotations

import time

from retrain_assets.compute import LocalCompute, StageRequest
from retrain_assets_tests.compute.databricks.world import World
from retrain_assets_tests.workspace import Workspace


def test_a_stage_there_gives_what_it_gives_here(world: World, workspace: Workspace) -> None:
    a=time.time()
    there = world.compute.run(world.request("dataset"))
    print(time.time()-a)
    print(workspace.requests)
    print(there.run["databricks"])
    here = LocalCompute().run(world.request("dataset", unit_key=b""))
    assert there == here
    n=len(workspace.requests)
    a=time.time()
    world.compute.run(world.request("dataset"))
    print(time.time()-a)
    assert len(workspace.requests)==n
