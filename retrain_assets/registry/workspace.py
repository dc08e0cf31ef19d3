"""Reaching the Databricks workspace that the registry is in: which settings say where it is, and what its refusals mean."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError, first_line
from retrain_assets.registry.mlflow_store import connect

FIRST_ANSWER_SECONDS = 20
"""How long the workspace may take to answer at all; a wrong host does not answer."""

PRIVILEGES = "USE CATALOG, USE SCHEMA, CREATE MODEL, EXECUTE and APPLY TAG"

CREDENTIALS = ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET")
"""Environment variables that say who calls."""

_SCHEMA = re.compile(r"[^.\s/]+\.[^.\s/]+")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's MLflow and the schema of its Unity Catalog that models are registered in.

    Args:
        tracking_uri: MLflow tracking URI, ``databricks`` or ``databricks://PROFILE``.
        registry_uri: MLflow registry URI, ``databricks-uc`` or ``databricks-uc://PROFILE``.
        schema: ``CATALOG.SCHEMA``; None where none is set.
    """

    tracking_uri: str
    registry_uri: str
    schema: str | None

    @property
    def profile(self) -> str | None:
        """The profile of ``~/.databrickscfg`` that the URI names."""
        return self.registry_uri.partition("://")[2] or None

    def client(self) -> Any:
        """An ``MlflowClient``; the first one of a process asks for the schema, so that a wrong setting has its own line.

        Raises:
            RegistryUnavailable: when a setting is missing or wrong, or the workspace does not answer.
        """
        if self.registry_uri.partition("://")[0] != "databricks-uc":
            raise _setting(
                f"MLFLOW_REGISTRY_URI={self.registry_uri}",
                "models are registered in Unity Catalog only",
                "set it to databricks-uc",
            )
        if self.schema is None or not _SCHEMA.fullmatch(self.schema):
            said = "is not CATALOG.SCHEMA" if self.schema else "is not set"
            raise _setting(
                f"RETRAIN_REGISTRY_SCHEMA{f'={self.schema}' if self.schema else ''}",
                f"{said}, and models in Unity Catalog have three levels",
                "set it to the schema that models are registered in, such as main.models",
            )
        if self.profile:
            # MLflow's artifact clients know no profile but this one.
            os.environ.setdefault("DATABRICKS_CONFIG_PROFILE", self.profile)
        credentials = "\n".join(os.environ.get(name, "") for name in CREDENTIALS)
        _reach(self.profile, self.schema, os.environ.get("DATABRICKS_HOST"), hashlib.sha256(credentials.encode()).hexdigest())
        return connect(self.tracking_uri, self.registry_uri)

    def sdk(self) -> Any:
        """A ``WorkspaceClient`` of the same workspace."""
        from databricks.sdk import WorkspaceClient

        return WorkspaceClient(profile=self.profile) if self.profile else WorkspaceClient()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """What the workspace refuses, or does not answer, is told in one line that names the setting it is about."""
        import requests
        from databricks.sdk.errors.base import DatabricksError
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, DatabricksError, requests.RequestException, OSError) as error:
            raise self.refusal(error) from error

    def refusal(self, error: BaseException) -> RetrainError:
        """The line for an error of MLflow, of the SDK or of the network."""
        text, code = _said(error), str(getattr(error, "error_code", "") or "")
        where = f"{self.registry_uri} {self.schema}"
        if code == "UNAUTHENTICATED" or _about_token(text):
            return _token(text)
        if code == "PERMISSION_DENIED":
            remedy = f"the caller needs {PRIVILEGES} on RETRAIN_REGISTRY_SCHEMA={self.schema} and edit rights on the experiment"
            return RegistryUnavailable(f"the workspace refuses it ({text})", where=where, remedy=remedy)
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            return RegistryUnavailable(f"it is not there ({text})", where=where, remedy="see the model in Catalog Explorer")
        return RegistryUnavailable(
            f"the registry does not do it ({text})", where=where, remedy="see that the workspace runs, and try again"
        )


@lru_cache(maxsize=8)
def _reach(profile: str | None, schema: str, host: str | None, credentials: str) -> None:
    """Ask for the schema: host, token, catalog, schema and the right to use it are told apart by the answer."""
    import requests
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config
    from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated
    from databricks.sdk.errors.base import DatabricksError

    setting = f"profile {profile}" if profile else "DATABRICKS_HOST"
    patience: dict[str, Any] = {"retry_timeout_seconds": FIRST_ANSWER_SECONDS, "http_timeout_seconds": FIRST_ANSWER_SECONDS}
    try:
        if host and not profile:
            # Whoever is there answers somehow; asking for an OAuth token, the SDK would try a wrong host for minutes.
            requests.head(host if "://" in host else f"https://{host}", timeout=FIRST_ANSWER_SECONDS, allow_redirects=False)
        config = Config(profile=profile, **patience) if profile else Config(**patience)
    except requests.RequestException as error:
        raise _no_workspace(f"{setting}={host}", error) from error
    except ValueError as error:
        if _about_token(_said(error)):
            raise _token(_said(error)) from error
        raise _setting(
            setting,
            f"nothing says which workspace this is ({_said(error)})",
            "set DATABRICKS_HOST and DATABRICKS_TOKEN (or DATABRICKS_CLIENT_ID and _SECRET), or name a profile: MLFLOW_TRACKING_URI=databricks://PROFILE",
        ) from error
    named = f"RETRAIN_REGISTRY_SCHEMA={schema}"
    try:
        WorkspaceClient(config=config).schemas.get(schema)
    except Unauthenticated as error:
        raise _token(_said(error)) from error
    except NotFound as error:
        raise _setting(named, f"there is no such schema ({_said(error)})", "create it, or name another") from error
    except PermissionDenied as error:
        if _about_token(_said(error)):
            raise _token(_said(error)) from error
        raise _setting(named, f"it may not be used ({_said(error)})", f"grant the caller {PRIVILEGES} on it") from error
    except (DatabricksError, requests.RequestException, OSError, ValueError) as error:
        if _about_token(_said(error)):
            raise _token(_said(error)) from error
        raise _no_workspace(setting if profile else f"{setting}={config.host}", error) from error


def _no_workspace(where: str, error: BaseException) -> RegistryUnavailable:
    return _setting(
        where,
        f"does not answer as a Databricks workspace ({_said(error)})",
        "set it to the address of the workspace, such as https://adb-1234567890.7.azuredatabricks.net",
    )


def _said(error: BaseException) -> str:
    """What an error says, without the settings that the SDK adds to it."""
    return first_line(error).partition(". Config: ")[0]


def _about_token(text: str) -> bool:
    return bool(re.search(r"access token|token is expired|credential was not sent|invalid_client", text, re.IGNORECASE))


def _setting(where: str, what: str, remedy: str) -> RegistryUnavailable:
    return RegistryUnavailable(what, where=where, remedy=remedy)


def _token(said: str) -> RegistryUnavailable:
    return _setting(
        next((name for name in CREDENTIALS if os.environ.get(name)), "the profile"),
        f"the workspace does not accept the credentials ({said})",
        "set a token that has not expired, or the credentials of the service principal",
    )


def says_missing(error: BaseException) -> bool:
    """Whether the workspace says that files are not there, whichever client of MLflow asked."""
    return any(word in str(error) for word in ("NOT_FOUND", "RESOURCE_DOES_NOT_EXIST", "404", "does not exist"))


def gone(model: str, version: str, where: str) -> CustodyError:
    """The files of a version are not there."""
    return CustodyError(
        f"the bundle of {model} version {version} is gone", where=where, remedy="restore the model version, or register it again"
    )
