"""Where heavy stages run: one place, said in a way that a mistake is answered with its field."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from retrain_assets.contract import Contract
from retrain_assets_tests.simulation import contract_with

VOLUME = "/Volumes/main/retrain/state"
CLUSTER = {"node_type": "i3.xlarge"}


def on_databricks(**changes: Any) -> dict[str, Any]:
    return {"databricks": {"volume": VOLUME, "cluster": CLUSTER, **changes}}


def fault(compute: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        contract_with(compute=compute)
    (error,) = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


@pytest.mark.parametrize(
    ("compute", "field", "words"),
    [
        ("Local", "compute", "write local, {spark: ...} or {databricks: ...}"),
        ({}, "compute", "write local, {spark: ...} or {databricks: ...}"),
        ({"databrick": {}}, "compute.databrick", "Extra inputs are not permitted"),
        ({"spark": {}, **on_databricks()}, "compute", "write either spark or databricks"),
        (on_databricks(cluster=None), "compute.databricks", "write one of cluster, existing_cluster and serverless; none is"),
        (on_databricks(serverless={}), "compute.databricks", "cluster and serverless are written"),
        (on_databricks(volume="dbfs:/tmp"), "compute.databricks.volume", "should match pattern"),
        (on_databricks(volume=f"{VOLUME}/../keys"), "compute.databricks.volume", "leads elsewhere"),
        (on_databricks(stages=["dataset", "dataset"]), "compute.databricks.stages", "dataset stands there twice"),
        (on_databricks(poll="0s"), "compute.databricks.poll", "must be longer than 0"),
        (on_databricks(cluster={}), "compute.databricks.cluster", "write either node_type or instance_pool"),
        (
            on_databricks(cluster={**CLUSTER, "instance_pool": "p"}),
            "compute.databricks.cluster",
            "either node_type or instance_pool",
        ),
        (
            on_databricks(cluster={"instance_pool": "p", "spot": True}),
            "compute.databricks.cluster",
            "settings of the instance pool",
        ),
        (
            on_databricks(cluster={**CLUSTER, "workers": 4, "max_workers": 4}),
            "compute.databricks.cluster",
            "max_workers must be above",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_place_that_cannot_be_meant_is_refused_at_its_field(compute: Any, field: str, words: str) -> None:
    where, message = fault(compute)
    assert where == field
    assert words in message


@pytest.mark.parametrize("compute", ["local", {"spark": {"master": "local[2]"}}, on_databricks(retries=1)], ids=str)
def test_a_recorded_contract_has_the_place_and_the_digest_it_was_written_with(compute: Any) -> None:
    contract = contract_with(compute=compute)
    again = Contract.recorded(contract.to_json())
    assert again == contract
    assert again.digest == contract.digest


def test_a_contract_says_nothing_of_places_it_does_not_use() -> None:
    assert contract_with().to_json()["compute"] == "local"
    assert set(contract_with(compute=on_databricks()).to_json()["compute"]) == {"databricks"}


def test_the_retrain_stages_run_there_unless_the_contract_names_others() -> None:
    settings = contract_with(compute=on_databricks()).databricks
    assert settings is not None
    assert settings.stages == ["dataset", "features", "training", "evaluation"]
    assert settings.poll == timedelta(seconds=5)
    assert contract_with().databricks is None


def test_an_editor_accepts_what_the_contract_accepts() -> None:
    schema = Contract.model_json_schema()
    validator = jsonschema.Draft202012Validator({**schema["properties"]["compute"], "$defs": schema["$defs"]})
    assert validator.is_valid("local")
    assert validator.is_valid(on_databricks())
    assert not validator.is_valid("Local")
    assert not validator.is_valid({"databrick": {}})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"table": "main.shop.orders"}, "write either uri or table"),
        ({"uri": None}, "write either uri or table"),
        ({"uri": None, "table": "shop.orders"}, "should match pattern"),
        ({"version": 3}, "source.version is for Delta tables"),
    ],
    ids=["both", "none", "two levels", "version of Parquet"],
)
def test_a_source_that_is_in_no_one_place_is_refused(source: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**{f"source__{name}": value for name, value in source.items()})


def test_a_delta_table_is_named_by_folder_or_by_its_three_levels() -> None:
    folder = contract_with(source__format="delta", source__version=3).source
    table = contract_with(source__uri=None, source__table="main.shop.orders").source
    assert (folder.is_delta, table.is_delta, contract_with().source.is_delta) == (True, True, False)
    assert table.place == "main.shop.orders"
