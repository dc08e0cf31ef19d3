"""What a person sees in the Dagster UI, read in a real browser from the real webserver."""

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
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets.replay.engine import persistent_instance
from retrain_assets_tests.scenarios.story import Story, copy_home
from retrain_assets_tests.simulation import contract_with

pytestmark = pytest.mark.browser

CHECKOUT = Path(__file__).resolve().parents[2]
LEAKY = "2024-03-02"
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


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory, evaluated_home: Path) -> Iterator[str]:
    """The webserver on a home where one retrain passed its offline gates and one was stopped by its leak."""
    root = tmp_path_factory.mktemp("ui") / "home"
    copy_home(evaluated_home, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_HOME", str(root))
        with persistent_instance(Home(root)) as instance:
            story = Story(Home(root), instance)
            story.retrain(LEAKY, contract_with(features="retrain_assets_tests.simulation.features.build_with_leak"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-m", "retrain_assets_tests.simulation.location"]
    environment = {**os.environ, "RETRAIN_HOME": str(root), "DAGSTER_HOME": str(root / "dagster"), "PYTHONPATH": str(CHECKOUT)}
    log = (root / "webserver.log").open("w")
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=root, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/server_info", process, root / "webserver.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the webserver did not answer: {log.read_text()[-2000:]}")


def test_a_stopped_retrain_says_why_without_opening_a_log(webserver: str) -> None:
    """Graph, partition and failed check of a leaky retrain, with the rule, the feature's name and who owns the gate."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1700, "height": 1000})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

        page.goto(f"{webserver}/locations/retrain_assets_tests.simulation.location/asset-groups/churn")
        for asset in ("dataset", "feature_snapshot", "candidate_model", "canary_report", "promotion_decision", "audit_record"):
            expect(page.get_by_text(asset, exact=True).first).to_be_visible()

        page.goto(f"{webserver}/assets/churn/feature_snapshot?view=checks&checkDetail=features_are_known_in_time")
        expect(page.get_by_text("values known only after the prediction are used: exit_interview").first).to_be_visible()
        expect(page.get_by_text(LEAKY).first).to_be_visible()
        expect(page.get_by_text("Owner team:accounts; if it does not hold: block the retrain").first).to_be_visible()

        page.goto(f"{webserver}/assets/churn/candidate_model?view=partitions&partition={LEAKY}")
        expect(page.get_by_text(LEAKY).first).to_be_visible()
        expect(page.get_by_text("Failed (1)").first).to_be_visible()
        browser.close()
