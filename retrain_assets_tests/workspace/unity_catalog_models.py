"""Registered models as the SDK sees them; the same models as MLflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from databricks.sdk.service.catalog import (
    ListModelVersionsResponse,
    ListRegisteredModelsResponse,
    ModelVersionInfo,
    ModelVersionInfoStatus,
    ModelVersionsAPI,
    RegisteredModelAlias,
    RegisteredModelInfo,
    RegisteredModelsAPI,
)

from .models import Models
from .routes import ApiError, Request
from .unity_catalog import API

if TYPE_CHECKING:
    from .workspace import Workspace


def register(workspace: Workspace) -> None:
    seen = ModelsOfTheSdk(workspace)
    add = workspace.routes.add
    add("GET", f"{API}/models", seen.list_models, accepts=RegisteredModelsAPI.list)
    add("GET", f"{API}/models/{{full_name}}", seen.get_model, accepts=RegisteredModelsAPI.get)
    add("GET", f"{API}/models/{{full_name}}/versions", seen.list_versions, accepts=ModelVersionsAPI.list)
    add("GET", f"{API}/models/{{full_name}}/versions/{{version}}", seen.get_version, accepts=ModelVersionsAPI.get)
    add("GET", f"{API}/models/{{full_name}}/aliases/{{alias}}", seen.get_by_alias, accepts=ModelVersionsAPI.get_by_alias)


class ModelsOfTheSdk:
    """Answers in the SDK's dataclasses."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def _models(self) -> Models:
        return cast(Models, self._workspace.parts["models"])

    def list_models(self, request: Request) -> ListRegisteredModelsResponse:
        below = ".".join(request.query[name] for name in ("catalog_name", "schema_name") if name in request.query)
        if below.count("."):
            self._models.catalog.require_schema(request.user, below)
        start, size = int(request.query.get("page_token") or 0), int(request.query.get("max_results") or 100)
        names = [name for name in sorted(self._models.all) if f"{name}.".startswith(f"{below}." if below else "")]
        page = [_model(self._models.all[name].info) for name in names[start : start + size]]
        return ListRegisteredModelsResponse(str(start + size) if start + size < len(names) else None, page)

    def get_model(self, request: Request, full_name: str) -> RegisteredModelInfo:
        info = self._models.model(request.user, full_name).info
        aliases = request.query.get("include_aliases") == "true"
        return _model(info, [RegisteredModelAlias(one.alias, int(one.version)) for one in info.aliases] if aliases else None)

    def list_versions(self, request: Request, full_name: str) -> ListModelVersionsResponse:
        found = self._models.model(request.user, full_name).versions.values()
        return ListModelVersionsResponse([_version(one) for one in found])

    def get_version(self, request: Request, full_name: str, version: str) -> ModelVersionInfo:
        return _version(self._models.version(request.user, full_name, version))

    def get_by_alias(self, request: Request, full_name: str, alias: str) -> ModelVersionInfo:
        for one in self._models.model(request.user, full_name).info.aliases:
            if one.alias == alias:
                return _version(self._models.version(request.user, full_name, one.version))
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Alias '{alias}' does not exist for registered model '{full_name}'.")


def _model(info: Any, aliases: list[RegisteredModelAlias] | None = None) -> RegisteredModelInfo:
    catalog, schema, own = info.name.split(".")
    return RegisteredModelInfo(
        name=own,
        catalog_name=catalog,
        schema_name=schema,
        full_name=info.name,
        owner=info.user_id,
        created_by=info.user_id,
        created_at=info.creation_timestamp,
        comment=info.description or None,
        aliases=aliases,
    )


def _version(info: Any) -> ModelVersionInfo:
    from mlflow.protos.databricks_uc_registry_messages_pb2 import ModelVersionStatus

    catalog, schema, own = info.name.split(".")
    return ModelVersionInfo(
        model_name=own,
        catalog_name=catalog,
        schema_name=schema,
        version=int(info.version),
        status=ModelVersionInfoStatus(ModelVersionStatus.Name(info.status)),
        run_id=info.run_id or None,
        source=info.source,
        storage_location=info.storage_location,
        created_by=info.user_id,
        created_at=info.creation_timestamp,
    )
