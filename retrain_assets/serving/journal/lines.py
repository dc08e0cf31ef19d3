"""The lines of a segment: newline-delimited JSON in which every line proves itself.

A line is a row as a flat object whose last key, the empty one, holds a letter for what it is and the CRC-32 of the line so far:
``{"request_id":"r1",…,"":"e1a2b3c4d"}``. Before many rows that were written together stands a heading with their bytes and
CRC-32, so that they are checked at once; before rows with further columns, one that says of what kind these are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import orjson

from retrain_assets.serving.journal.values import TrafficKind

Columns = dict[str, str | None]
"""Kind of each further column of one kind of traffic: ``text``, ``number``, ``bool``; None while only nulls were seen."""

_LETTERS: Mapping[TrafficKind, bytes] = {"exposures": b"e", "outcomes": b"o", "shadow": b"s"}
_KINDS: Mapping[bytes, TrafficKind] = {letter: kind for kind, letter in _LETTERS.items()}
_HEADING = b"h"
_MANY = 8
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_BEGINNING = re.compile(rb'(?=\{")')
"""Stands nowhere but at the beginning of a row: within it a quotation mark is escaped or belongs to a name."""


def row_line(kind: TrafficKind, row: Mapping[str, Any]) -> bytes:
    """The line of one row.

    Raises:
        TypeError: for a value JSON has no form for.
    """
    return _line(row, _LETTERS[kind])


def together(kind: TrafficKind, lines: bytes, rows: int, columns: Columns | None) -> bytes:
    """Lines that are written together, with their heading.

    Args:
        kind: what they are.
        lines: the lines.
        rows: how many.
        columns: kind of each further column, if that is news.
    """
    if rows < _MANY and not columns:
        return lines
    heading = {"kind": kind, "bytes": len(lines), "crc32": crc32(lines), "columns": columns or {}}
    return _line(heading, _HEADING) + lines


def _line(value: Mapping[str, Any], letter: bytes) -> bytes:
    proven = b'%b,"":"%b' % (orjson.dumps(value, option=_OPTIONS)[:-1], letter)
    return b'%b%08x"}\n' % (proven, crc32(proven))


@dataclass(slots=True)
class Found:
    """What a segment holds.

    Args:
        rows: the rows of each kind as newline-delimited JSON, each with the empty key.
        columns: kind of each further column of each kind of traffic.
        damaged: lines, or parts of them, that are not what was written.
        torn: bytes at the end that are no complete line; nothing of it was acknowledged.
    """

    rows: dict[TrafficKind, bytes] = field(default_factory=dict)
    columns: dict[TrafficKind, Columns] = field(default_factory=lambda: {kind: {} for kind in _LETTERS})
    damaged: list[bytes] = field(default_factory=list)
    torn: int = 0


def read_lines(data: bytes) -> Found:
    """What the bytes of a segment hold, damaged lines told apart."""
    found, kept, view, at = Found(), _Kept(), memoryview(data), 0
    while (end := data.find(b"\n", at)) >= 0:
        line, at = data[at:end], end + 1
        letter = _proven(line)
        if letter == _HEADING:
            heading = orjson.loads(line)
            found.columns[heading["kind"]] |= heading["columns"]
            lines = view[at : at + heading["bytes"]]
            if crc32(lines) == heading["crc32"]:
                kept.pieces[heading["kind"]].append(lines)
                at += heading["bytes"]
        elif letter:
            kept.pieces[_KINDS[letter]] += (line, b"\n")
        elif left := kept.rescue(line):
            found.damaged.append(left)
    found.torn = len(kept.rescue(data[at:]))
    found.rows = {kind: b"".join(pieces) for kind, pieces in kept.pieces.items() if pieces}
    return found


def _proven(line: bytes) -> bytes:
    """The letter of a line that is what was written, else nothing."""
    if line[-10:] == b'%08x"}' % crc32(line[:-10]):
        return line[-11:-10]
    return b""


class _Kept:
    """The good rows, in pieces."""

    def __init__(self) -> None:
        self.pieces: dict[TrafficKind, list[bytes | memoryview]] = {kind: [] for kind in _LETTERS}

    def rescue(self, line: bytes) -> bytes:
        """Keep what good rows there are within a line that lost its beginning or its end; gives the rest."""
        left = []
        for piece in _BEGINNING.split(line.replace(b"\0", b"")):
            kind = _KINDS.get(_proven(piece))
            if kind:
                self.pieces[kind] += (piece, b"\n")
            else:
                left.append(piece)
        return b"".join(left)
