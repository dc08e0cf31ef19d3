"""The process of one task: its command and environment, its output while it comes, and its end with all that it started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from databricks.sdk.service.jobs import Task

from .faults import DuringTask

if TYPE_CHECKING:
    from .workspace import Workspace

TRACE = "Traceback (most recent call last):"


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, everything it printed, and the error it told."""

    code: int
    logs: str
    error: str | None
    trace: str | None


class TaskProcess:
    """A task that runs as a process of its own in a scratch directory."""

    def __init__(
        self,
        workspace: Workspace,
        command: Sequence[str],
        environment: Mapping[str, str],
        scratch: Path,
        delivered: Path | None,
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._workspace = workspace
        self._printed: list[str] = []
        self._delivered = delivered
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=scratch,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._readers = [self._reader(self._process.stdout, "stdout"), self._reader(self._process.stderr, "stderr")]

    def poll(self, seconds: float) -> bool:
        """Whether the process has ended; waits this long for it."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process and all that it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def ended(self) -> Ended:
        """Its end; whatever it left behind ends too."""
        self._process.wait()
        self.kill()
        for reader in self._readers:
            reader.join(timeout=5)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        logs = "".join(self._printed)
        code = self._process.returncode
        error, trace = _told(logs, code)
        return Ended(code, logs, error, trace)

    def is_time_for(self, fault: DuringTask) -> bool:
        """Whether the moment has come that a fault waits for."""
        if fault.printed is not None:
            return any(fault.printed in line for line in list(self._printed))
        if fault.written is not None:
            inside = fault.written.removeprefix("/Volumes/")
            return any(self._workspace.root.glob(inside))
        return time.monotonic() - self._began >= fault.seconds

    def _reader(self, stream: IO[str] | None, name: str) -> threading.Thread:
        def read() -> None:
            for line in stream or ():
                self._printed.append(line)
                if self._delivered is not None:
                    self._delivered.mkdir(parents=True, exist_ok=True)
                    with (self._delivered / name).open("a") as file:
                        file.write(line)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


def command_of(workspace: Workspace, task: Task) -> list[str]:
    """The command line of a Python task."""
    if task.python_wheel_task is not None:
        wheel = task.python_wheel_task
        named = [f"--{name}={value}" for name, value in (wheel.named_parameters or {}).items()]
        launcher = str(workspace.runtime / "launcher.py")
        return [sys.executable, "-P", launcher, wheel.package_name, wheel.entry_point, *(wheel.parameters or []), *named]
    if task.spark_python_task is not None:
        return [
            sys.executable,
            str(workspace.path(task.spark_python_task.python_file)),
            *(task.spark_python_task.parameters or []),
        ]
    raise ValueError(f"task {task.task_key} is of a kind that is not emulated")


def environment_of(
    workspace: Workspace,
    cluster_environment: Mapping[str, str],
    wheels: Sequence[Path],
    scratch: Path,
    spark_settings: Path,
    token: str,
) -> dict[str, str]:
    """What a process sees on a Databricks node, and nothing of the process that the workspace runs in."""
    runtime = {} if workspace.runtime_version is None else {"DATABRICKS_RUNTIME_VERSION": workspace.runtime_version}
    return {
        **workspace.passed_on(),
        "HOME": str(scratch),
        "SPARK_CONF_DIR": str(spark_settings),
        "TMPDIR": str(scratch),
        "DO_NOT_TRACK": "true",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([*map(str, wheels), str(workspace.runtime)]),
        "PYSPARK_PYTHON": sys.executable,
        **runtime,
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_TOKEN": token,
        "RETRAIN_VOLUMES": str(workspace.root),
        "WORKSPACE_VOLUMES": str(workspace.root),
        "WORKSPACE_DBFS": str(workspace.dbfs),
        **workspace.task_environment,
        **cluster_environment,
    }


def _told(logs: str, code: int) -> tuple[str | None, str | None]:
    """The error and its trace, as get-output gives them."""
    if code == 0:
        return None, None
    if code < 0:
        name = signal.Signals(-code).name
        return f"The Python process exited with exit code {128 - code} ({name}: Killed).", None
    begin = logs.rfind(TRACE)
    if begin < 0 or code != 1:
        return f"SystemExit: {code}", None
    trace = logs[begin:]
    raised = re.findall(r"^(?:[\w.]+(?:Error|Exception|Exit|Interrupt|Warning|Refused)\b.*|[\w.]+: .+)$", trace, re.MULTILINE)
    return (raised[-1] if raised else f"SystemExit: {code}"), trace
