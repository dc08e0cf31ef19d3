"""Statement execution on a SQL warehouse: history, detail and rows of tables that Unity Catalog knows, in states and chunks."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from databricks.sdk.service.sql import (
    BaseChunkInfo,
    Disposition,
    EndpointInfo,
    Format,
    GetWarehouseResponse,
    ListWarehousesResponse,
    ResultData,
    ResultManifest,
    ResultSchema,
    ServiceError,
    ServiceErrorCode,
    State,
    StatementExecutionAPI,
    StatementParameterListItem,
    StatementResponse,
    StatementState,
    StatementStatus,
    WarehousesAPI,
)

from .routes import ApiError, Request
from .sql_answers import Rows, answer_of
from .unity_catalog import UnityCatalog

if TYPE_CHECKING:
    from .workspace import Workspace

API = "/api/2.0/sql"
DONE = (StatementState.SUCCEEDED, StatementState.FAILED, StatementState.CANCELED, StatementState.CLOSED)


def register(workspace: Workspace) -> None:
    warehouse = Warehouse(workspace)
    workspace.parts["sql"] = warehouse
    add = workspace.routes.add
    add("GET", f"{API}/warehouses", warehouse.list_warehouses, accepts=WarehousesAPI.list)
    add("GET", f"{API}/warehouses/{{id}}", warehouse.get_warehouse, accepts=WarehousesAPI.get)
    add("POST", f"{API}/statements/", warehouse.execute, accepts=StatementExecutionAPI.execute_statement)
    add("GET", f"{API}/statements/{{statement_id}}", warehouse.get, accepts=StatementExecutionAPI.get_statement)
    add("POST", f"{API}/statements/{{statement_id}}/cancel", warehouse.cancel)
    add("GET", f"{API}/statements/{{statement_id}}/result/chunks/{{chunk_index}}", warehouse.chunk)


@dataclass
class Statement:
    """One statement: its rows or its error, and how many more looks it takes until it shows them."""

    rows: Rows | None
    error: ServiceError | None
    truncated: bool = False
    looks: int = 0
    state: StatementState = StatementState.PENDING


@dataclass
class Warehouse:
    """The workspace's one warehouse.

    Attributes:
        id: of the warehouse.
        looks: how many looks a statement takes until it has ended; 0: it has at once, where the caller waits at all.
        rows_in_a_chunk: of a result.
        stopped: the first statement starts it, which takes one look more.
    """

    workspace: Workspace
    id: str = "0123456789abcdef"
    looks: int = 0
    rows_in_a_chunk: int = 1000
    stopped: bool = False
    statements: dict[str, Statement] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def catalog(self) -> UnityCatalog:
        return cast(UnityCatalog, self.workspace.parts["unity_catalog"])

    def list_warehouses(self, request: Request) -> ListWarehousesResponse:
        return ListWarehousesResponse([EndpointInfo(id=self.id, name="shared", state=self._state)])

    def get_warehouse(self, request: Request, id: str) -> GetWarehouseResponse:
        self._require(id)
        return GetWarehouseResponse(id=self.id, name="shared", state=self._state, cluster_size="2X-Small")

    def execute(self, request: Request) -> StatementResponse:
        sent = request.body
        self._require(sent.get("warehouse_id"))
        if sent.get("disposition", "INLINE") != Disposition.INLINE.value or sent.get("format", "JSON_ARRAY") != "JSON_ARRAY":
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "This workspace answers INLINE JSON_ARRAY only.")
        statement = self._run(request.user, sent)
        waits = sent.get("wait_timeout", "10s") != "0s"
        statement.looks = self.looks + self.stopped
        self.stopped = False
        key = secrets.token_hex(16)
        with self._lock:
            self.statements[key] = statement
            if waits and statement.looks == 0:
                self._end(statement)
            elif waits and sent.get("on_wait_timeout") == "CANCEL":
                statement.state = StatementState.CANCELED
        return self._shown(key, statement)

    def get(self, request: Request, statement_id: str) -> StatementResponse:
        statement = self._found(statement_id)
        with self._lock:
            if statement.state not in DONE:
                if statement.looks == 0:
                    self._end(statement)
                else:
                    statement.looks -= 1
                    statement.state = StatementState.RUNNING
        return self._shown(statement_id, statement)

    def cancel(self, request: Request, statement_id: str) -> None:
        statement = self._found(statement_id)
        if statement.state not in DONE:
            statement.state = StatementState.CANCELED

    def chunk(self, request: Request, statement_id: str, chunk_index: str) -> ResultData:
        statement = self._found(statement_id)
        if statement.state is not StatementState.SUCCEEDED:
            raise ApiError(400, "BAD_REQUEST", f"The statement is {statement.state.value}.")
        return self._chunk(statement_id, statement, int(chunk_index))

    def _run(self, user: str, sent: Mapping[str, Any]) -> Statement:
        parameters = [StatementParameterListItem.from_dict(one) for one in sent.get("parameters") or []]
        try:
            rows = answer_of(
                sent["statement"],
                lambda name: self.catalog.found_table(user, name),
                catalog=sent.get("catalog"),
                schema=sent.get("schema"),
                parameters={one.name: one.value for one in parameters},
            )
        except ApiError as error:
            missing = error.error_code.endswith("DOES_NOT_EXIST")
            said = f"[{'TABLE_OR_VIEW_NOT_FOUND' if missing else 'INSUFFICIENT_PERMISSIONS'}] {error.message}"
            return Statement(None, ServiceError(ServiceErrorCode.BAD_REQUEST, said))
        except SyntaxError as error:
            return Statement(None, ServiceError(ServiceErrorCode.BAD_REQUEST, f"[PARSE_SYNTAX_ERROR] {error}"))
        limit = sent.get("row_limit")
        if limit is not None and len(rows.values) > limit:
            return Statement(Rows(rows.columns, rows.values[:limit]), None, truncated=True)
        return Statement(rows, None)

    @staticmethod
    def _end(statement: Statement) -> None:
        statement.state = StatementState.SUCCEEDED if statement.error is None else StatementState.FAILED

    def _shown(self, key: str, statement: Statement) -> StatementResponse:
        status = StatementStatus(statement.error if statement.state is StatementState.FAILED else None, statement.state)
        if statement.state is not StatementState.SUCCEEDED or statement.rows is None:
            return StatementResponse(statement_id=key, status=status)
        return StatementResponse(self._manifest(statement), self._chunk(key, statement, 0), key, status)

    def _manifest(self, statement: Statement) -> ResultManifest:
        assert statement.rows is not None
        count, size = len(statement.rows.values), self.rows_in_a_chunk
        chunks = [
            BaseChunkInfo(chunk_index=place, row_offset=start, row_count=min(size, count - start))
            for place, start in enumerate(range(0, count, size))
        ]
        columns = statement.rows.columns
        return ResultManifest(
            chunks, Format.JSON_ARRAY, ResultSchema(len(columns), list(columns)), None, len(chunks), count, statement.truncated
        )

    def _chunk(self, key: str, statement: Statement, index: int) -> ResultData:
        assert statement.rows is not None
        size, values = self.rows_in_a_chunk, statement.rows.values
        if index and index * size >= len(values):
            raise ApiError(404, "NOT_FOUND", f"The result has no chunk {index}.")
        part = values[index * size : (index + 1) * size]
        following = index + 1 if (index + 1) * size < len(values) else None
        return ResultData(
            chunk_index=index,
            row_offset=index * size,
            row_count=len(part),
            data_array=[list(row) for row in part],
            next_chunk_index=following,
            next_chunk_internal_link=following
            and f"{API}/statements/{key}/result/chunks/{following}?row_offset={following * size}",
        )

    def _require(self, id: str | None) -> None:
        if id != self.id:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The endpoint {id} was not found.")

    def _found(self, key: str) -> Statement:
        if key not in self.statements:
            raise ApiError(404, "NOT_FOUND", f"The statement {key} was not found.")
        return self.statements[key]

    @property
    def _state(self) -> State:
        return State.STOPPED if self.stopped else State.RUNNING
