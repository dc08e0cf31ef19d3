"""MLflow tracking of the workspace: MLflow's own handlers and store behind it, with what Databricks does otherwise.

Experiments are paths in the workspace whose folder is there; artifacts have ``dbfs:/databricks/mlflow-tracking`` addresses; every
answer names the workspace.
"""

from __future__ import annotations

import functools
import logging
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.workspace import WorkspaceAPI

from .routes import ApiError, Payload, Request

if TYPE_CHECKING:
    from .workspace import Workspace

API = "/api/2.0/mlflow"
ROOT = "dbfs:/databricks/mlflow-tracking"
METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT")

_HANDLERS = threading.Lock()
"""MLflow's handlers have one store a process: one request at a time, so that each workspace has its own."""


def register(workspace: Workspace) -> None:
    tracking = Tracking(workspace)
    workspace.parts["tracking"] = tracking
    for kind in ("experiments", "runs", "metrics", "logged-models"):
        for method in METHODS:
            workspace.routes.add(method, f"{API}/{kind}/{{path...}}", functools.partial(tracking.answer, kind))
    workspace.routes.add("POST", f"{API}/logged-models", functools.partial(tracking.answer, "logged-models", path=""))
    workspace.routes.add("POST", "/api/2.0/workspace/mkdirs", tracking.make_folder, accepts=WorkspaceAPI.mkdirs)


class Tracking:
    """The tracking store of a workspace; made at the first request."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._store: Any = None
        workspace.path("/Shared").mkdir(parents=True, exist_ok=True)

    def answer(self, kind: str, request: Request, path: str) -> Payload:
        """What MLflow's own server answers."""
        if (kind, path) == ("experiments", "create"):
            self._require_path(str(request.body.get("name")))
        address = f"{API}/{kind}/{path}".rstrip("/")
        with _HANDLERS:
            from mlflow.server import handlers

            before = handlers._tracking_store
            handlers._tracking_store = self._opened()
            try:
                said = (
                    _application()
                    .test_client()
                    .open(
                        address,
                        method=request.method,
                        query_string=dict(request.query),
                        data=request.content,
                        headers={"Content-Type": "application/json"},
                    )
                )
            finally:
                handlers._tracking_store = before
        if said.status_code == 404 and not said.is_json:
            raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {address}'")
        content = said.get_data(as_text=True).replace("/models/m-", "/logged_models/m-")
        headers = {"Content-Type": "application/json", "x-databricks-org-id": str(self.workspace.workspace_id)}
        return Payload(content.encode(), said.status_code, headers)

    def make_folder(self, request: Request) -> None:
        """Make a folder of the workspace and its parents."""
        self.workspace.path(request.body["path"]).mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Let the database go."""
        if self._store is not None:
            self._store._dispose_engine() if hasattr(self._store, "_dispose_engine") else self._store.engine.dispose()

    def _require_path(self, name: str) -> None:
        if not name.startswith("/"):
            raise ApiError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within the Databricks "
                "workspace, e.g. '/Users/<some-username>/my-experiment'.",
            )
        if not self.workspace.path(name.rpartition("/")[0]).is_dir():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Parent directory {name.rpartition('/')[0]} does not exist.")

    def _opened(self) -> Any:
        if self._store is None:
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            place = self.workspace.folder / "tracking.db"
            shutil.copy(_empty(), place)
            self._store = SqlAlchemyStore(f"sqlite:///{place}", ROOT)
        return self._store


@functools.cache
def _application() -> Any:
    """MLflow's handlers of tracking, at the addresses it gives them."""
    import flask
    from mlflow.server import handlers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # handlers import it in the middle of a request, and Starlette warns of it
        import mlflow.server.fastapi_app  # noqa: F401
    application = flask.Flask("tracking")
    for place, (path, handler, methods) in enumerate(handlers.get_endpoints()):
        if path.startswith(f"{API}/"):
            application.add_url_rule(path, f"{place}", handler, methods=methods)
    return application


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def _empty() -> Path:
    """An empty store; making one runs all migrations."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _KEPT.append(tempfile.TemporaryDirectory(prefix="tracking-"))
    place = Path(_KEPT[0].name) / "empty.db"
    store = SqlAlchemyStore(f"sqlite:///{place}", ROOT)
    store.engine.dispose()
    return place
