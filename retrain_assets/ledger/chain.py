"""Whether a recorded chain is whole: works on the stored columns themselves, so that any byte that changed is found and named."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from typing import Any

GENESIS = "0" * 64
"""``previous_hash`` of the first event."""

COLUMNS = (
    "sequence",
    "at",
    "recorded_at",
    "actor_kind",
    "actor_name",
    "kind",
    "model",
    "retrain",
    "toggle",
    "revision_before",
    "revision_after",
    "reason",
    "payload",
    "previous_hash",
    "hash",
)
"""The columns of an event, in the order in which this module takes them."""

_NUMBERS = frozenset({"sequence", "revision_before", "revision_after"})
_OPTIONAL = frozenset({"retrain", "toggle", "revision_before", "revision_after"})

StoredRow = Sequence[Any]
"""One stored event, its columns in the order of :data:`COLUMNS`."""


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """One place where the record is not what was written.

    Args:
        sequence: the event concerned; for a lost tail, the first missing one; 0 for what is not about one event.
        message: what is wrong, in words.
    """

    sequence: int
    message: str


def canonical_text(row: StoredRow) -> str:
    """What an event's hash is of: the canonical JSON (RFC 8785) of it without ``hash``, around the payload's text as stored.

    Raises:
        TypeError: when a column holds a value of another type.
    """
    at, recorded_at, kind, name, what, model, retrain, toggle, before, after, reason, payload, previous = row[1:14]
    if type(payload) is not str:
        raise TypeError("the payload is no text")
    return (
        f'{{"actor":{{"kind":{quoted(kind)},"name":{quoted(name)}}},"at":{quoted(at)},"kind":{quoted(what)},'
        f'"model":{quoted(model)},"payload":{payload},"previous_hash":{quoted(previous)},"reason":{quoted(reason)},'
        f'"recorded_at":{quoted(recorded_at)},"retrain":{"null" if retrain is None else quoted(retrain)},'
        f'"revision_after":{"null" if after is None else _number(after)},'
        f'"revision_before":{"null" if before is None else _number(before)},'
        f'"sequence":{_number(row[0])},"toggle":{"null" if toggle is None else quoted(toggle)}}}'
    )


def recomputed_hash(row: StoredRow) -> str | None:
    """The hash of a stored event as it is now; None where a column cannot be of an event."""
    try:
        return hashlib.sha256(canonical_text(row).encode()).hexdigest()
    except (TypeError, UnicodeEncodeError):
        return None


def broken_links(
    rows: Iterable[StoredRow], *, after: tuple[int, str] = (0, GENESIS)
) -> Generator[BrokenLink, None, tuple[int, Any]]:
    """Every broken link of a chain, first to last, as the rows come; at the end it returns the last sequence and hash.

    After a break the check goes on from what is stored, so that one change is told once and not for every later event.

    Args:
        rows: stored events by ascending sequence.
        after: sequence and hash of the event before the first row.
    """
    sha256 = hashlib.sha256
    sequence, previous = after
    for row in rows:
        try:
            if sha256(canonical_text(row).encode()).hexdigest() == row[14] and row[0] == sequence + 1 and row[13] == previous:
                sequence, previous = row[0], row[14]
                continue
        except (TypeError, UnicodeEncodeError):
            pass
        yield from _faults(row, sequence, previous)
        if type(row[0]) is int and row[0] > 0:
            sequence, previous = row[0], row[14]
    return sequence, previous


def head_faults(rows: Sequence[Sequence[Any]], sequence: int, last_hash: Any) -> Iterator[BrokenLink]:
    """What is wrong with the head's rows (``id``, ``sequence``, ``hash``), where the chain ends in an event."""
    if not rows:
        yield BrokenLink(0, "the head row is gone: nothing says where the chain ends")
    if len(rows) > 1:
        yield BrokenLink(0, f"there are {len(rows)} head rows: only one can say where the chain ends")
    for number, named, named_hash in rows[:1]:
        if type(number) is not int or type(named) is not int or type(named_hash) is not str:
            yield BrokenLink(0, f"the head cannot be read: it names event {named!r} with hash {named_hash!r}")
        elif number != 1:
            yield BrokenLink(0, f"the head row has id {number}, not 1")
        elif named > sequence:
            lost = f"event {named} is" if named == sequence + 1 else f"events {sequence + 1} to {named} are"
            yield BrokenLink(sequence + 1, f"{lost} missing: the head names event {named}")
        elif (named, named_hash) != (sequence, last_hash):
            said, kept = f"event {named} ({_word(named_hash)[:12]}…)", f"event {sequence} ({_word(last_hash)[:12]}…)"
            yield BrokenLink(sequence, f"the head names {said}, the chain ends in {kept}")


def _faults(row: StoredRow, sequence: int, previous: str) -> Iterator[BrokenLink]:
    number = row[0]
    if type(number) is not int:
        yield BrokenLink(sequence + 1, f"after event {sequence} stands a row whose sequence is {number!r}: it is no event")
        return
    if number < 1:
        yield BrokenLink(1, f"before the first event stands a row whose sequence is {number}: it is no event")
        return
    named = f"event {number} ({_word(row[5])}, {_word(row[6])})"
    if number != sequence + 1:
        missing = f"event {sequence + 1}" if number == sequence + 2 else f"events {sequence + 1} to {number - 1}"
        yield BrokenLink(sequence + 1, f"{missing} missing: after event {sequence} comes event {number}")
    elif row[13] != previous:
        before = f"event {sequence}" if sequence else "the beginning of the chain"
        yield BrokenLink(
            number,
            f"{named} does not follow {before}: it names {_word(row[13])[:12]}… as the hash before it, "
            f"the stored one is {_word(previous)[:12]}…",
        )
    if recomputed_hash(row) != row[14]:
        changed = "its content does not give the hash stored with it"
        yield BrokenLink(number, f"{named} was changed after it was recorded: {_wrong_column(row) or changed}")


def _wrong_column(row: StoredRow) -> str:
    """A column that holds what no event has there; empty where all could be of one."""
    for name, value in zip(COLUMNS, row, strict=True):
        wanted = int if name in _NUMBERS else str
        if type(value) is not wanted and not (value is None and name in _OPTIONAL):
            return f"its {name} is {_word(value)!r}, no {'number' if wanted is int else 'text'}"
        if isinstance(value, str) and not _is_unicode(value):
            return f"its {name} is no UTF-8 text"
        if isinstance(value, str) and "\0" in value:
            return f"its {name} has a NUL in it"
    return ""


def readable(text: str) -> str:
    """Text that can be printed whatever was stored: nothing in it moves a terminal's cursor or has no encoding."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _word(value: Any) -> str:
    return readable(value[:80]) if isinstance(value, str) else repr(value)[:80]


_number = int.__repr__
