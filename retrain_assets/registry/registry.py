"""The registry: which versions of a model exist, which bundle each one is, and which is champion. MLflow keeps it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from retrain_assets.bundle import verify_bundle
from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.registry.mlflow_store import connect
from retrain_assets.registry.packaging import BUNDLE_PATH, package

DIGEST_TAG = "bundle_digest"
"""Tag of a version with the digest of its bundle."""

HEAD_TAG = "retrain.ledger_head"
"""Tag of a version with the place in the ledger's chain of the last decision about it, ``SEQUENCE:HASH``."""

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model.

    Args:
        model: name of the model.
        version: number MLflow gave it, as a string.
        bundle: digest of its bundle.
        run_id: MLflow run of its candidate.
        tags: its tags.
        aliases: its aliases.
    """

    model: str
    version: str
    bundle: str
    run_id: str | None
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


class Registry:
    """Bundles in and out of an MLflow registry, by SQLite file, tracking server or any other URI MLflow takes.

    Args:
        tracking_uri: MLflow tracking and registry URI.
        artifact_root: where experiments made here keep artifacts; None leaves it to the tracking server.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root

    @staticmethod
    def of(home: Home) -> Registry:
        """The registry of a home: Unity Catalog where its registry URI says so, else the tracking server's own."""
        if home.registry_uri.startswith("databricks"):
            from retrain_assets.registry.unity_catalog import UnityCatalogRegistry

            return UnityCatalogRegistry(
                home.mlflow_uri,
                home.registry_uri,
                home.registry_schema,
                experiment_folder=home.experiment_folder,
                artifact_root=None if home.mlflow_uri.startswith("databricks") else home.mlflow_artifacts,
            )
        return Registry(home.mlflow_uri, home.mlflow_artifacts)

    def name_of(self, model: str) -> str:
        """The name a model has in the registry, which serving systems beside this product know it by."""
        return model

    def register(
        self,
        bundle_dir: Path,
        manifest: Mapping[str, Any],
        digest: str,
        *,
        metrics: Mapping[str, float | None] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Log a bundle and register it as a version with ``status=candidate``; the same bundle twice is one version.

        One experiment per model, one run per candidate, with parameters and metrics.

        Args:
            bundle_dir: the bundle's directory.
            manifest: its manifest as JSON.
            digest: its digest.
            metrics: numbers to log; None values are left out.
            tags: further tags of the version.

        Returns:
            The version.

        Raises:
            CustodyError: when the directory is not the bundle of that digest.
            RetrainError: when MLflow refuses.
        """
        verify_bundle(bundle_dir, digest)
        if (known := self.version_of(digest)) is not None:
            return known
        model, retrain = manifest["model"], manifest["retrain"]
        client = self._client()
        run_id = client.create_run(self._experiment(client, model), run_name=retrain, tags={"retrain": retrain}).info.run_id
        _log(client, run_id, manifest, metrics or {})
        logged = client.create_logged_model(
            self._experiment(client, model), name=model, source_run_id=run_id, tags={DIGEST_TAG: digest, "retrain": retrain}
        )
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "model"
            package(bundle_dir, manifest, digest, target, run_id=run_id, model_id=logged.model_id)
            client.log_model_artifacts(logged.model_id, str(target))
        client.finalize_logged_model(logged.model_id, "READY")
        client.set_terminated(run_id)
        self._ensure_model(client, model)
        version = client.create_model_version(
            model,
            source=logged.artifact_location,
            run_id=run_id,
            model_id=logged.model_id,
            tags={"status": "candidate", "retrain": retrain, **(tags or {}), DIGEST_TAG: digest},
        )
        return str(version.version)

    def download(self, model: str, version: str) -> Path:
        """The bundle directory of a version, its files and digest checked; do not write to it.

        Raises:
            CustodyError: when the bundle is not the one its tag names, or its files are gone.
            RegistryUnavailable: when the artifact store does not answer.
            RetrainError: when there is no such version.
        """
        import mlflow.artifacts
        from mlflow.exceptions import MlflowException

        found = self.version(model, version)
        source = self._client().get_model_version_download_uri(model, version)
        source = self._here(f"{source.rstrip('/')}/{BUNDLE_PATH}")
        place = urlsplit(source)
        if place.scheme == "file" and not Path(unquote(place.path)).exists():
            raise CustodyError(
                f"the bundle of {model} version {version} is gone", where=source, remedy="restore the artifacts from a backup"
            )
        try:
            directory = Path(mlflow.artifacts.download_artifacts(source, tracking_uri=self.tracking_uri))
        except (MlflowException, OSError) as error:
            raise RegistryUnavailable(
                f"the bundle of {model} version {version} cannot be read ({error})", where=source, remedy="try again later"
            ) from error
        verify_bundle(directory, found.bundle)
        return directory

    def _here(self, source: str) -> str:
        """Where the files of a registered place are now.

        MLflow keeps the folder a bundle was registered in. Of a home that was moved, copied or restored from a backup, that
        folder is gone or, worse, another home's; what lies at the same place below this registry's own folder is meant.
        """
        root = self.artifact_root.absolute() if self.artifact_root else None
        parts = Path(unquote(urlsplit(source).path)).parts
        if root is None or not source.startswith("file:") or parts[: len(root.parts)] == root.parts or root.name not in parts:
            return source
        after = len(parts) - parts[::-1].index(root.name)
        moved = root.joinpath(*parts[after:])
        return moved.as_uri() if moved.exists() else source

    def version(self, model: str, version: str) -> RegisteredVersion:
        """One version.

        Raises:
            RetrainError: when there is none of that number.
            CustodyError: when it was not registered by this product.
        """
        for found in self._all_versions(model):
            if str(found.version) == version:
                return _registered(found, self.aliases(model))
        raise RetrainError(f"{model} has no version {version}", where=self.tracking_uri, remedy="see retrain status")

    def version_of(self, digest: str) -> str | None:
        """The version registered with a bundle digest (which includes the model); None when there is none."""
        found = self._client().search_model_versions(f"tags.`{DIGEST_TAG}` = '{digest}'")
        return min((str(version.version) for version in found), key=int, default=None)

    def list_versions(self, model: str) -> list[RegisteredVersion]:
        """All versions of a model that this product registered, oldest first; empty when there are none.

        A team's own versions of a model of that name, of before it came here say, are left out.
        """
        aliases = self.aliases(model)
        found = [version for version in self._all_versions(model) if DIGEST_TAG in version.tags]
        return sorted((_registered(version, aliases) for version in found), key=lambda version: int(version.version))

    def _all_versions(self, model: str) -> list[Any]:
        return list(self._client().search_model_versions(f"name = '{model}'"))

    def champion(self, model: str) -> RegisteredVersion | None:
        """The version under the alias ``champion``; None when there is none."""
        alias = self.aliases(model).get(CHAMPION)
        return None if alias is None else self.version(model, alias)

    def aliases(self, model: str) -> dict[str, str]:
        """Version by alias; empty when the model is not registered."""
        found = self._client().search_registered_models(f"name = '{model}'")
        return {alias: str(version) for item in found for alias, version in item.aliases.items()}

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Point an alias at a version, or take it away (None). Doing it again changes nothing.

        An alias that somebody else set, on a version that this product did not register, is taken away from nobody: it moves
        when there is a version of ours to point at.

        Raises:
            RetrainError: when there is no such version.
            RegistryUnavailable: when the registry does not do it.
        """
        with self._answering():
            current = self.aliases(model).get(alias)
            if current == version:
                return
            if version is None:
                if current not in {known.version for known in self.list_versions(model)}:
                    return
                self._client().delete_registered_model_alias(model, alias)
                return
            self.version(model, version)
            self._client().set_registered_model_alias(model, alias, version)

    def tags(self, model: str, version: str) -> dict[str, str]:
        """The tags of a version.

        Raises:
            RetrainError: when there is no such version.
        """
        return dict(self.version(model, version).tags)

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version. Doing it again changes nothing.

        Raises:
            CustodyError: for another value of the bundle digest, which never changes.
            RetrainError: when there is no such version.
            RegistryUnavailable: when the registry does not do it.
        """
        with self._answering():
            self._set_tags(model, version, tags)

    def _set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        current = self.tags(model, version)
        if tags.get(DIGEST_TAG, current[DIGEST_TAG]) != current[DIGEST_TAG]:
            raise CustodyError("the bundle digest of a version never changes", where=f"{model} version {version}")
        for key, value in tags.items():
            if current.get(key) != value:
                self._client().set_model_version_tag(model, version, key, value)

    def carried_head(self, model: str, version: str) -> str | None:
        """The place in the ledger's chain that a version carries; None where it carries none.

        Raises:
            RegistryUnavailable: when the registry does not say.
            RetrainError: when there is no such version.
        """
        with self._answering():
            return self.tags(model, version).get(HEAD_TAG)

    def set_head(self, model: str, version: str, head: str) -> None:
        """Have a version carry a place in the ledger's chain. Doing it again changes nothing.

        Raises:
            RegistryUnavailable: when the registry does not do it.
            RetrainError: when there is no such version.
        """
        self.set_tags(model, version, {HEAD_TAG: head})

    def manifest(self, model: str, version: str) -> dict[str, Any]:
        """The manifest of a version as JSON, checked against its files and its digest.

        Raises:
            CustodyError: when the bundle is not the one its tag names.
            RetrainError: when there is no such version.
        """
        return verify_bundle(self.download(model, version)).to_json()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """A request that the registry refuses, or stops answering in the middle of, is one that does not answer."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise RegistryUnavailable(
                f"the registry does not do it ({first_line(error)})",
                where=self.tracking_uri,
                remedy="see that it runs and is whole",
            ) from error

    def _client(self) -> Any:
        return connect(self.tracking_uri)

    def _experiment(self, client: Any, model: str) -> str:
        from mlflow.exceptions import MlflowException

        if (found := client.get_experiment_by_name(model)) is not None:
            return str(found.experiment_id)
        location = (self.artifact_root / model).absolute().as_uri() if self.artifact_root else None
        try:
            return str(client.create_experiment(model, artifact_location=location))
        except MlflowException as error:
            if (found := client.get_experiment_by_name(model)) is not None:
                return str(found.experiment_id)
            raise RetrainError(f"no experiment {model} ({error})", where=self.tracking_uri) from error

    def _ensure_model(self, client: Any, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise RetrainError(f"model {model} cannot be registered ({error})", where=self.tracking_uri) from error


def _log(client: Any, run_id: str, manifest: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
    facts = {"estimator": manifest["estimator"], "seed": manifest["seed"], "calibration": manifest["calibration"]["kind"]}
    for name, value in {**facts, **{f"param.{key}": item for key, item in manifest["params"].items()}}.items():
        client.log_param(run_id, name, value)
    for name, value in manifest["window"].items():
        client.log_param(run_id, name, value)
    for name in ("dataset", "feature_pipeline"):
        client.set_tag(run_id, name, manifest[name])
    for name, number in metrics.items():
        if number is not None:
            client.log_metric(run_id, name, float(number))


def _registered(version: Any, aliases: Mapping[str, str]) -> RegisteredVersion:
    number, tags = str(version.version), dict(version.tags)
    if DIGEST_TAG not in tags:
        raise CustodyError(
            f"has no tag {DIGEST_TAG}",
            where=f"{version.name} version {number}",
            remedy="it was not registered by this product; retrain adopt makes a version of it that was",
        )
    own = tuple(sorted(alias for alias, target in aliases.items() if target == number))
    return RegisteredVersion(version.name, number, tags[DIGEST_TAG], version.run_id, tags, own)
