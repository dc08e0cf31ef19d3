"""The registry in Unity Catalog: the same versions, aliases and tags by the means that catalog has.

Against MLflow's own store it lacks search by tag, tags and aliases in search results, dots in tag keys, and one step from nothing
to a version: a version is pending while its files are uploaded, and a listing may lag behind.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrain_assets.bundle import verify_bundle
from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError
from retrain_assets.registry.candidates import log_candidate
from retrain_assets.registry.packaging import BUNDLE_PATH
from retrain_assets.registry.registry import DIGEST_TAG, RegisteredVersion, Registry
from retrain_assets.registry.unity_catalog_tags import from_catalog, to_catalog
from retrain_assets.registry.unity_catalog_versions import READY, Versions
from retrain_assets.registry.workspace import Workspace, gone, says_missing

VISIBLE_SECONDS = 60
"""How long a new version may take to show in the catalog's answers."""

COPIES = 32
"""How many downloaded bundles a process keeps."""


class UnityCatalogRegistry(Registry):
    """Bundles in and out of Unity Catalog. Models have their three-level name there and the contract's name everywhere else.

    Args:
        tracking_uri: MLflow tracking URI, ``databricks`` or ``databricks://PROFILE``.
        registry_uri: MLflow registry URI, ``databricks-uc`` or ``databricks-uc://PROFILE``.
        schema: where models are registered, ``CATALOG.SCHEMA``.
        experiment_folder: workspace folder of the models' experiments.
        artifact_root: where experiments of a tracking server other than a workspace keep artifacts.
    """

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str,
        schema: str | None,
        *,
        experiment_folder: str = "/Shared/retrain",
        artifact_root: Path | None = None,
    ) -> None:
        super().__init__(tracking_uri, artifact_root)
        self.registry_uri = registry_uri
        self.schema = schema
        self.experiment_folder = experiment_folder
        self._workspace = Workspace(tracking_uri, registry_uri, schema)

    def name_of(self, model: str) -> str:
        """The three-level name."""
        return f"{self.schema}.{model}"

    def register(
        self,
        bundle_dir: Path,
        manifest: Mapping[str, Any],
        digest: str,
        *,
        metrics: Mapping[str, float | None] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Log a bundle and register it, as :meth:`Registry.register`.

        A version that an earlier try left unfinished is removed and made anew. Where two processes register the same bundle at
        the same time, the lower of the finished versions stays, and the process that is behind fails and finds it when run again.
        """
        verify_bundle(bundle_dir, digest)
        model, retrain = manifest["model"], manifest["retrain"]
        with self._answering():
            versions = self._versions(model)
            own = _of_bundle(versions, digest)
            for found in own:
                if found.status != READY:
                    versions.delete(found)
            if (known := _first_ready(own)) is not None:
                return known
            client = versions.client
            versions.ensure_model()
            experiment = self._experiment(client, model)
            logged = log_candidate(client, experiment, bundle_dir, manifest, digest, metrics or {}, tag=DIGEST_TAG)
            created = client.create_model_version(
                versions.name,
                source=logged.source,
                run_id=logged.run_id,
                model_id=logged.model_id,
                tags=to_catalog({"status": "candidate", "retrain": retrain, **(tags or {}), DIGEST_TAG: digest}),
            )
            return self._settled(versions, str(created.version), digest)

    def _settled(self, versions: Versions, version: str, digest: str) -> str:
        """The version, once the catalog shows it; an older one of the same bundle where another process was faster."""
        deadline, pause = time.monotonic() + VISIBLE_SECONDS, 0.1
        while True:
            own = _of_bundle(versions, digest)
            first = _first_ready(own)
            if first is not None and int(version) in versions.listed():
                break
            if time.monotonic() > deadline:
                remedy = "run the step again; the version is found then"
                raise RegistryUnavailable(
                    f"version {version} does not show within {VISIBLE_SECONDS} s", where=versions.name, remedy=remedy
                )
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        for found in own:
            is_mine, is_unfinished = str(found.version) == version, found.status != READY and int(found.version) < int(version)
            if is_unfinished or (is_mine and first != version):
                versions.delete(found)
        return first

    def download(self, model: str, version: str) -> Path:
        """The bundle directory of a version, as :meth:`Registry.download`; fetched anew each time, the last few copies stay."""
        import mlflow.artifacts
        from mlflow.exceptions import MlflowException

        found = self.version(model, version)
        source = f"models:/{self.name_of(model)}/{version}/{BUNDLE_PATH}"
        with self._answering():
            try:
                folder = mlflow.artifacts.download_artifacts(
                    source, dst_path=str(_new_copy()), tracking_uri=self.tracking_uri, registry_uri=self.registry_uri
                )
            except (MlflowException, OSError) as error:
                raise gone(model, version, source) if says_missing(error) else self._workspace.refusal(error) from error
        try:
            verify_bundle(Path(folder), found.bundle)
        except CustodyError as error:
            raise CustodyError(error.what, where=source, remedy=error.remedy) from error
        return Path(folder)

    def version(self, model: str, version: str) -> RegisteredVersion:
        """One version, as :meth:`Registry.version`."""
        with self._answering():
            found = self._versions(model).one(version)
        if found is None or found.status != READY:
            raise RetrainError(f"{model} has no version {version}", where=self.name_of(model), remedy="see retrain status")
        return self._registered(model, found)

    def version_of(self, digest: str) -> str | None:
        """The version registered with a bundle digest; every model of the schema is looked at, there is no search by tag."""
        with self._answering():
            self._workspace.client()
            catalog, schema = (self.schema or "").split(".")
            for model in self._workspace.sdk().registered_models.list(catalog_name=catalog, schema_name=schema):
                own = [one for one in self._versions(model.name).all() if one.tags.get(DIGEST_TAG) == digest]
                if (known := _first_ready(own)) is not None:
                    return known
        return None

    def list_versions(self, model: str) -> list[RegisteredVersion]:
        """All versions of a model, as :meth:`Registry.list_versions`; unfinished ones are left out."""
        with self._answering():
            found = [one for one in self._versions(model).all() if one.status == READY and DIGEST_TAG in from_catalog(one.tags)]
        return [self._registered(model, one) for one in found]

    def aliases(self, model: str) -> dict[str, str]:
        """Version by alias, as :meth:`Registry.aliases`."""
        with self._answering():
            return self._versions(model).aliases()

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Point an alias at a version, or take it away, as :meth:`Registry.set_alias`."""
        with self._answering():
            versions = self._versions(model)
            if (current := versions.aliases().get(alias)) == version:
                return
            if version is None:
                if current not in {known.version for known in self.list_versions(model)}:
                    return
                versions.delete_alias(alias)
                return
            self.version(model, version)
            versions.client.set_registered_model_alias(versions.name, alias, version)

    def _set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        current = self.tags(model, version)
        if tags.get(DIGEST_TAG, current[DIGEST_TAG]) != current[DIGEST_TAG]:
            raise CustodyError("the bundle digest of a version never changes", where=f"{model} version {version}")
        client, standing = self._client(), to_catalog(current)
        for key, value in to_catalog(tags).items():
            if standing.get(key) != value:
                client.set_model_version_tag(self.name_of(model), version, key, value)

    def _registered(self, model: str, found: Any) -> RegisteredVersion:
        number, tags = str(found.version), from_catalog(found.tags)
        if DIGEST_TAG not in tags:
            raise CustodyError(
                f"has no tag {DIGEST_TAG}",
                where=f"{found.name} version {number}",
                remedy="it was not registered by this product; retrain adopt makes a version of it that was",
            )
        return RegisteredVersion(model, number, tags[DIGEST_TAG], found.run_id or None, tags, tuple(sorted(found.aliases)))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with self._workspace.answering():
            yield

    def _client(self) -> Any:
        return self._workspace.client()

    def _versions(self, model: str) -> Versions:
        return Versions(self._client(), self.name_of(model))

    def _experiment(self, client: Any, model: str) -> str:
        """The experiment of a model; on Databricks its name is a path in the workspace, whose folder is made."""
        if not self.tracking_uri.startswith("databricks"):
            return super()._experiment(client, model)
        name = f"{self.experiment_folder}/{model}"
        if (found := client.get_experiment_by_name(name)) is None:
            self._workspace.sdk().workspace.mkdirs(self.experiment_folder)
        return str(found.experiment_id) if found else super()._experiment(client, name)


def _of_bundle(versions: Versions, digest: str) -> list[Any]:
    return [found for found in versions.all(beyond=True) if found.tags.get(DIGEST_TAG) == digest]


def _first_ready(found: Sequence[Any]) -> str | None:
    return min((str(one.version) for one in found if one.status == READY), key=int, default=None)


def _new_copy() -> Path:
    """An empty folder; it goes with the process, or when many more were made."""
    if not _COPIES:
        atexit.register(_drop_copies, 0)
    _COPIES.append(Path(tempfile.mkdtemp(prefix="retrain-bundle-")))
    _drop_copies(COPIES)
    return _COPIES[-1]


def _drop_copies(kept: int) -> None:
    while len(_COPIES) > kept:
        shutil.rmtree(_COPIES.popleft(), ignore_errors=True)


_COPIES: deque[Path] = deque()
