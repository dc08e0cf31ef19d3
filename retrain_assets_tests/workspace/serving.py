"""Serving endpoints: made and changed over time, with inference tables of the AI Gateway; requests are not answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from databricks.sdk.service.serving import (
    AiGatewayConfig,
    EndpointCoreConfigInput,
    EndpointCoreConfigOutput,
    EndpointPendingConfig,
    EndpointState,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    EndpointTag,
    EndpointTags,
    ListEndpointsResponse,
    PutAiGatewayResponse,
    ServedEntityOutput,
    ServedModelState,
    ServedModelStateDeployment,
    ServingEndpoint,
    ServingEndpointDetailed,
    ServingEndpointsAPI,
)

from .models import Models
from .routes import ApiError, Request
from .unity_catalog import UnityCatalog

if TYPE_CHECKING:
    from .workspace import Workspace

API = "/api/2.0/serving-endpoints"


def register(workspace: Workspace) -> None:
    serving = Serving(workspace)
    workspace.parts["serving"] = serving
    add = workspace.routes.add
    add("GET", API, serving.list_endpoints)
    add("POST", API, serving.create, accepts=ServingEndpointsAPI.create)
    add("GET", f"{API}/{{name}}", serving.get, accepts=ServingEndpointsAPI.get)
    add("DELETE", f"{API}/{{name}}", serving.delete, accepts=ServingEndpointsAPI.delete)
    add("PUT", f"{API}/{{name}}/config", serving.update_config, accepts=ServingEndpointsAPI.update_config)
    add("PUT", f"{API}/{{name}}/ai-gateway", serving.put_ai_gateway, accepts=ServingEndpointsAPI.put_ai_gateway)
    add("PATCH", f"{API}/{{name}}/tags", serving.patch, accepts=ServingEndpointsAPI.patch)


@dataclass
class Serving:
    """The endpoints.

    Attributes:
        updates_take: how many looks an update takes until it has ended.
        updates_fail: what updates fail with; empty: they do not.
        all: the endpoints by name.
    """

    workspace: Workspace
    updates_take: int = 0
    updates_fail: str = ""
    all: dict[str, ServingEndpointDetailed] = field(default_factory=dict)
    _coming: dict[str, tuple[int, EndpointCoreConfigOutput]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def list_endpoints(self, request: Request) -> ListEndpointsResponse:
        return ListEndpointsResponse([ServingEndpoint(name=name, id=one.id, state=one.state) for name, one in self.all.items()])

    def create(self, request: Request) -> ServingEndpointDetailed:
        sent = request.body
        name = sent["name"]
        with self._lock:
            if name in self.all:
                raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Endpoint with name '{name}' already exists.")
            made = ServingEndpointDetailed(
                name=name,
                id=f"{len(self.all) + 1:032x}",
                creator=request.user,
                state=EndpointState(EndpointStateConfigUpdate.NOT_UPDATING, EndpointStateReady.NOT_READY),
                tags=[EndpointTag.from_dict(one) for one in sent.get("tags") or []],
            )
            gateway = self._gateway(request.user, sent.get("ai_gateway"))
            coming = self._checked(request.user, sent.get("config") or {})
            made.ai_gateway = gateway
            self.all[name] = made
            self._begin(made, coming)
            return made

    def get(self, request: Request, name: str) -> ServingEndpointDetailed:
        with self._lock:
            found = self._found(name)
            if name in self._coming:
                left, config = self._coming[name]
                if left:
                    self._coming[name] = (left - 1, config)
                else:
                    self._end(found, config)
            return found

    def delete(self, request: Request, name: str) -> None:
        self._found(name)
        del self.all[name]
        self._coming.pop(name, None)

    def update_config(self, request: Request, name: str) -> ServingEndpointDetailed:
        with self._lock:
            found = self._found(name)
            if name in self._coming:
                raise ApiError(409, "RESOURCE_CONFLICT", f"Endpoint '{name}' is currently being updated.")
            self._begin(found, self._checked(request.user, request.body))
            return found

    def put_ai_gateway(self, request: Request, name: str) -> PutAiGatewayResponse:
        found = self._found(name)
        found.ai_gateway = self._gateway(request.user, request.body)
        return PutAiGatewayResponse.from_dict(found.ai_gateway.as_dict() if found.ai_gateway else {})

    def patch(self, request: Request, name: str) -> EndpointTags:
        found = self._found(name)
        added = [EndpointTag.from_dict(one) for one in request.body.get("add_tags") or []]
        gone = {*(request.body.get("delete_tags") or []), *(one.key for one in added)}
        found.tags = [*(one for one in found.tags or [] if one.key not in gone), *added]
        return EndpointTags(found.tags)

    def inference_table(self, name: str) -> str | None:
        """The table that an endpoint's requests and answers are written to, by its three-level name."""
        gateway = self._found(name).ai_gateway
        table = gateway.inference_table_config if gateway else None
        if table is None or not table.enabled:
            return None
        return f"{table.catalog_name}.{table.schema_name}.{table.table_name_prefix or name}_payload"

    def _gateway(self, user: str, sent: Mapping[str, Any] | None) -> AiGatewayConfig | None:
        if not sent:
            return None
        gateway = AiGatewayConfig.from_dict(dict(sent))
        table = gateway.inference_table_config
        if table is not None and table.enabled:
            if not table.catalog_name or not table.schema_name:
                raise ApiError(
                    400, "INVALID_PARAMETER_VALUE", "catalog_name and schema_name of inference_table_config are needed."
                )
            catalog = cast(UnityCatalog, self.workspace.parts["unity_catalog"])
            schema = f"{table.catalog_name}.{table.schema_name}"
            catalog.require_schema(user, schema)
            catalog.require(user, schema, "CREATE_TABLE")
        return gateway

    def _checked(self, user: str, sent: Mapping[str, Any]) -> EndpointCoreConfigOutput:
        config = EndpointCoreConfigInput.from_dict(dict(sent))
        if config.auto_capture_config is not None:
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", "Legacy inference tables have ended; use the inference tables of the AI Gateway."
            )
        entities = config.served_entities or []
        for one in entities:
            if one.entity_name and one.entity_name.count(".") == 2:
                found = cast(Models, self.workspace.parts["models"]).version(user, one.entity_name, one.entity_version or "")
                if found.status != 3:
                    raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Version {one.entity_version} is not READY.")
        routes = config.traffic_config.routes or [] if config.traffic_config else []
        names = {one.name or f"{(one.entity_name or '').split('.')[-1]}-{one.entity_version}" for one in entities}
        if routes and sum(one.traffic_percentage for one in routes) != 100:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "Traffic percentages must sum to 100.")
        if unknown := {one.served_entity_name or one.served_model_name for one in routes} - names:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Traffic goes to {sorted(map(str, unknown))}, which is not served.")
        shown = [ServedEntityOutput.from_dict(one.as_dict()) for one in entities]
        return EndpointCoreConfigOutput(served_entities=shown, traffic_config=config.traffic_config)

    def _begin(self, endpoint: ServingEndpointDetailed, coming: EndpointCoreConfigOutput) -> None:
        if not coming.served_entities:
            return
        assert endpoint.state is not None
        assert endpoint.name is not None
        endpoint.state.config_update = EndpointStateConfigUpdate.IN_PROGRESS
        self._coming[endpoint.name] = (self.updates_take, coming)

    def _end(self, endpoint: ServingEndpointDetailed, coming: EndpointCoreConfigOutput) -> None:
        assert endpoint.state is not None
        assert endpoint.name is not None
        del self._coming[endpoint.name]
        if self.updates_fail:
            endpoint.state.config_update = EndpointStateConfigUpdate.UPDATE_FAILED
            state = ServedModelState(ServedModelStateDeployment.FAILED, self.updates_fail)
            endpoint.pending_config = EndpointPendingConfig(served_entities=[ServedEntityOutput(state=state)])
            return
        endpoint.state = EndpointState(EndpointStateConfigUpdate.NOT_UPDATING, EndpointStateReady.READY)
        coming.config_version = ((endpoint.config.config_version or 0) if endpoint.config else 0) + 1
        endpoint.config, endpoint.pending_config = coming, None

    def _found(self, name: str) -> ServingEndpointDetailed:
        if name not in self.all:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Endpoint '{name}' does not exist.")
        return self.all[name]
