"""Tests that are coroutines run on asyncio; a home with a canary, made once a session and copied."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
