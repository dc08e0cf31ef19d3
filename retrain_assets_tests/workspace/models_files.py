"""The files of model versions, logged models and runs: below ``/Models`` and ``/WorkspaceInternal`` of the Files API.

MLflow's client takes signed addresses for a catalog in default storage, and the Files API where the workspace says so.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from .routes import ApiError, Payload, Request
from .volumes import READ, WRITE

if TYPE_CHECKING:
    from .models import Models
    from .workspace import Workspace

NO_SIGNATURE = (
    "Model passed for registration did not contain any signature metadata. All models in the Unity Catalog must be logged with a "
    "model signature containing both input and output type specifications."
)


class ModelFiles:
    """Where files are on this machine, and the signed addresses given out.

    Attributes:
        folder: of all versions' files.
        by_files_api: what the workspace answers when MLflow asks whether to take the Files API.
    """

    def __init__(self, workspace: Workspace, models: Models) -> None:
        self.workspace = workspace
        self.models = models
        self.folder = workspace.folder / "Models"
        self.by_files_api = False
        self._signed: dict[str, tuple[str, Path]] = {}

    def register(self) -> None:
        self.workspace.volumes.elsewhere["Models"] = self.located
        self.workspace.volumes.elsewhere["WorkspaceInternal"] = self._internal
        add = self.workspace.routes.add
        add("POST", "/api/2.0/fs/create-upload-url", self.upload_url)
        add("POST", "/api/2.0/fs/create-download-url", self.download_url)
        add("PUT", "/signed/{key}", self.upload, public=True)
        add("GET", "/signed/{key}", self.download, public=True)

    def located(self, uri: str, user: str, need: str) -> Path:
        """The path of ``/Models/CATALOG/SCHEMA/MODEL/VERSION/…``; files are written only while a version is pending."""
        _, _, catalog, schema, model, number, *rest = PurePosixPath(uri).parts
        name = f"{catalog}.{schema}.{model}"
        found = self.models.version(user, name, number, "EXECUTE" if need == READ else "CREATE_MODEL_VERSION")
        if need == WRITE and found.status != 1:
            raise ApiError(403, "PERMISSION_DENIED", "Files of a registered version cannot be written.")
        return self.place(found).joinpath(*rest)

    def place(self, version: Any) -> Path:
        """The folder of a version's files."""
        return self.folder.joinpath(*version.name.split("."), version.version)

    def complaint(self, version: Any) -> str | None:
        """Why the files of a version are no model with a whole signature; None when they are one."""
        described = self.place(version) / "MLmodel"
        if not described.exists():
            return "The model version has no file MLmodel."
        signature = (yaml.safe_load(described.read_text()) or {}).get("signature") or {}
        return None if signature.get("inputs") and signature.get("outputs") else NO_SIGNATURE

    def forget(self, version: Any) -> None:
        """Take the files of a version away."""
        shutil.rmtree(self.place(version), ignore_errors=True)

    def upload_url(self, request: Request) -> Payload:
        return self._address(request, "PUT", WRITE)

    def download_url(self, request: Request) -> Payload:
        path = self.workspace.volumes.located(request.body["path"], request.user, READ)
        if not path.is_file():
            raise ApiError(404, "NOT_FOUND", "The file being accessed is not found.")
        return self._address(request, "GET", READ)

    def upload(self, request: Request, key: str) -> Payload:
        path = self._of(key, "PUT")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(request.content)
        return Payload()

    def download(self, request: Request, key: str) -> Payload:
        return Payload(self._of(key, "GET").read_bytes(), headers={"Content-Type": "application/octet-stream"})

    def _address(self, request: Request, method: str, need: str) -> Payload:
        from mlflow.protos import databricks_filesystem_service_pb2 as messages
        from mlflow.utils.proto_json_utils import message_to_json

        path = self.workspace.volumes.located(request.body["path"], request.user, need)
        key = secrets.token_urlsafe(16)
        self._signed[key] = (method, path)
        kind = messages.CreateUploadUrlResponse if method == "PUT" else messages.CreateDownloadUrlResponse
        answer = kind(url=f"{self.workspace.url}/signed/{key}")
        return Payload(message_to_json(answer).encode(), headers={"Content-Type": "application/json"})

    def _of(self, key: str, method: str) -> Path:
        allowed, path = self._signed.get(key, ("", Path()))
        if allowed != method:
            raise ApiError(403, "PERMISSION_DENIED", "The signed address is not valid for this.")
        return path

    def _internal(self, uri: str, user: str, need: str) -> Path:
        return self.workspace.folder / "WorkspaceInternal" / PurePosixPath(uri).relative_to("/WorkspaceInternal")
