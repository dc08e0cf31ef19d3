"""What machine a stage runs on, as far as the system tells: processor, cores, memory, accelerators. Nothing that names it."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from retrain_assets.compute.side_by_side import usable_cores

_PROCESSORS = Path("/proc/cpuinfo")
_ACCELERATORS = Path("/proc/driver/nvidia/gpus")
_MODEL_LINES = ("model name", "Model", "cpu model")
"""Lines of cpuinfo that name the processor; which of them there is depends on the architecture."""


@lru_cache(maxsize=1)
def machine() -> dict[str, Any]:
    """``cpu`` (model), ``architecture``, ``cores``, ``usable_cores`` (of this process), ``memory_mb``, ``accelerators`` (models;
    empty where none is there). None where the system does not tell. No host name, no address."""
    return {
        "cpu": _cpu(),
        "architecture": platform.machine() or None,
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_mb": _memory_mb(),
        "accelerators": _accelerators(),
    }


def _cpu() -> str | None:
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:
        return platform.processor() or None
    named = dict(reversed([(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]))
    return next((named[name] for name in _MODEL_LINES if named.get(name)), platform.processor() or None)


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, OSError, ValueError):
        return None


def _accelerators() -> list[str]:
    """Models of the NVIDIA devices whose driver is loaded; others are not looked for, as no estimator here uses them."""
    try:
        told = [(one / "information").read_text() for one in sorted(_ACCELERATORS.iterdir())]
    except OSError:
        return []
    lines = [line.partition(":") for text in told for line in text.splitlines()]
    return [value.strip() for name, _, value in lines if name.strip() == "Model"]
