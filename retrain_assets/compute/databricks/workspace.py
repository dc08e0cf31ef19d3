"""The workspace that the environment names, and what its refusals mean in one line."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from retrain_assets import __version__
from retrain_assets.contract import StageError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

Answer = TypeVar("Answer")
Subject = Literal["workspace", "volume", "job", "cluster"]

SECONDS_OF_RETRIES = 120
"""How long the SDK itself repeats one call that was throttled or lost its connection."""

TRIES = 6
"""How often a call is made that a fault of the platform answered, pauses doubling from half a second."""

TRIES_OF_A_LOOK = 24
"""The same for looks at a run, which goes on meanwhile: about three minutes of faults."""

_GRANTS = {
    "workspace": "give the identity access to the workspace",
    "volume": "grant it READ VOLUME and WRITE VOLUME there, USE SCHEMA and USE CATALOG above it",
    "job": "give it CAN MANAGE on the job; to make jobs with their own clusters it needs cluster creation or a policy",
    "cluster": "give it CAN ATTACH TO on the cluster",
}


def connect() -> WorkspaceClient:
    """A client of the workspace that ``DATABRICKS_HOST`` and the credentials beside it name.

    Raises:
        StageError: when host or credentials are missing, or nothing answers at that host.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    try:
        config = Config(retry_timeout_seconds=SECONDS_OF_RETRIES, product="retrain-assets", product_version=__version__)
    except ValueError as error:
        raise StageError(
            f"host or credentials of Databricks are missing or do not fit ({_short(error)})",
            where="environment",
            remedy="set DATABRICKS_HOST with DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, or DATABRICKS_TOKEN",
        ) from error
    _reach(str(config.host))
    return WorkspaceClient(config=config)


def patiently(call: Callable[[], Answer], tries: int = TRIES) -> Answer:
    """What a call answers, made again while the platform answers it with a fault of its own. For calls that may be repeated."""
    from databricks.sdk.errors import DeadlineExceeded, InternalError, TemporarilyUnavailable, TooManyRequests
    from requests import ConnectionError as Dropped
    from requests.exceptions import ChunkedEncodingError

    transient = (InternalError, TemporarilyUnavailable, DeadlineExceeded, TooManyRequests, Dropped, ChunkedEncodingError)
    for attempt in range(tries - 1):
        try:
            return call()
        except transient:
            sleep(min(8.0, 0.5 * 2**attempt))
    return call()


@contextmanager
def asking(subject: Subject, where: str) -> Iterator[None]:
    """Calls of the workspace, whose refusals become errors that name the setting.

    Args:
        subject: what is asked for; says which privilege may be missing.
        where: the place or object as a person knows it.

    Raises:
        StageError: for everything the workspace refuses or does not answer.
    """
    from databricks.sdk.errors import InvalidParameterValue, NotFound, PermissionDenied, Unauthenticated
    from databricks.sdk.errors.base import DatabricksError
    from requests import RequestException

    try:
        yield
    except Unauthenticated as error:
        raise _token(error) from error
    except PermissionDenied as error:
        if "token" in _short(error).lower():
            raise _token(error) from error
        raise StageError(
            f"the identity of the orchestrator may not do this ({_short(error)})", where=where, remedy=_GRANTS[subject]
        ) from error
    except NotFound as error:
        raise StageError(f"is not there ({_short(error)})", where=where, remedy=_missing(subject)) from error
    except InvalidParameterValue as error:
        remedy = _missing(subject) if "does not exist" in _short(error) else "correct compute.databricks"
        raise StageError(f"Databricks refuses this ({_short(error)})", where=where, remedy=remedy) from error
    except ValueError as error:
        raise StageError(
            f"the host answers, but not as a Databricks workspace ({_short(error)})",
            where=f"DATABRICKS_HOST {os.environ.get('DATABRICKS_HOST', '')}",
            remedy="write the workspace's own URL, such as https://adb-123.4.azuredatabricks.net",
        ) from error
    except (DatabricksError, RequestException, TimeoutError) as error:
        raise StageError(
            f"Databricks does not answer as it should ({_short(error)})",
            where=where,
            remedy="look at the workspace's status page, then launch the stage again: what was done is kept",
        ) from error


def _token(error: BaseException) -> StageError:
    return StageError(
        f"the workspace does not accept the credentials: expired, revoked or of another workspace ({_short(error)})",
        where="DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET",
        remedy="put valid ones into the environment and launch again: what runs there is found again",
    )


def _missing(subject: Subject) -> str:
    if subject == "volume":
        return "create the volume or correct compute.databricks.volume"
    if subject == "job":
        return "correct compute.databricks.job, or remove it and the job is made"
    return "correct DATABRICKS_HOST and compute.databricks"


def _reach(host: str) -> None:
    """Refuse a host where nobody answers, before the SDK waits for it for minutes. Behind a proxy the proxy knows."""
    from requests.utils import get_environ_proxies

    if get_environ_proxies(host):
        return
    parts = urlsplit(host)
    place = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    problem: Any = None
    for attempt in range(3):
        try:
            with socket.create_connection(place, timeout=10):
                return
        except OSError as error:
            problem = error
            sleep(0.3 * attempt)
    raise StageError(
        f"no workspace answers there ({_short(problem)})",
        where=f"DATABRICKS_HOST {host}",
        remedy="write the workspace's own URL, such as https://adb-123.4.azuredatabricks.net, and check network and firewall",
    )


def _short(error: BaseException) -> str:
    """The first line of what an error says, without the SDK's account of its configuration."""
    return str(error).strip().partition("\n")[0].partition(" Config:")[0][:200] or type(error).__name__
