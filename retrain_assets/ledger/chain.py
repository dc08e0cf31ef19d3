"""Whether a recorded chain is whole. Works on stored rows, so that a row that no longer parses is named, not raised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.ledger.events import event_hash

GENESIS = "0" * 64
"""``previous_hash`` of the first event."""


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """One place where the record is not what was written.

    Args:
        sequence: the event concerned; for a lost tail, the first missing one.
        message: what is wrong, in words.
    """

    sequence: int
    message: str


def broken_links(rows: Iterable[Mapping[str, Any]], head: tuple[int, str]) -> list[BrokenLink]:
    """Every broken link of a chain, first to last; empty when it is whole.

    After a break the check goes on from what is stored, so that one change is reported once and not for every later event.

    Args:
        rows: stored events as JSON fields (:meth:`Event.to_json`), by ascending sequence; ``payload`` may be None where the
            stored text is not JSON.
        head: sequence and hash the ledger's head row names.
    """
    broken: list[BrokenLink] = []
    sequence, previous = 0, GENESIS
    for row in rows:
        if row["sequence"] != sequence + 1:
            missing = (
                f"event {sequence + 1}" if row["sequence"] == sequence + 2 else f"events {sequence + 1} to {row['sequence'] - 1}"
            )
            broken.append(BrokenLink(sequence + 1, f"{missing} missing: after event {sequence} comes event {row['sequence']}"))
        elif row["previous_hash"] != previous:
            before = f"event {sequence}" if sequence else "the beginning of the chain"
            broken.append(
                BrokenLink(
                    row["sequence"],
                    f"event {row['sequence']} ({row['kind']}, {row['model']}) does not follow {before}: "
                    f"it names {row['previous_hash'][:12]}… as the hash before it, the stored one is {previous[:12]}…",
                )
            )
        if recomputed_hash(row) != row["hash"]:
            broken.append(
                BrokenLink(
                    row["sequence"],
                    f"event {row['sequence']} ({row['kind']}, {row['model']}) was changed after it was recorded: "
                    "its content does not give the hash stored with it",
                )
            )
        sequence, previous = row["sequence"], row["hash"]
    if head[0] > sequence:
        broken.append(BrokenLink(sequence + 1, f"events {sequence + 1} to {head[0]} are missing: the head names event {head[0]}"))
    elif head != (sequence, previous):
        broken.append(
            BrokenLink(
                sequence,
                f"the head names event {head[0]} ({head[1][:12]}…), the chain ends in event {sequence} ({previous[:12]}…)",
            )
        )
    return broken


def recomputed_hash(row: Mapping[str, Any]) -> str | None:
    """The hash of a stored event's fields as they are now; None where they are no JSON values."""
    try:
        return event_hash(row)
    except ValueError:
        return None
