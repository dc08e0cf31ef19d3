"""Peers of benchmarks and of the study: each has pinned requirements, an environment of its own, and scripts that run in it.

The scripts import nothing of this project: they read Parquet or NumPy files, do the peer's work once, and print JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrain_assets.home import Home

HERE = Path(__file__).parent
NO_TELEMETRY = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
"""Environment in which neither peer calls home."""
TIME_LIMIT_S = 900.0
"""Longest time for making an environment, and for one run of a peer."""


class PeerMissing(Exception):
    """A peer could not be installed or run; the text says why."""


def run_peer(name: str, arguments: Sequence[str], *, script: str = "drift") -> dict[str, Any]:
    """What a peer's script printed.

    Args:
        name: ``evidently``, ``nannyml``, ``gbstats`` or ``spotify_confidence``: its requirements are in ``NAME.txt``.
        arguments: of the script.
        script: which of its scripts, ``NAME_SCRIPT.py``.

    Raises:
        PeerMissing: when its environment cannot be made or the script fails.
    """
    python = _environment(name)
    answer = _run([str(python), str(HERE / f"{name}_{script}.py"), *arguments], f"{name} failed")
    found: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return found


def _environment(name: str) -> Path:
    """The Python of the peer's environment, below RETRAIN_HOME, made on first use."""
    requirements = HERE / f"{name}.txt"
    version = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = Home.from_environment().root.absolute() / "peers" / f"{name}-{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    why = f"{name} could not be installed"
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], why)
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)], why)
    else:
        _run([sys.executable, "-m", "venv", str(folder)], why)
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], why)
    ready.touch()
    return python


def _run(command: list[str], why: str) -> str:
    environment = {**os.environ, **NO_TELEMETRY}
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIME_LIMIT_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{why}: no answer in {TIME_LIMIT_S:.0f} s") from error
    except (subprocess.CalledProcessError, OSError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise PeerMissing(f"{why}: {lines[-1] if lines else type(error).__name__}") from error
    return done.stdout
