"""Who is asking: the current user, OAuth for service principals, and the tokens that are taken."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from zlib import crc32

from databricks.sdk.oauth import OidcEndpoints
from databricks.sdk.service.iam import ComplexValue, Name, User

from .routes import Payload, Request

if TYPE_CHECKING:
    from .workspace import Workspace

JSON = {"Content-Type": "application/json"}


def register(workspace: Workspace) -> None:
    identity = Identity(workspace)
    workspace.parts["identity"] = identity
    add = workspace.routes.add
    add("GET", "/api/2.0/preview/scim/v2/Me", identity.me)
    add("GET", "/oidc/.well-known/oauth-authorization-server", identity.endpoints, public=True)
    add("POST", "/oidc/v1/token", identity.token, public=True)


class Identity:
    """Service principals (``client_id`` to secret) and the tokens that were given to them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.principals: dict[str, str] = {}
        self.token_lifetime_seconds = 3600

    def add_principal(self) -> tuple[str, str]:
        """Make a service principal; gives its client id and secret."""
        client_id, secret = f"{secrets.token_hex(4)}-4b1d-4c5e-9f00-{secrets.token_hex(6)}", f"dose{secrets.token_hex(16)}"
        self.principals[client_id] = secret
        return client_id, secret

    def revoke(self, *tokens: str) -> None:
        """Take tokens back; without any, all that OAuth gave."""
        for token in tokens or tuple(token for token, owner in self._workspace.tokens.items() if owner in self.principals):
            self._workspace.tokens.pop(token, None)

    def me(self, request: Request) -> Payload:
        """The user or service principal of the token; the workspace's id is in a header."""
        user = User(
            id=str(crc32(request.user.encode())),
            user_name=request.user,
            display_name=request.user.partition("@")[0],
            active=True,
            name=Name(given_name=request.user.partition("@")[0]),
            emails=[ComplexValue(value=request.user, primary=True, type="work")],
        )
        return Payload(
            json.dumps(user.as_dict()).encode(), headers={**JSON, "X-Databricks-Org-Id": str(self._workspace.workspace_id)}
        )

    def endpoints(self, request: Request) -> OidcEndpoints:
        """Where tokens are asked for."""
        base = f"{self._workspace.url}/oidc/v1"
        return OidcEndpoints(authorization_endpoint=f"{base}/authorize", token_endpoint=f"{base}/token")

    def token(self, request: Request) -> Payload:
        """A token for a client id and its secret, in the header or in the form."""
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "Only client_credentials is supported")
        if not secret or self.principals.get(client_id) != secret:
            return _refused("invalid_client", "Client authentication failed")
        token = f"eyJ{secrets.token_urlsafe(48)}"
        self._workspace.tokens[token] = client_id
        given = {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lifetime_seconds, "scope": "all-apis"}
        return Payload(json.dumps(given).encode(), headers=JSON)


def _refused(error: str, description: str) -> Payload:
    return Payload(json.dumps({"error": error, "error_description": description}).encode(), 401, JSON)
