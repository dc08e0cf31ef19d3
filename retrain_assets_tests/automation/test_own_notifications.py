"""The receiver of docs/own-notifications.md, as it stands there, told by the real sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from retrain_assets.automation.notifications import Message, Urgency, recipients_of, send
from retrain_assets.contract.notify import Notify
from retrain_assets_tests.pages import blocks

WAITS = Message("[today] churn: retrain 2024-03-01 waits for approval", "retrain approve churn 2024-03-01", Urgency.TODAY)


class Page:
    """The page's receiver, listening, and what it handed on."""

    def __init__(self, port: int, code: dict[str, Any]) -> None:
        self.port, self.code = port, code
        self.handed_on: list[dict[str, str]] = []
        code["hand_on"] = lambda **parts: self.handed_on.append(parts)

    def told(self, message: Message, token: str = "s3cret") -> str | None:
        """What kept the page's contract from telling it a message."""
        told = Notify.model_validate(yaml.safe_load(*blocks("own-notifications.md", "yaml"))["notify"])
        (url,) = [line.partition('"')[2].rpartition('"')[0] for line in blocks("own-notifications.md", "console")]
        address = url.replace("8087", str(self.port)).replace("$RECEIVER_TOKEN", token)
        (recipient,) = recipients_of(told)
        return send([(recipient, message)], environment={"PAGER_URL": address})[0]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("RECEIVER_TOKEN", "s3cret")
    code: dict[str, Any] = {"__name__": "receiver"}
    exec(*blocks("own-notifications.md", "python"), code)
    code["Receiver"].log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), code["Receiver"]) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Page(listening.server_address[1], code)
        listening.shutdown()
        thread.join()


def test_a_message_is_handed_on_in_its_parts(page: Page) -> None:
    assert page.told(WAITS) is None
    parts = {"urgency": "today", "model": "churn", "what": "retrain 2024-03-01 waits for approval", "message": WAITS.body}
    assert page.handed_on == [parts]


def test_who_has_not_the_token_is_not_listened_to(page: Page) -> None:
    fault = page.told(WAITS, token="another")
    assert fault is not None
    assert "HTTP status 403" in fault
    assert page.handed_on == []


def test_what_the_service_behind_it_does_not_take_comes_again(page: Page) -> None:
    def down(**_: str) -> None:
        raise ConnectionRefusedError

    page.code["hand_on"] = down
    fault = page.told(WAITS)
    assert fault is not None
    assert "HTTP status 503" in fault
