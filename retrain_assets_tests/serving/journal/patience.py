"""Waiting for what another thread does, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_SECONDS = 30


def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


async def until_then(true: Callable[[], bool]) -> None:
    """As :func:`until`, while the event loop goes on."""
    await asyncio.to_thread(until, true)
