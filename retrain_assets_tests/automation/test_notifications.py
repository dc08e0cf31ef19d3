"""What a service is sent, and what is said of one that does not take it."""

from __future__ import annotations

import io
import logging

import pytest

from retrain_assets.automation.notifications import Message, Recipient, Urgency, recipients_of, send
from retrain_assets.contract.notify import Notify
from retrain_assets_tests.automation.inbox import closed_port, inbox

ROLLED_BACK = Message("[now] churn: rolled back", "Version 1 serves.\n\nretrain status churn <now> & `then`", Urgency.NOW)
WAITING = Message("[today] churn: waits for approval", "retrain approve churn 2024-03-01", Urgency.TODAY)
SECRET = "T0KEN8Qx77"


def sent(written: str, message: Message = ROLLED_BACK, *, seconds: float = 10.0, **environment: str) -> str | None:
    """Why one message was not taken."""
    (recipient,) = recipients_of(Notify.model_construct(everything=[written]))
    return send([(recipient, message)], environment=environment, seconds=seconds)[0]


def test_a_service_gets_title_body_and_kind_as_they_were_written() -> None:
    with inbox() as box:
        assert [sent(box.url(), one) for one in (ROLLED_BACK, WAITING)] == [None, None]
    first, second = box.messages
    assert (first["title"], first["message"], first["type"]) == (ROLLED_BACK.title, ROLLED_BACK.body, "failure")
    assert (second["title"], second["type"]) == (WAITING.title, "warning")


def test_a_variable_is_looked_up_when_a_message_is_sent() -> None:
    with inbox() as first, inbox() as second:
        assert sent("${CHAT_URL}", CHAT_URL=first.url()) is None
        assert sent("${CHAT_URL}", CHAT_URL=f" {second.url()}\n") is None
        assert (len(first.messages), len(second.messages)) == (1, 1)


@pytest.mark.parametrize("environment", [{}, {"CHAT_URL": ""}, {"CHAT_URL": "  "}])
def test_a_variable_that_is_not_set_is_named_with_what_to_do(environment: dict[str, str]) -> None:
    found = sent("${CHAT_URL}", **environment)
    assert found is not None
    assert "notify[0] ${CHAT_URL}: the environment variable CHAT_URL is not set" in found
    assert "where the Dagster code location runs" in found


def test_a_refusal_is_told_with_its_status() -> None:
    with inbox() as box:
        box.status = 500
        assert sent(box.url()) == "notify[0] json://…: the service answered with HTTP status 500"
        assert box.attempts == 1


def test_a_closed_port_is_told_as_such() -> None:
    assert sent(f"json://127.0.0.1:{closed_port()}/") == "notify[0] json://…: the service cannot be reached"


def test_a_service_that_never_answers_is_given_up_within_the_bound_and_keeps_no_other_from_its_message() -> None:
    with inbox() as slow, inbox() as quick:
        slow.answers.clear()
        first, second = recipients_of(Notify.model_validate([slow.url(), quick.url()]))
        found = dict(zip((first, second), send([(first, ROLLED_BACK), (second, ROLLED_BACK)], seconds=0.5), strict=True))
        assert found == {first: "notify[0] json://…: no answer within 0.5 s", second: None}


@pytest.mark.parametrize(
    "url",
    [
        f"slack://{SECRET}",
        f"nosuchservice://{SECRET}",
        f"json://user:{SECRET}@127.0.0.1:1/{SECRET}",
        f"telegram://{SECRET}",
        f"json://127.0.0.1:1/{SECRET}?rto={SECRET}",
        "no url at all",
    ],
)
def test_no_secret_of_a_url_is_told_or_logged(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Apprise logs URLs with their paths, and tokens it does not like."""
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)
    try:
        found = [sent("${CHAT_URL}", CHAT_URL=url), sent(url)]
    finally:
        logging.getLogger().removeHandler(handler)
    shown = capfd.readouterr()
    for text in (*map(str, found), logged.getvalue(), shown.out, shown.err):
        assert SECRET not in text
    assert all(found)


def test_a_plugin_that_breaks_is_a_fault_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    monkeypatch.setattr(apprise.Apprise, "notify", lambda *_, **__: {}[SECRET])
    assert sent("json://127.0.0.1/") == "notify[0] json://…: its Apprise plugin failed (KeyError)"


def test_an_entry_that_stands_twice_is_one_recipient_and_keeps_its_key_at_another_place() -> None:
    found = recipients_of(Notify.model_validate(["json://a/", "${B}", "json://a/"]))
    assert [one.name for one in found] == ["notify[0] json://…", "notify[1] ${B}"]
    assert Recipient("[5]", "${B}").key == found[1].key != found[0].key
