"""The model registry of Unity Catalog as MLflow's client calls it, in MLflow's own messages, with the limits that catalog has."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from .models_files import ModelFiles
from .routes import ApiError, Payload, Request
from .unity_catalog import UnityCatalog

if TYPE_CHECKING:
    from .workspace import Workspace

API = "/api/2.0/mlflow/unity-catalog"
NOT_IN_A_KEY = set(".,-=/:")
MOST_TAGS = 50
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z0-9_-]{1,255}")


def register(workspace: Workspace) -> None:
    models = Models(workspace)
    workspace.parts["models"] = models
    models.files.register()
    for method, path, message, handler, absent in models.calls():
        workspace.routes.add(method, f"{API}/{path}", models.handled(message, handler), absent=absent)


@dataclass
class Model:
    """A registered model; ``next`` is the number of its next version, which is never given twice."""

    info: Any
    versions: dict[str, Any] = field(default_factory=dict)
    next: int = 1


class Models:
    """Registered models and their versions.

    Attributes:
        largest_page: how many results one page has at most.
        listing_lag: how many searches for versions do not show a new version yet.
        files: where the files of versions are, and how they come and go.
        all: every model by its three-level name.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.largest_page = 100
        self.listing_lag = 0
        self.all: dict[str, Model] = {}
        self.files = ModelFiles(workspace, self)
        self._hidden: dict[tuple[str, str], int] = {}
        self._lock = threading.RLock()

    @property
    def catalog(self) -> UnityCatalog:
        return cast(UnityCatalog, self.workspace.parts["unity_catalog"])

    def calls(self) -> list[tuple[str, str, str, Callable[..., Any], Any]]:
        """Method, path, request message, handler and error of something absent."""
        return [
            ("POST", "registered-models/create", "CreateRegisteredModel", self._create_model, None),
            ("GET", "registered-models/get", "GetRegisteredModel", self._get_model, _no_model),
            ("PATCH", "registered-models/update", "UpdateRegisteredModel", self._update_model, None),
            ("DELETE", "registered-models/delete", "DeleteRegisteredModel", self._delete_model, None),
            ("GET", "registered-models/search", "SearchRegisteredModels", self._search_models, None),
            ("POST", "registered-models/set-tag", "SetRegisteredModelTag", self._set_model_tag, None),
            ("DELETE", "registered-models/delete-tag", "DeleteRegisteredModelTag", self._delete_model_tag, None),
            ("POST", "registered-models/alias", "SetRegisteredModelAlias", self._set_alias, None),
            ("DELETE", "registered-models/alias", "DeleteRegisteredModelAlias", self._delete_alias, None),
            ("GET", "registered-models/alias", "GetModelVersionByAlias", self._get_by_alias, _no_version),
            ("POST", "model-versions/create", "CreateModelVersion", self._create_version, None),
            ("POST", "model-versions/finalize", "FinalizeModelVersion", self._finalize, None),
            ("GET", "model-versions/get", "GetModelVersion", self._get_version, _no_version),
            ("PATCH", "model-versions/update", "UpdateModelVersion", self._update_version, None),
            ("DELETE", "model-versions/delete", "DeleteModelVersion", self._delete_version, None),
            ("GET", "model-versions/search", "SearchModelVersions", self._search_versions, None),
            ("POST", "model-versions/set-tag", "SetModelVersionTag", self._set_version_tag, None),
            ("DELETE", "model-versions/delete-tag", "DeleteModelVersionTag", self._delete_version_tag, None),
            ("GET", "model-versions/get-download-uri", "GetModelVersionDownloadUri", self._download_uri, _no_version),
            (
                "POST",
                "model-versions/generate-temporary-credentials",
                "GenerateTemporaryModelVersionCredentials",
                self._credentials,
                _no_version,
            ),
            ("POST", "model-versions/emit-lineage", "EmitModelVersionLineage", self._lineage, None),
            (
                "GET",
                "registered-models:is-databricks-sdk-models-artifact-repository-enabled",
                "IsDatabricksSdkModelsArtifactRepositoryEnabled",
                self._by_files_api,
                None,
            ),
        ]

    def handled(self, name: str, handler: Callable[..., Any]) -> Callable[[Request], Payload]:
        """A handler of requests from one of messages: a field that MLflow's message does not have is refused."""

        def answer(request: Request) -> Payload:
            from mlflow.protos import databricks_uc_registry_messages_pb2 as messages
            from mlflow.utils.proto_json_utils import message_to_json

            sent = dict(request.query) if request.method == "GET" else request.body
            message = getattr(messages, f"{name}Request")()
            try:
                ParseDict(sent, message)
            except ParseError as error:
                raise ApiError(400, "INVALID_PARAMETER_VALUE", str(error)) from error
            response = getattr(messages, f"{name}Response")()
            with self._lock:
                filled = handler(request.user, message, response)
            content = message_to_json(response if filled is None else filled)
            return Payload(content.encode(), headers={"Content-Type": "application/json"})

        return answer

    def hide(self, name: str, number: str, *, searches: int) -> None:
        """The next searches for versions do not show this one."""
        self._hidden[name, number] = searches

    def model(self, user: str, name: str, *privileges: str) -> Model:
        """A model that the user may see; refuses short names, schemas that may not be used, and what is not there."""
        self.require_place(user, name)
        if name.lower() not in self.all:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Routine or Model '{name}' does not exist.")
        found = self.all[name.lower()]
        if found.info.user_id != user:
            self.catalog.require(user, name, *(privileges or ("EXECUTE",)))
        return found

    def version(self, user: str, name: str, number: str, *privileges: str) -> Any:
        """A version that the user may see."""
        found = self.model(user, name, *privileges).versions.get(str(number))
        if found is None:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Model version '{name}' version {number} does not exist.")
        return found

    def require_place(self, user: str, name: str) -> None:
        parts = name.split(".")
        if len(parts) != 3 or not all(parts):
            raise ApiError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Registered model name '{name}' is not valid: please specify all three levels, <catalog>.<schema>.<model>",
            )
        self.catalog.require_schema(user, ".".join(parts[:2]))

    def _create_model(self, user: str, sent: Any, answer: Any) -> None:
        self.require_place(user, sent.name)
        name = sent.name.lower()
        self.catalog.require(user, name.rpartition(".")[0], "CREATE_MODEL")
        if name in self.all:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Routine or Model '{name}' already exists")
        info = answer.registered_model
        info.name, info.description, info.user_id = name, sent.description, user
        info.creation_timestamp = info.last_updated_timestamp = _now()
        for tag in sent.tags:
            _tag(info, tag.key, tag.value)
        self.all[name] = Model(info)

    def _get_model(self, user: str, sent: Any, answer: Any) -> None:
        answer.registered_model.CopyFrom(self.model(user, sent.name).info)

    def _update_model(self, user: str, sent: Any, answer: Any) -> None:
        info = self.model(user, sent.name, "MANAGE").info
        info.description = sent.description
        answer.registered_model.CopyFrom(info)

    def _delete_model(self, user: str, sent: Any, answer: Any) -> None:
        self.model(user, sent.name, "MANAGE")
        del self.all[sent.name.lower()]

    def _search_models(self, user: str, sent: Any, answer: Any) -> None:
        seen = [one.info for name, one in sorted(self.all.items()) if self.catalog.has(user, name, "EXECUTE")]
        page, answer.next_page_token = self._page(seen, sent)
        for info in page:
            _bare(answer.registered_models.add(), info)

    def _set_model_tag(self, user: str, sent: Any, answer: Any) -> None:
        _tag(self.model(user, sent.name, "APPLY_TAG").info, sent.key, sent.value)

    def _delete_model_tag(self, user: str, sent: Any, answer: Any) -> None:
        _untag(self.model(user, sent.name, "APPLY_TAG").info, sent.key)

    def _set_alias(self, user: str, sent: Any, answer: Any) -> None:
        if not ALIAS.fullmatch(sent.alias):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid alias name: '{sent.alias}'")
        model = self.model(user, sent.name, "MANAGE")
        self.version(user, sent.name, sent.version)
        self._drop_alias(model, sent.alias)
        model.info.aliases.add(alias=sent.alias, version=sent.version)

    def _delete_alias(self, user: str, sent: Any, answer: Any) -> None:
        model = self.model(user, sent.name, "MANAGE")
        if not self._drop_alias(model, sent.alias):
            raise _no_alias(sent.name, sent.alias)

    def _get_by_alias(self, user: str, sent: Any, answer: Any) -> None:
        for one in self.model(user, sent.name).info.aliases:
            if one.alias == sent.alias:
                self._show(answer.model_version, sent.name, self.version(user, sent.name, one.version))
                return
        raise _no_alias(sent.name, sent.alias)

    def _create_version(self, user: str, sent: Any, answer: Any) -> None:
        model = self.model(user, sent.name, "CREATE_MODEL_VERSION")
        if not sent.source:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'source'.")
        number, model.next = str(model.next), model.next + 1
        made = answer.model_version
        made.name, made.version, made.user_id, made.source = model.info.name, number, user, sent.source
        made.run_id, made.model_id, made.description = sent.run_id, sent.model_id, sent.description
        made.run_tracking_server_id = sent.run_tracking_server_id
        made.status = _status("PENDING_REGISTRATION")
        made.storage_location = f"s3://metastore/__unitystorage/models/{model.info.name}/versions/{number}"
        made.creation_timestamp = made.last_updated_timestamp = _now()
        for tag in sent.tags:
            _tag(made, tag.key, tag.value)
        kept = type(made)()
        kept.CopyFrom(made)
        model.versions[number] = kept
        self._hidden[model.info.name, number] = self.listing_lag

    def _finalize(self, user: str, sent: Any, answer: Any) -> None:
        found = self.version(user, sent.name, sent.version, "CREATE_MODEL_VERSION")
        if found.status != _status("PENDING_REGISTRATION"):
            raise ApiError(400, "INVALID_STATE", f"Model version {sent.version} is not pending registration.")
        if (complaint := self.files.complaint(found)) is not None:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", complaint)
        found.status = _status("READY")
        found.last_updated_timestamp = _now()
        self._show(answer.model_version, sent.name, found)

    def _get_version(self, user: str, sent: Any, answer: Any) -> None:
        self._show(answer.model_version, sent.name, self.version(user, sent.name, sent.version))

    def _update_version(self, user: str, sent: Any, answer: Any) -> None:
        found = self.version(user, sent.name, sent.version, "MANAGE")
        found.description = sent.description
        self._show(answer.model_version, sent.name, found)

    def _delete_version(self, user: str, sent: Any, answer: Any) -> None:
        model = self.model(user, sent.name, "MANAGE")
        gone = self.version(user, sent.name, sent.version, "MANAGE")
        del model.versions[sent.version]
        for alias in [one.alias for one in model.info.aliases if one.version == gone.version]:
            self._drop_alias(model, alias)
        self.files.forget(gone)

    def _search_versions(self, user: str, sent: Any, answer: Any) -> None:
        asked = re.fullmatch(r"\s*name\s*=\s*'([^']+)'\s*", sent.filter)
        if asked is None:
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", f"Unsupported filter query : `{sent.filter}`. Only name = '...' is supported."
            )
        model = self.model(user, asked.group(1))
        shown = [one for one in model.versions.values() if self._listed(one)]
        page, answer.next_page_token = self._page(sorted(shown, key=lambda one: -int(one.version)), sent)
        for one in page:
            _bare(answer.model_versions.add(), one)

    def _listed(self, version: Any) -> bool:
        key = (version.name, version.version)
        left = self._hidden.get(key, 0)
        self._hidden[key] = max(left - 1, 0)
        return left == 0

    def _set_version_tag(self, user: str, sent: Any, answer: Any) -> None:
        _tag(self.version(user, sent.name, sent.version, "APPLY_TAG"), sent.key, sent.value)

    def _delete_version_tag(self, user: str, sent: Any, answer: Any) -> None:
        _untag(self.version(user, sent.name, sent.version, "APPLY_TAG"), sent.key)

    def _download_uri(self, user: str, sent: Any, answer: Any) -> None:
        answer.artifact_uri = self.version(user, sent.name, sent.version).storage_location

    def _credentials(self, user: str, sent: Any, answer: Any) -> None:
        from mlflow.protos.databricks_uc_registry_messages_pb2 import MODEL_VERSION_OPERATION_READ_WRITE, StorageMode

        writing = sent.operation == MODEL_VERSION_OPERATION_READ_WRITE
        found = self.version(user, sent.name, sent.version, "CREATE_MODEL_VERSION" if writing else "EXECUTE")
        if writing and found.status != _status("PENDING_REGISTRATION"):
            raise ApiError(400, "INVALID_STATE", "Files of a registered version cannot be written.")
        answer.credentials.storage_mode = StorageMode.DEFAULT_STORAGE
        answer.credentials.expiration_time = _now() + 3_600_000

    def _lineage(self, user: str, sent: Any, answer: Any) -> None:
        self.version(user, sent.name, sent.version)

    def _by_files_api(self, user: str, sent: Any, answer: Any) -> None:
        answer.is_databricks_sdk_models_artifact_repository_enabled = self.files.by_files_api

    def _show(self, place: Any, name: str, version: Any) -> None:
        place.CopyFrom(version)
        for one in self.all[name.lower()].info.aliases:
            if one.version == version.version:
                place.aliases.add(alias=one.alias, version=one.version)

    @staticmethod
    def _drop_alias(model: Model, alias: str) -> bool:
        kept = [one for one in model.info.aliases if one.alias != alias]
        dropped = len(kept) < len(model.info.aliases)
        del model.info.aliases[:]
        model.info.aliases.extend(kept)
        return dropped

    def _page(self, found: list[Any], sent: Any) -> tuple[list[Any], str]:
        start, size = int(sent.page_token or 0), min(sent.max_results or self.largest_page, self.largest_page)
        return found[start : start + size], str(start + size) if start + size < len(found) else ""


def _bare(place: Any, info: Message) -> None:
    """What a search shows: neither tags nor aliases."""
    place.CopyFrom(info)
    del place.tags[:]
    del place.aliases[:]


def _tag(place: Any, key: str, value: str) -> None:
    if not key or len(key) > 255 or NOT_IN_A_KEY & set(key) or key != key.strip():
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid tag key '{key}': it may not contain any of . , - = / :")
    if len(value) > 1000 or value != value.strip():
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid value of tag '{key}': 1000 characters, no spaces around it")
    _untag(place, key, missing=True)
    if len(place.tags) >= MOST_TAGS:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"An object can have {MOST_TAGS} tags at most.")
    place.tags.add(key=key, value=value)


def _untag(place: Any, key: str, *, missing: bool = False) -> None:
    kept = [one for one in place.tags if one.key != key]
    if len(kept) == len(place.tags) and not missing:
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Tag '{key}' does not exist.")
    del place.tags[:]
    place.tags.extend(kept)


def _status(name: str) -> int:
    from mlflow.protos.databricks_uc_registry_messages_pb2 import ModelVersionStatus

    return int(ModelVersionStatus.Value(name))


def _now() -> int:
    return int(time.time() * 1000)


def _no_alias(name: str, alias: str) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Alias '{alias}' does not exist for registered model '{name}'.")


def _no_model(request: Request) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Routine or Model '{request.query.get('name')}' does not exist.")


def _no_version(request: Request) -> ApiError:
    sent = request.query or json.loads(request.content or b"{}")
    said = f"Model version '{sent.get('name')}' version {sent.get('version')} does not exist."
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", said)
