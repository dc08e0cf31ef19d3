"""A real Dagster asset around a stage of a real job: what the job says comes to the asset's step."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.compute.databricks.compute import _refuse_other_checks
from retrain_assets.compute.databricks.inputs import Inputs
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.pipes import Session
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.databricks.world import TEAM, VOLUME, World, contract_there
from retrain_assets_tests.workspace import Workspace

PARTITIONS = dg.StaticPartitionsDefinition(["2024-03-01"])


def materialized(world: World, instance: dg.DagsterInstance, *, stages: tuple[str, ...]) -> dg.ExecuteInProcessResult:
    """The assets of some stages, run one after the other, each asking for the others ahead."""
    results: dict[str, StageResult] = {}

    def asset(stage: str, before: str | None) -> dg.AssetsDefinition:
        @dg.asset(
            name=stage,
            key_prefix="parcel_delay",
            deps=[dg.AssetKey(["parcel_delay", before])] if before else [],
            partitions_def=PARTITIONS,
        )
        def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            ahead = [world.request(one) for one in stages[stages.index(stage) + 1 :]]
            results[stage] = world.compute.run(world.request(stage), run_id=context.run.run_id, context=context, ahead=ahead)
            return dg.MaterializeResult(metadata={"page": results[stage].run["databricks"]["run_page_url"]})

        return made

    assets = [asset(stage, stages[number - 1] if number else None) for number, stage in enumerate(stages)]
    return dg.materialize(assets, instance=instance, partition_key="2024-03-01", raise_on_error=False)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def test_a_task_that_was_sent_ahead_is_listened_to_by_its_own_asset(
    world: World, instance: dg.DagsterInstance, workspace: Workspace, capfd: pytest.CaptureFixture[str], team: Path
) -> None:
    features = team / TEAM / "features.py"
    text = features.read_text()
    built = "def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:\n"
    features.write_text(text.replace(built, f'{built}    print("features are built")\n', 1))
    try:
        done = materialized(world, instance, stages=("dataset", "features"))
    finally:
        features.write_text(text)
    assert done.success
    said = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert sum("external process successfully opened" in one for one in said) == 2
    assert not [one for one in said if "did not receive" in one or "framework exception" in one]
    assert "features are built" in capfd.readouterr().out
    orders = list(workspace.root.rglob("order.json"))
    assert [json.loads(order.read_text())["pipes"]["run_id"] for order in orders] == [done.run_id]


def test_the_stages_error_ends_the_step_with_its_one_line(
    world: World, instance: dg.DagsterInstance, workspace: Workspace
) -> None:
    for file in workspace.path(f"{VOLUME}/source").iterdir():
        file.write_bytes(b"broken")
    done = materialized(world, instance, stages=("dataset",))
    assert not done.success
    failure = done.failure_data_for_node("parcel_delay__dataset")
    assert failure is not None
    assert failure.error is not None
    assert "not a readable Parquet file" in str(failure.error.cause)


class Step:
    """The little of a step's context that a session without Dagster's session around it needs."""

    has_assets_def = False

    def __init__(self) -> None:
        self.warned: list[str] = []
        self.log = self

    def warning(self, message: str) -> None:
        self.warned.append(message)


def test_a_message_file_that_is_not_whole_is_waited_for_and_at_the_end_taken_as_far_as_it_goes(workspace: Workspace) -> None:
    volume = Volume(workspace.client(), VOLUME)
    step, taken = Step(), []
    session = Session(volume, step)
    session._handled_by(lambda message: taken.append(message["method"]))
    session.listen(f"{VOLUME}/m")
    whole = json.dumps({"method": "opened", "params": {}})
    volume.write(f"{VOLUME}/m/1.json", f"{whole}\n".encode())
    volume.write(f"{VOLUME}/m/2.json", f"{whole}\n{whole[:9]}".encode())
    session.look()
    assert taken == ["opened"]
    session.close()
    assert taken == ["opened", "opened"]
    assert "end in the middle of" in step.warned[0]


def test_what_no_stage_says_is_left_out_and_told(workspace: Workspace) -> None:
    volume = Volume(workspace.client(), VOLUME)
    step, taken = Step(), []
    session = Session(volume, step)
    session._handled_by(lambda message: taken.append(message["method"]))
    session.listen(f"{VOLUME}/m")
    said = {"method": "log", "params": {"message": "a\u2028b", "level": "info"}}
    lines = ["no JSON", "7", '{"method": "report_asset_materialization", "params": {}}', json.dumps(said, ensure_ascii=False)]
    volume.write(f"{VOLUME}/m/1.json", "".join(f"{line}\n" for line in lines).encode())
    session.look()
    assert taken == ["log"]
    assert len(step.warned) == 3


@pytest.mark.parametrize("passed", [True, False])
def test_a_check_that_was_reported_otherwise_than_the_result_says_is_refused(passed: bool) -> None:
    outcome = "fail" if passed else "pass"
    result = StageResult("dataset", {}, {}, {"data": [{"check": "enough_rows", "outcome": outcome}]}, "sha256:0")
    check = dg.AssetCheckResult(passed=passed, check_name="enough_rows", asset_key="a")
    with pytest.raises(StageError, match="check enough_rows was reported with"):
        _refuse_other_checks(result, [check], "page")


def test_a_contract_of_an_engine_is_passed_on(world: World, workspace: Workspace) -> None:
    spark = World(world.home, contract_there(engine="spark"))
    asked = Inputs(Mirror(world.home, VOLUME), Volume(workspace.client(), VOLUME)).there(
        spark.request("dataset"), before=[], engine="spark"
    )
    assert asked.engine == "spark"
    assert asked.digest == world.request("dataset").digest
    assert asked.unit_key == b""
