"""The policy of docs/own-approvals.md, as it stands there: a change record that has to be approved for this very bundle."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain_assets.contract import PolicyHook
from retrain_assets.release.policy_hook import answer_of
from retrain_assets_tests.pages import blocks

BUNDLE = "sha256:4711"
CASE = {"model": "churn", "retrain": "2024-03-01", "challenger": {"version": "2", "bundle": BUNDLE}}


class Records:
    """A system of change records on loopback, and the page's policy that asks it."""

    def __init__(self) -> None:
        self.changes: dict[str, dict[str, Any]] = {}
        self.hook = PolicyHook(url="http://unused.example")

    def asked(self) -> tuple[bool, tuple[str, ...]]:
        return answer_of(self.hook, CASE)[:2]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "Bearer t0ken"
            change = made.changes.get(self.path.removeprefix("/api/changes/"))
            body = json.dumps(change).encode()
            self.send_response(401 if not allowed else 200 if change else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    script, token = tmp_path / "change_approved.py", tmp_path / "token"
    script.write_text(*blocks("own-approvals.md", "python"))
    token.write_text("t0ken\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        policy = yaml.safe_load(*blocks("own-approvals.md", "yaml"))["approval"]["policy"]
        address = f"http://127.0.0.1:{listening.server_address[1]}/api"
        stands_for = {
            "python3": sys.executable,
            "/etc/retrain/change_approved.py": str(script),
            "https://changes.example.org/api": address,
            "/etc/retrain/token": str(token),
        }
        made.hook = PolicyHook.model_validate({**policy, "command": [stands_for[word] for word in policy["command"]]})
        yield made
        listening.shutdown()
        thread.join()


def test_it_says_no_until_the_change_is_approved_for_this_bundle(records: Records) -> None:
    assert records.asked() == (False, (f"open change churn-2024-03-01 for bundle {BUNDLE}",))
    records.changes["churn-2024-03-01"] = {"bundle": BUNDLE, "state": "in review"}
    assert records.asked() == (False, ("change churn-2024-03-01 is in review",))
    records.changes["churn-2024-03-01"] = {"bundle": "sha256:of last week", "state": "approved"}
    assert records.asked() == (False, ("change churn-2024-03-01 is about another bundle",))
    records.changes["churn-2024-03-01"] = {"bundle": BUNDLE, "state": "approved"}
    assert records.asked() == (True, ("change churn-2024-03-01 is approved",))


def test_a_system_that_does_not_answer_so_is_a_no(records: Records) -> None:
    records.changes["churn-2024-03-01"] = {"state": "approved"}
    allow, reasons = records.asked()
    assert not allow
    assert "ended with" in reasons[0] or "exit" in reasons[0]
