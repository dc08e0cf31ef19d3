"""Secret scopes: what ``{{secrets/SCOPE/KEY}}`` and the Secrets API give."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

from databricks.sdk.service.workspace import (
    GetSecretResponse,
    ListScopesResponse,
    ListSecretsResponse,
    ScopeBackendType,
    SecretMetadata,
    SecretsAPI,
    SecretScope,
)

from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace


def register(workspace: Workspace) -> None:
    scopes = SecretScopes()
    workspace.parts["secrets"] = scopes
    add = workspace.routes.add
    add("POST", "/api/2.0/secrets/scopes/create", scopes.create_scope, accepts=SecretsAPI.create_scope)
    add("POST", "/api/2.0/secrets/scopes/delete", scopes.delete_scope, accepts=SecretsAPI.delete_scope)
    add("GET", "/api/2.0/secrets/scopes/list", scopes.list_scopes)
    add("POST", "/api/2.0/secrets/put", scopes.put_secret, accepts=SecretsAPI.put_secret)
    add("POST", "/api/2.0/secrets/delete", scopes.delete_secret, accepts=SecretsAPI.delete_secret)
    add("GET", "/api/2.0/secrets/get", scopes.get_secret, accepts=SecretsAPI.get_secret)
    add("GET", "/api/2.0/secrets/list", scopes.list_secrets, accepts=SecretsAPI.list_secrets)


class SecretScopes:
    """Scopes by name, each with its secrets (bytes) and when they were written."""

    def __init__(self) -> None:
        self.all: dict[str, dict[str, tuple[bytes, int]]] = {}

    def put(self, scope: str, key: str, value: str | bytes) -> None:
        """Write a secret; makes the scope."""
        content = value.encode() if isinstance(value, str) else value
        self.all.setdefault(scope, {})[key] = (content, int(time.time() * 1000))

    def value(self, scope: str, key: str) -> bytes:
        """The bytes of a secret."""
        if scope not in self.all:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Scope {scope} does not exist!")
        if key not in self.all[scope]:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Failed to get secret {key} for scope {scope}.")
        return self.all[scope][key][0]

    def create_scope(self, request: Request) -> None:
        """Make an empty scope."""
        name = request.body["scope"]
        if name in self.all:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {name} already exists!")
        self.all[name] = {}

    def delete_scope(self, request: Request) -> None:
        """Remove a scope with its secrets."""
        self._scope(request.body["scope"])
        del self.all[request.body["scope"]]

    def list_scopes(self, request: Request) -> ListScopesResponse:
        """All scopes."""
        scopes = [SecretScope(name=name, backend_type=ScopeBackendType.DATABRICKS) for name in sorted(self.all)]
        return ListScopesResponse(scopes=scopes or None)

    def put_secret(self, request: Request) -> None:
        """Write one secret of a scope that exists."""
        body = request.body
        self._scope(body["scope"])
        if ("string_value" in body) == ("bytes_value" in body):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "Exactly one of string_value and bytes_value must be given.")
        value = body["string_value"] if "string_value" in body else base64.b64decode(body["bytes_value"])
        self.put(body["scope"], body["key"], value)

    def delete_secret(self, request: Request) -> None:
        """Remove one secret."""
        self.value(request.body["scope"], request.body["key"])
        del self.all[request.body["scope"]][request.body["key"]]

    def get_secret(self, request: Request) -> GetSecretResponse:
        """One secret, base64."""
        value = self.value(request.query["scope"], request.query["key"])
        return GetSecretResponse(key=request.query["key"], value=base64.b64encode(value).decode())

    def list_secrets(self, request: Request) -> ListSecretsResponse:
        """Keys of a scope and when they were written."""
        secrets = [SecretMetadata(key=key, last_updated_timestamp=at) for key, (_, at) in self._scope(request.query["scope"])]
        return ListSecretsResponse(secrets=secrets or None)

    def _scope(self, name: str) -> list[tuple[str, tuple[bytes, int]]]:
        if name not in self.all:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Scope {name} does not exist!")
        return sorted(self.all[name].items())
