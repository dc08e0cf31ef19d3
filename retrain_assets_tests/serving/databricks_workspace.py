"""A small server that speaks Databricks' serving-endpoints API in the SDK's own types, so that it cannot drift from them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from databricks.sdk.service import serving

IN_PROGRESS = serving.EndpointStateConfigUpdate.IN_PROGRESS
NOT_UPDATING = serving.EndpointStateConfigUpdate.NOT_UPDATING
FAILED = serving.EndpointStateConfigUpdate.UPDATE_FAILED


@dataclass
class Workspace:
    """The endpoints of a workspace, and what was asked of them; faults are given in the order they are put in."""

    endpoints: dict[str, serving.ServingEndpointDetailed] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    faults: list[tuple[str, int, str, str]] = field(default_factory=list)
    updates_take: int = 0
    updates_fail: str = ""
    _pending: dict[str, tuple[int, serving.EndpointCoreConfigOutput]] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        self.calls.append((method, path))
        self.bodies.append(body)
        if self.faults and self.faults[0][0] == method:
            _, status, code, message = self.faults.pop(0)
            return status, {"error_code": code, "message": message}
        name = path.removeprefix("/api/2.0/serving-endpoints").strip("/").partition("/")[0] or body["name"]
        if method == "GET" and name not in self.endpoints:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Endpoint '{name}' does not exist."}
        if method == "GET":
            return 200, self._poll(name).as_dict()
        if method == "PATCH":
            found = self.endpoints[name]
            found.tags = [serving.EndpointTag.from_dict(tag) for tag in body["add_tags"]]
            return 200, serving.EndpointTags(found.tags).as_dict()
        if method == "PUT" and name in self._pending:
            return 409, {"error_code": "RESOURCE_CONFLICT", "message": f"Endpoint '{name}' is currently being updated."}
        if method == "POST":
            self.endpoints[name] = serving.ServingEndpointDetailed(name=name, state=serving.EndpointState())
            self.endpoints[name].tags = [serving.EndpointTag.from_dict(tag) for tag in body.get("tags", [])]
        config = serving.EndpointCoreConfigInput.from_dict(body["config"] if method == "POST" else body)
        self._begin(name, config)
        return 200, self.endpoints[name].as_dict()

    def writes(self) -> list[str]:
        return [method for method, _ in self.calls if method != "GET"]

    def served(self, name: str) -> dict[str, int]:
        """Per cent by version, as a person would read it off the endpoint."""
        config = self.endpoints[name].config
        assert config is not None
        parts = {route.served_model_name: route.traffic_percentage for route in config.traffic_config.routes}
        return {one.entity_version: parts[one.name] for one in config.served_entities}

    def _begin(self, name: str, config: serving.EndpointCoreConfigInput) -> None:
        entities = [serving.ServedEntityOutput.from_dict(one.as_dict()) for one in config.served_entities or []]
        assert sum(route.traffic_percentage for route in config.traffic_config.routes) == 100
        assert {route.served_model_name for route in config.traffic_config.routes} == {one.name for one in entities}
        done = serving.EndpointCoreConfigOutput(served_entities=entities, traffic_config=config.traffic_config)
        self._pending[name] = (self.updates_take, done)
        self.endpoints[name].state.config_update = IN_PROGRESS

    def _poll(self, name: str) -> serving.ServingEndpointDetailed:
        found = self.endpoints[name]
        if name in self._pending:
            left, done = self._pending[name]
            if left:
                self._pending[name] = (left - 1, done)
            else:
                del self._pending[name]
                found.state.config_update = FAILED if self.updates_fail else NOT_UPDATING
                if self.updates_fail:
                    state = serving.ServedModelState(deployment_state_message=self.updates_fail)
                    failed = serving.ServedEntityOutput(state=state)
                    found.pending_config = serving.EndpointPendingConfig(served_entities=[failed])
                else:
                    found.config = done
        return found


@contextmanager
def listening(workspace: Workspace) -> Iterator[str]:
    """The workspace behind HTTP; its address."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = workspace.answer(self.command, self.path, json.loads(raw) if raw else None)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            if status == 429:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
