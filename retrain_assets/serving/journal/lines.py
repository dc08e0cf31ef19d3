"""The lines of a segment: newline-delimited JSON, each line with a checksum of what follows it.

``{"crc32":"1a2b3c4d","exposures":{…}}``; besides the kinds of traffic there are lines ``columns``, which name the kind of each
further column of the rows after them: ``text``, ``number``, ``bool``, or null while only nulls were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import orjson

from retrain_assets.serving.journal.values import TrafficKind

Columns = dict[str, str | None]
"""Kind of each further column of one kind of traffic."""

_BEGINNING = b'{"crc32":"'
"""Stands nowhere but at the beginning of a line: within a row a quotation mark is escaped or belongs to a name."""

_HEAD, _CHECKED = len(_BEGINNING), len(b'{"crc32":"00000000"')
_KINDS: tuple[TrafficKind, ...] = ("exposures", "outcomes", "shadow")
_OPENINGS = {kind: f',"{kind}":'.encode() for kind in (*_KINDS, "columns")}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def row_line(kind: TrafficKind, row: Mapping[str, Any]) -> bytes:
    """The line of one row.

    Raises:
        TypeError: for a value JSON has no form for.
    """
    return _line(_OPENINGS[kind], row)


def columns_line(columns: Mapping[TrafficKind, Columns]) -> bytes:
    """The line that says what kind further columns are."""
    return _line(_OPENINGS["columns"], columns)


def _line(opening: bytes, value: Mapping[Any, Any]) -> bytes:
    checked = b"%b%b}" % (opening, orjson.dumps(value, option=_OPTIONS))
    return b'{"crc32":"%08x"%b\n' % (crc32(checked), checked)


@dataclass(slots=True)
class Found:
    """What a segment holds.

    Args:
        rows: the rows of each kind as JSON, one a line.
        counts: how many they are.
        columns: kind of each further column of each kind of traffic.
        damaged: complete lines that are not what was written.
        torn: bytes at the end that are no complete line; nothing of it was acknowledged.
    """

    rows: dict[TrafficKind, bytes] = field(default_factory=dict)
    counts: dict[TrafficKind, int] = field(default_factory=dict)
    columns: dict[TrafficKind, Columns] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    damaged: list[bytes] = field(default_factory=list)
    torn: int = 0


def read_lines(data: bytes) -> Found:
    """What the bytes of a segment hold, damaged lines told apart."""
    found, kept = Found(), _Kept()
    *lines, tail = data.split(b"\n")
    for line in lines:
        if not kept.take(line):
            found.damaged += kept.rescue(line)
    found.torn = sum(map(len, kept.rescue(tail.rstrip(b"\0")))) if tail else 0
    for kind in _KINDS:
        if rows := kept.bodies[kind]:
            found.rows[kind], found.counts[kind] = b"\n".join(rows), len(rows)
    for line in kept.bodies["columns"]:
        for kind, columns in orjson.loads(line).items():
            found.columns[kind] |= columns
    return found


class _Kept:
    """The good lines by what they hold, without their checksums."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {kind: [] for kind in _OPENINGS}
        self._places = [(opening, _CHECKED + len(opening), self.bodies[kind].append) for kind, opening in _OPENINGS.items()]

    def take(self, line: bytes) -> bool:
        """Keep the line, if it is what was written."""
        if line[_HEAD : _CHECKED - 1] == b"%08x" % crc32(line[_CHECKED:]):
            for opening, begin, keep in self._places:
                if line.startswith(opening, _CHECKED):
                    keep(line[begin:-1])
                    return True
        return False

    def rescue(self, line: bytes) -> list[bytes]:
        """Keep what good lines there are within one that lost its beginning or its end; gives the rest, if there is any."""
        begin, *pieces = line.split(_BEGINNING)
        rest = begin.strip(b"\0") + b"".join(
            _BEGINNING + piece for piece in pieces if not self.take((_BEGINNING + piece).rstrip(b"\0"))
        )
        return [rest] if rest else []
