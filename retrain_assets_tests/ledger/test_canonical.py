"""What is hashed is canonical JSON, however fast it is written, and what cannot be canonical JSON is refused."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.contract import RetrainError, canonical_json, sha256_hex
from retrain_assets.ledger import EventKind, Ledger, event_hash
from retrain_assets.ledger.canonical import payload_text
from retrain_assets.ledger.chain import canonical_text, quoted
from retrain_assets.ledger.rows import event_of, linked

from .conftest import NOON, draft

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not 2**53 <= abs(value) < 1e21)
NUMBERS = FLOATS | st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_payload_is_written_as_the_reference_writes_it(value: Any) -> None:
    assert payload_text(value) == canonical_json(value).decode()


@given(NUMBERS)
def test_every_number_is_written_as_the_reference_writes_it(value: float) -> None:
    assert payload_text(value) == canonical_json(value).decode()


@pytest.mark.parametrize("value", [1e-7, 1e-4, 9.9e-5, 9e15, 1e21, 1e22, -0.0, 5.0, -1e-4, 123456789012345.6, 5e-324, 1.7e308])
def test_numbers_where_the_notation_changes(value: float) -> None:
    assert payload_text([value, -value]) == canonical_json([value, -value]).decode()


def test_keys_are_ordered_by_their_utf16_units_and_kinds_of_text_count_as_text() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    value = {"\ue000": 1, "\U00010000": 2, "z": (1, 2), "colour": Colour.RED, "kind": EventKind.APPROVED, "yes": True}
    assert payload_text(value) == canonical_json(value).decode()


@given(TEXTS)
def test_text_is_quoted_as_the_reference_quotes_it(value: str) -> None:
    assert quoted(value) == canonical_json(value).decode()


@given(TEXTS.filter(lambda text: "\0" not in text), st.none() | st.integers(0, 2**53 - 1), VALUES)
def test_the_hash_of_an_event_is_that_of_its_canonical_json(text: str, revision: int | None, value: Any) -> None:
    some = draft(reason=text, model=text, toggle=text or None, revision_after=revision, payload={"value": value, text: 1})
    row = linked(some, 7, "a" * 64, NOON)
    event = event_of(row)
    assert event.hash == event_hash(event.to_json()) == sha256_hex(canonical_text(row).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {"value": float("inf")}},
        {"payload": {"value": 2**53}},
        {"payload": {"value": 2.0**53}},
        {"payload": {"value": object()}},
        {"payload": {1: "a number as a key"}},
        {"payload": {"value": {1, 2}}},
        {"payload": {"value": "half a pair \ud800"}},
        {"revision_before": 2**53},
        {"revision_after": 1.0},
        {"reason": "half a pair \ud800"},
        {"reason": "a NUL \0, which PostgreSQL does not hold"},
        {"reason": None},
    ],
)
def test_what_is_not_canonical_json_or_fits_no_database_is_refused_in_one_line(ledger: Ledger, changes: dict[str, Any]) -> None:
    with pytest.raises(RetrainError, match="cannot be written as JSON"):
        ledger.append(draft(**changes))
    assert ledger.head()[0] == 0


def test_a_nul_within_a_payload_is_kept_as_json_keeps_it(ledger: Ledger) -> None:
    event = ledger.append(draft(payload={"message": "a\0b"}))
    assert ledger.events() == [event]
    assert event.payload["message"] == "a\0b"
    assert ledger.verify() == []


def test_texts_are_what_was_hashed(ledger: Ledger) -> None:
    events = ledger.append_all([draft(), draft(model="parcels"), draft(retrain="2013-08-01")])
    assert [text.sequence for text in ledger.texts(model="flight_delay")] == [1, 3]
    assert [text.sequence for text in ledger.texts(retrain="2013-07-01", after=1)] == [2]
    for text, event in zip(ledger.texts(), events, strict=True):
        assert sha256_hex(text.text.encode()) == text.hash == event.hash
        assert text.text.encode() == canonical_json({k: v for k, v in event.to_json().items() if k != "hash"})
