"""The facts of one run of a stage that its inputs do not determine: when, on which machine, with which packages and product."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import distributions
from time import perf_counter
from typing import Any

from retrain_assets import __version__
from retrain_assets.compute.code import product_digest
from retrain_assets.compute.machine import machine
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import digest_of


def with_run_facts(work: Callable[[], StageResult]) -> StageResult:
    """Do a stage's work and note the run beside its result: ``run`` with

    - ``started_at``, ``ended_at``: the machine's clock, ISO-8601 UTC; ``seconds`` by a clock that nobody sets.
    - ``machine``: as :func:`retrain_assets.compute.machine.machine` has it.
    - ``python``, ``platform``, ``product`` (version) and ``product_digest`` (of its source that decides what a stage computes).
    - ``installed``: every installed distribution with its version, and the digest of that list.
    """
    started, begin = datetime.now(UTC), perf_counter()
    result = work()
    seconds = perf_counter() - begin
    return replace(result, run={**_where(), **_when(started, seconds)})


def _when(started: datetime, seconds: float) -> dict[str, Any]:
    ended = datetime.now(UTC)
    return {"started_at": started.isoformat(), "ended_at": ended.isoformat(), "seconds": round(seconds, 3)}


def _where() -> dict[str, Any]:
    packages = installed()
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "product": __version__,
        "product_digest": product_digest(),
        "installed": {"digest": digest_of(packages), "packages": packages},
    }


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Version by name of every distribution this process can import, names as PyPI writes them (PEP 503), sorted."""
    found: dict[str, str] = {}
    for one in distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one.version)
    return dict(sorted(found.items()))
