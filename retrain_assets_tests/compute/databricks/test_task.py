from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from retrain_assets.compute import LocalCompute
from retrain_assets.compute.databricks.code_wheels import code_wheels
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.order import Order, product_facts, sent_code
from retrain_assets.contract import Contract
from retrain_assets_tests.compute.databricks.world import VOLUME, World, make_world, read_json, run_task

ORDER = f"{VOLUME}/orders/parcel_delay/2024-03-01/t"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, team: Path) -> list[Path]:
    """The wheels of the parcels' contract, unpacked as a job has them."""
    found = []
    for wheel in code_wheels(Contract.recorded(make_world(tmp_path_factory.mktemp("w")).contract)):
        folder = tmp_path_factory.mktemp("wheel")
        (folder / wheel.name).write_bytes(wheel.content)
        with ZipFile(folder / wheel.name) as archive:
            archive.extractall(folder / "unpacked")
        (folder / "unpacked" / "dagster.py").write_text("raise ImportError('there is no Dagster in a job')\n")
        found.append(folder / "unpacked")
    return found


class There:
    """A volume's mount, with the source, an order for two stages, and the wheels of a job."""

    def __init__(self, home: Path, mount: Path, wheels: list[Path]) -> None:
        self.world: World = make_world(home)
        self.mount = mount
        self.wheels = wheels
        self.state = mount / "main" / "retrain" / "state"
        make_world(self.state)
        mirror = Mirror(home, VOLUME)
        contract = Contract.recorded(self.world.contract)
        asked = self.world.road()[:2]
        requests = {
            one.stage: replace(
                one,
                output_dir=mirror.there(one.directory),
                inputs={name: mirror.there(Path(uri)) for name, uri in one.inputs.items()},
                unit_key=b"",
            )
            for one in asked
        }
        self.order = Order(ORDER, requests, {}, product_facts(), sent_code(contract), VOLUME)

    def run(self, stage: str, order: Order | None = None) -> tuple[int, str]:
        given = order or self.order
        path = self.path(given.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(given.to_json()))
        done = run_task(given.folder, stage, {"RETRAIN_VOLUMES": str(self.mount)}, self.wheels)
        return done.returncode, done.stderr

    def path(self, uri: str) -> Path:
        return self.mount / uri.removeprefix("/Volumes/")


@pytest.fixture
def there(tmp_path: Path, retrain_home: Path, wheels: list[Path]) -> There:
    return There(retrain_home, tmp_path / "mount", wheels)


def test_a_task_without_dagster_answers_as_this_machine_does_and_a_second_time_computes_nothing(there: There) -> None:
    code, said = there.run("dataset")
    assert code == 0, said
    answer = read_json(there.path(there.order.result_path("dataset")))
    here = LocalCompute().run(there.world.request("dataset", unit_key=b""))
    assert answer["result"]["metadata"] == here.to_json()["metadata"]
    assert answer["result"]["verdicts"] == here.to_json()["verdicts"]
    assert answer["result"]["request_digest"] == here.request_digest
    assert {name: one["digest"] for name, one in answer["result"]["outputs"].items()} == {
        name: one["digest"] for name, one in here.outputs.items()
    }
    assert answer["result"]["outputs"]["dataset"]["uri"] == f"{VOLUME}/stages/parcel_delay/2024-03-01/dataset/dataset"
    made = there.state / "stages" / "parcel_delay" / "2024-03-01" / "dataset" / "dataset" / "train.parquet"
    stamp = made.stat().st_mtime_ns
    said_first = _said(there)
    assert there.run("dataset")[0] == 0
    assert made.stat().st_mtime_ns == stamp
    assert read_json(there.path(there.order.result_path("dataset"))) == answer
    assert [said_first[0]["method"], said_first[-1]["method"]] == ["opened", "closed"]
    checks = [one["params"] for one in said_first if one["method"] == "report_asset_check"]
    verdicts = answer["result"]["verdicts"]["data"]
    assert [(one["check_name"], one["passed"]) for one in checks] == [
        (one["check"], one["outcome"] == "pass") for one in verdicts
    ]
    assert _said(there)[: len(said_first)] == said_first
    assert len(_said(there)) > len(said_first)


def test_a_stage_is_not_computed_after_a_closed_gate(there: There) -> None:
    strict = json.loads(json.dumps(dict(there.world.contract)))
    strict["gates"]["data"]["min_rows"] = 1_000_000
    requests = {stage: replace(one, contract=strict) for stage, one in there.order.requests.items()}
    order = replace(there.order, requests=requests)
    assert there.run("dataset", order)[0] == 0
    code, said = there.run("features", order)
    assert code == 1
    assert "gate data is not open after dataset (" in said
    assert "so features was not computed" in said
    assert not (there.state / "stages" / "parcel_delay" / "2024-03-01" / "features").exists()
    assert read_json(there.path(order.error_path("features")))["kind"] == "NotComputed"


def test_a_task_with_other_code_or_other_inputs_computes_nothing(there: There) -> None:
    assert there.run("dataset")[0] == 0
    others: list[tuple[dict[str, Any], str]] = [
        ({"product": {"version": "9.0.0", "digest": "sha256:other"}}, "the job has retrain_assets 0.1.0 (sha256:"),
        ({"code": {}}, "parcel_team.features.build is another text in the job than at the orchestrator"),
        ({"code": there.order.code | {"parcel_team": "sha256:0"}}, "parcel_team is another text in the job than at the orchestr"),
        ({"inputs": {"features": {"dataset": "sha256:0"}}}, "input 'dataset' is sha256:"),
    ]
    for changed, said in others:
        code, told = there.run("features", replace(there.order, **changed))
        assert code == 1
        assert said in told
    assert not there.path(there.order.result_path("features")).exists()


def test_the_stages_own_error_is_left_with_what_where_and_remedy(there: There) -> None:
    for file in (there.state / "source").iterdir():
        file.write_bytes(b"broken")
    code, said = there.run("dataset")
    left = read_json(there.path(there.order.error_path("dataset")))
    assert code == 1
    assert left["kind"] == "SourceError"
    assert "not a readable Parquet file" in left["what"]
    assert said.splitlines()[-1] == f"{left['where']}: {left['what']}" + (f"; {left['remedy']}" if left["remedy"] else "")


def _said(there: There) -> list[dict[str, Any]]:
    """The messages of the task's tries, in the order of their files."""
    files = sorted(there.path(there.order.messages("dataset")).iterdir(), key=lambda file: int(file.stem))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
