"""Every alert once to everybody, again where it was not taken, and not for ever."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrain_assets.automation.outbox import LONGEST_PAUSE, TRIES, Outbox, Waiting

NIGHT = datetime(2024, 3, 1, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EMPTY = Outbox(10)


def keys(outbox: Outbox) -> dict[str, tuple[str, ...]]:
    return {recipient: one.keys for recipient, one in outbox.waiting.items()}


def test_new_events_wait_for_everybody_and_events_of_before_for_nobody() -> None:
    found = EMPTY.taken_up(["event:9", "event:11", "event:12"], [], ["mail", "chat"], 12)
    assert keys(found) == {"mail": ("event:11", "event:12"), "chat": ("event:11", "event:12")}
    assert found.sequence == 12
    again = replace(found, waiting={}).taken_up([], [], ["mail", "chat"], 12)
    assert keys(again) == {"mail": (), "chat": ()}


def test_what_lasts_is_told_when_it_begins_and_again_when_it_came_back() -> None:
    begun = EMPTY.taken_up([], ["expires:7d"], ["mail"], 10)
    assert keys(begun) == {"mail": ("expires:7d",)}
    taken = replace(begun, waiting={"mail": Waiting()})
    assert keys(taken.taken_up([], ["expires:7d"], ["mail"], 10)) == {"mail": ()}
    gone = taken.taken_up([], [], ["mail"], 10)
    assert keys(gone.taken_up([], ["expires:7d"], ["mail"], 10)) == {"mail": ("expires:7d",)}


def test_what_was_not_taken_waits_for_that_recipient_alone() -> None:
    found = EMPTY.taken_up(["event:11"], [], ["mail", "chat"], 11)
    half = replace(found, waiting={"mail": Waiting(), "chat": found.waiting["chat"].failed(NIGHT)})
    later = half.taken_up(["event:11", "event:13"], [], ["mail", "chat"], 13)
    assert keys(later) == {"mail": ("event:13",), "chat": ("event:11", "event:13")}
    assert half.events_waiting == {11}


def test_what_settled_itself_before_it_was_taken_is_told_no_more() -> None:
    found = EMPTY.taken_up([], ["approval:a"], ["mail"], 10)
    assert keys(found.taken_up([], [], ["mail"], 10)) == {"mail": ()}


def test_the_count_of_tries_begins_anew_when_nothing_waits() -> None:
    tried = EMPTY.taken_up([], ["approval:a"], ["mail"], 10)
    tried = replace(tried, waiting={"mail": tried.waiting["mail"].failed(NIGHT)})
    assert tried.taken_up([], [], ["mail"], 10).waiting["mail"] == Waiting()


def test_a_recipient_that_left_the_contract_is_forgotten() -> None:
    found = EMPTY.taken_up(["event:11"], [], ["mail", "chat"], 11)
    assert keys(found.taken_up(["event:11"], [], ["mail"], 11)) == {"mail": ("event:11",)}


def test_pauses_double_up_to_a_quarter_of_an_hour_and_end() -> None:
    waiting, now, pauses = Waiting(("event:11",)), NIGHT, []
    while waiting.keys:
        assert waiting.due(now)
        waiting = waiting.failed(now)
        if waiting.again_at is not None:
            pauses.append(waiting.again_at - now)
            assert not waiting.due(waiting.again_at - timedelta(seconds=1))
            now = waiting.again_at
    assert pauses[:5] == [1 * MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, LONGEST_PAUSE]
    assert len(pauses) == TRIES - 1
    assert sum(pauses, timedelta()) == timedelta(hours=5)


def test_a_clock_that_was_set_back_keeps_nothing_waiting_for_long() -> None:
    ahead = Waiting(("event:11",)).failed(NIGHT + timedelta(days=30))
    assert ahead.due(NIGHT)


def test_what_the_sensor_keeps_is_what_it_reads() -> None:
    full = Outbox(7, frozenset({"expires:ü"}), {"mail": Waiting(("event:3",), 2, NIGHT), "chat": Waiting()}, "sha256:x")
    assert Outbox.of(json.loads(json.dumps(full.to_json()))) == full


@pytest.mark.parametrize("value", [None, "", 42, [], {}, {"sequence": 1}, {"sequence": "x"}])
def test_nothing_kept_and_what_was_edited_by_hand_is_a_first_tick(value: Any) -> None:
    assert Outbox.of(value) is None
