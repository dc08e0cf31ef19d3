"""The workspace: its address, token, volumes and routes, what it was asked, and what it is to do wrong."""

from __future__ import annotations

import importlib
import os
import pkgutil
import secrets
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config

from .faults import Asked, Fault, Faults
from .machines import ClusterStart
from .routes import Routes
from .server import serve
from .volumes import Volume, Volumes

PACKAGE = __package__ or ""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "JAVA_HOME", "JDK_JAVA_OPTIONS", "CI")


class Workspace:
    """A Databricks workspace below a folder of this machine; use it as a context manager.

    Args:
        folder: where volumes, DBFS, logs and the scratch directories of tasks are.
        runtime_version: what tasks see as DATABRICKS_RUNTIME_VERSION; None leaves it out.
        wheels: where wheels are unpacked, each in a folder named by its digest, so that workspaces can share them; None: below
            the workspace's folder.

    Attributes:
        url: address of the workspace. token: a personal access token that it takes.
        root: folder that volumes are mounted at (RETRAIN_VOLUMES); ``/Volumes/a/b/c`` is ``root/a/b/c``.
        dbfs: folder that DBFS is mounted at.
        requests: method and path of every request so far, tasks' own requests included.
        answers: the last answer of each route (method and pattern): type and JSON object.
        errors: what went wrong in the workspace itself; leaving it raises the first.
        environment: what a process needs in its environment to speak to the workspace and see its volumes.
        task_environment: what tasks get on top of a runtime's environment.
        parts: state of each API by name (``jobs``, ``clusters``, ``secrets``, ...).
        tokens: every valid token and who it belongs to.
    """

    user = "engineer@example.com"
    workspace_id = 1234567890123456

    def __init__(self, folder: Path, *, runtime_version: str | None = "17.3", wheels: Path | None = None) -> None:
        self.folder = folder
        self.wheels = wheels or folder / "wheels"
        self.root = folder / "Volumes"
        self.dbfs = folder / "dbfs"
        self.runtime_version = runtime_version
        self.token = f"dapi{secrets.token_hex(16)}"
        self.tokens: dict[str, str] = {self.token: self.user}
        self.requests: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], tuple[type, dict[str, Any]]] = {}
        self.errors: list[BaseException] = []
        self.task_environment: dict[str, str] = {}
        self.faults = Faults()
        self.routes = Routes()
        self.volumes = Volumes(self.root)
        self.parts: dict[str, Any] = {}
        self.closing = threading.Event()
        for place in (self.root, self.dbfs):
            place.mkdir(parents=True, exist_ok=True)
        self.runtime = folder / "runtime"
        shutil.copytree(Path(__file__).parent / "runtime", self.runtime, dirs_exist_ok=True)
        for name in sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])):
            if not name.startswith("test_") and name not in ("conftest", "fixtures"):
                register = getattr(importlib.import_module(f"{PACKAGE}.{name}"), "register", None)
                if register is not None:
                    register(self)

    def __enter__(self) -> Workspace:
        self._server = serve(self)
        self.url = self._server.url
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        for name in sorted(self.parts, key=lambda name: name != "runs"):
            close = getattr(self.parts[name], "close", None)
            if close is not None:
                close()
        self._server.close()
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        if self.errors and exception[0] is None:
            raise self.errors[0]

    def client(self, **settings: Any) -> WorkspaceClient:
        """A real client; settings are those of the SDK's Config, such as ``client_id`` or ``retry_timeout_seconds``."""
        own = {"auth_type": "oauth-m2m"} if "client_id" in settings else {"token": self.token, "auth_type": "pat"}
        return WorkspaceClient(config=Config(**{"host": self.url, **own, **settings}))

    @property
    def environment(self) -> dict[str, str]:
        """What an orchestrator's process needs: host, token and where the volumes are mounted here."""
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": self.token, "RETRAIN_VOLUMES": str(self.root)}

    def passed_on(self) -> dict[str, str]:
        """The little of this process's environment that a task sees."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def misbehave(self, fault: Fault, *, on: str = "*", times: int = 1, after: int = 0) -> Asked:
        """Ask for a fault: ``on`` what (see faults), how many ``times``, ``after`` how many that pass unharmed."""
        return self.faults.ask(fault, on=on, times=times, after=after)

    def add_volume(self, name: str, *, permissions: Mapping[str, set[str]] | None = None) -> Volume:
        """Make a volume such as ``main.retrain.state``.

        Permissions are those of each user (READ_VOLUME, WRITE_VOLUME); None: everybody has both.
        """
        return self.volumes.add(name, permissions=permissions)

    def path(self, uri: str) -> Path:
        """Where a place such as ``/Volumes/main/retrain/state/x`` or ``dbfs:/x`` is on this machine."""
        if uri.startswith("/Volumes/"):
            return self.root / uri.removeprefix("/Volumes/")
        if uri.startswith(("dbfs:/", "/dbfs/")):
            inside = uri.removeprefix("dbfs:").removeprefix("/dbfs").lstrip("/")
            return self.root / inside.removeprefix("Volumes/") if inside.startswith("Volumes/") else self.dbfs / inside
        return self.folder / "Workspace" / uri.removeprefix("/Workspace").lstrip("/")

    def count(self, method: str, path: str) -> int:
        """How often a method and path were asked for."""
        return self.requests.count((method, path))

    @property
    def cluster_starts(self) -> list[ClusterStart]:
        """Every start of a cluster so far: which, for which run and job cluster key."""
        starts: list[ClusterStart] = self.parts["clusters"].starts
        return starts
