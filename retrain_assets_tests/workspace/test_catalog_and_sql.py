"""Unity Catalog and SQL statements of the emulated workspace, through the real client."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from databricks.sdk.errors import NotFound, PermissionDenied
from databricks.sdk.service.catalog import ColumnTypeName
from databricks.sdk.service.sql import StatementParameterListItem, StatementState

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.answers import Sent

TABLE = "main.flights.delays"
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def table(workspace: Workspace, tmp_path: Path) -> Path:
    """A Delta table of two versions."""
    folder = tmp_path / "delays"
    first = pl.DataFrame({"flight": ["a", "b"], "delay": [1.5, None], "late": [True, False], "scheduled": [NOON, NOON]})
    first.write_delta(str(folder))
    first.head(1).with_columns(flight=pl.lit("c")).write_delta(str(folder), mode="append")
    workspace.parts["unity_catalog"].add_table(TABLE, folder)
    return folder


def asked(workspace: Workspace, statement: str, **settings: Any) -> list[list[str]]:
    """The rows of a statement, all chunks of them."""
    api, warehouse = workspace.client().statement_execution, workspace.parts["sql"]
    answer = api.execute_statement(statement, warehouse.id, **settings)
    assert answer.status is not None
    assert answer.status.state is StatementState.SUCCEEDED, answer.status.error
    rows: list[list[str]] = []
    part = answer.result
    while part is not None:
        rows += part.data_array or []
        more = part.next_chunk_index
        part = None if more is None else api.get_statement_result_chunk_n(str(answer.statement_id), more)
    return rows


def test_a_table_is_known_by_its_columns_and_place(workspace: Workspace, table: Path) -> None:
    client = workspace.client()
    sent = Sent(client)
    found = client.tables.get(TABLE)
    assert sent.lost(found) == {}
    assert found.storage_location == table.as_uri()
    kinds = [(column.name, column.type_name) for column in found.columns or []]
    assert kinds[:3] == [("flight", ColumnTypeName.STRING), ("delay", ColumnTypeName.DOUBLE), ("late", ColumnTypeName.BOOLEAN)]
    assert client.tables.exists(TABLE).table_exists
    assert not client.tables.exists("main.flights.other").table_exists
    with pytest.raises(NotFound, match=r"Table 'main.flights.other' does not exist"):
        client.tables.get("main.flights.other")


def test_catalogs_schemas_and_volumes_are_listed(workspace: Workspace, table: Path) -> None:
    client = workspace.client()
    sent = Sent(client)
    assert [one.name for one in client.catalogs.list()] == ["main"]
    assert [one.full_name for one in client.schemas.list("main")] == ["main.flights", "main.retrain"]
    assert [one.full_name for one in client.volumes.list("main", "retrain")] == ["main.retrain.state"]
    assert [one.full_name for one in client.tables.list("main", "flights")] == [TABLE]
    assert sent.lost(client.volumes.read("main.retrain.state")) == {}
    assert sent.lost(client.schemas.get("main.flights")) == {}
    assert sent.lost(client.catalogs.get("main")) == {}


def test_privileges_hold_from_the_catalog_down(workspace: Workspace, table: Path) -> None:
    client, catalog = workspace.client(), workspace.parts["unity_catalog"]
    sent = Sent(client)
    everything = client.grants.get_effective("TABLE", TABLE)
    assert sent.lost(everything) == {}
    catalog.grant("main", {workspace.user: {"USE_CATALOG", "USE_SCHEMA"}})
    with pytest.raises(PermissionDenied, match=r"User does not have SELECT on Object 'main.flights.delays'"):
        client.tables.get(TABLE)
    catalog.grant(TABLE, {workspace.user: {"SELECT"}})
    assert client.tables.get(TABLE).full_name == TABLE
    (own,) = client.grants.get_effective("TABLE", TABLE).privilege_assignments or []
    assert {str(one.privilege) for one in own.privileges or []} == {
        "Privilege.USE_CATALOG",
        "Privilege.USE_SCHEMA",
        "Privilege.SELECT",
    }


def test_rows_come_as_text_with_times_in_utc(workspace: Workspace, table: Path) -> None:
    rows = asked(workspace, f"SELECT flight, delay, late, scheduled FROM {TABLE} ORDER BY flight")
    noon = "2013-07-01T12:00:00.000Z"
    assert rows == [["a", "1.5", "true", noon], ["b", None, "false", noon], ["c", "1.5", "true", noon]]


@pytest.mark.parametrize("at", ["VERSION AS OF 0", "@v0"])
def test_an_older_version_can_be_asked_for(workspace: Workspace, table: Path, at: str) -> None:
    space = "" if at.startswith("@") else " "
    assert asked(workspace, f"SELECT count(*) AS n FROM `main`.`flights`.`delays`{space}{at}") == [["2"]]
    assert asked(workspace, "SELECT count(*) AS n FROM delays", catalog="main", schema="flights") == [["3"]]


def test_parameters_have_names(workspace: Workspace, table: Path) -> None:
    own = [StatementParameterListItem("flight", value="b")]
    query = f"WITH chosen AS (SELECT * FROM {TABLE} WHERE flight = :flight) SELECT late FROM chosen"
    assert asked(workspace, query, parameters=own) == [["false"]]


def test_history_and_detail_are_those_of_the_table(workspace: Workspace, table: Path) -> None:
    from deltalake import DeltaTable

    history = asked(workspace, f"DESCRIBE HISTORY {TABLE}")
    assert [(row[0], row[3]) for row in history] == [("1", "WRITE"), ("0", "WRITE")]
    assert len(asked(workspace, f"DESCRIBE HISTORY {TABLE} LIMIT 1")) == 1
    (detail,) = asked(workspace, f"DESCRIBE DETAIL {TABLE}")
    assert detail[:3] == ["delta", str(DeltaTable(str(table)).metadata().id), TABLE]


def test_a_long_result_comes_in_chunks(workspace: Workspace, table: Path) -> None:
    warehouse = workspace.parts["sql"]
    warehouse.rows_in_a_chunk = 2
    client = workspace.client()
    sent = Sent(client)
    answer = client.statement_execution.execute_statement(f"SELECT flight FROM {TABLE}", warehouse.id)
    assert sent.lost(answer) == {}
    assert answer.manifest is not None
    assert (answer.manifest.total_row_count, answer.manifest.total_chunk_count) == (3, 2)
    assert [len(row) for row in asked(workspace, f"SELECT flight FROM {TABLE}")] == [1, 1, 1]


def test_a_statement_that_is_not_waited_for_goes_through_its_states(workspace: Workspace, table: Path) -> None:
    api, warehouse = workspace.client().statement_execution, workspace.parts["sql"]
    warehouse.looks = 1
    answer = api.execute_statement(f"SELECT 1 AS n FROM {TABLE}", warehouse.id, wait_timeout="0s")
    states = [answer.status and answer.status.state]
    for _ in range(2):
        again = api.get_statement(str(answer.statement_id))
        states.append(again.status and again.status.state)
    assert states == [StatementState.PENDING, StatementState.RUNNING, StatementState.SUCCEEDED]
    cancelled = api.execute_statement(f"SELECT 1 AS n FROM {TABLE}", warehouse.id, wait_timeout="0s")
    api.cancel_execution(str(cancelled.statement_id))
    status = api.get_statement(str(cancelled.statement_id)).status
    assert status is not None
    assert status.state is StatementState.CANCELED


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM main.flights.nothing", r"\[TABLE_OR_VIEW_NOT_FOUND\] Table 'main.flights.nothing' does not exist"),
        ("DROP TABLE x", r"\[PARSE_SYNTAX_ERROR\] Syntax error at or near 'DROP'"),
        (f"SELECT nothing FROM {TABLE}", r"\[PARSE_SYNTAX_ERROR\] Binder Error"),
    ],
    ids=["no table", "no query", "no column"],
)
def test_what_cannot_be_answered_fails_with_its_reason(workspace: Workspace, table: Path, statement: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        asked(workspace, statement)
