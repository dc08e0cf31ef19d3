"""What the browser tests share: a real Chromium, and the real Dagster webserver on a home."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHECKOUT = Path(__file__).resolve().parents[1]
STARTS_WITHIN_S = 120


def chromium() -> str:
    """Path of the browser; without one the test is skipped, and fails under CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (path := shutil.which(name)) is not None:
            return path
    absent = "no Chromium on the PATH; install it to run the browser tests"
    if os.environ.get("CI") == "true":
        pytest.fail(absent)
    pytest.skip(absent)


@contextmanager
def page_of_chromium(width: int = 1700, height: int = 1000, **context: Any) -> Iterator[Page]:
    """A page of a real Chromium; ``context`` as Playwright's ``new_page`` takes it."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        opened = browser.new_page(viewport={"width": width, "height": height}, **context)
        opened.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield opened
        browser.close()


@contextmanager
def webserver_on(root: Path, location: str) -> Iterator[str]:
    """The address of a Dagster webserver that shows a home.

    Args:
        root: the home.
        location: Python module of the code location.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-m", location]
    environment = {**os.environ, "RETRAIN_HOME": str(root), "DAGSTER_HOME": str(root / "dagster"), "PYTHONPATH": str(CHECKOUT)}
    log = (root / "webserver.log").open("w")
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=root, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/server_info", process, root / "webserver.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the webserver did not answer: {log.read_text()[-2000:]}")
