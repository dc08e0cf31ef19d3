"""Every line proves itself: what is damaged is told apart, and nothing else is lost with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import recover
from retrain_assets.serving.journal.lines import Found, read_lines, row_line, together
from retrain_assets.serving.journal.segment import Segment
from retrain_assets_tests.serving.journal.rows import MODEL, NOON, exposures

LINES = [row_line("exposures", row) for row in exposures(*range(10))]
HEADED = together("exposures", b"".join(LINES), 10, {"tier": None}).splitlines(keepends=True)


def requests(found: Found) -> list[int]:
    return [int(json.loads(line)["request_id"]) for line in found.rows.get("exposures", b"").splitlines()]


@pytest.mark.parametrize("lines", [LINES, HEADED], ids=["bare", "headed"])
def test_what_was_written_is_read(lines: list[bytes]) -> None:
    found = read_lines(b"".join(lines))
    assert (requests(found), found.damaged, found.torn) == (list(range(10)), [], 0)


@pytest.mark.parametrize("lines", [LINES, HEADED], ids=["bare", "headed"])
@pytest.mark.parametrize("place", [0, 37, 120, -13, -9, -2])
def test_one_damaged_byte_costs_one_row_and_is_told(lines: list[bytes], place: int) -> None:
    hurt = bytearray(lines[-5])
    hurt[place] ^= 1
    found = read_lines(b"".join([*lines[:-5], bytes(hurt), *lines[-4:]]))
    assert sorted(requests(found)) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert (found.damaged, found.torn) == ([bytes(hurt[:-1])], 0)


@pytest.mark.parametrize("lines", [LINES, HEADED], ids=["bare", "headed"])
@pytest.mark.parametrize("kept", [0, 1, 200, -1])
def test_a_torn_last_line_is_no_damage(lines: list[bytes], kept: int) -> None:
    found = read_lines(b"".join([*lines[:-1], lines[-1][:kept]]))
    whole = kept == -1
    assert requests(found) == list(range(10 if whole else 9))
    assert (found.damaged, found.torn) == ([], 0 if whole else kept)


@pytest.mark.parametrize("lines", [LINES, HEADED], ids=["bare", "headed"])
@pytest.mark.parametrize("written", [0, 100])
def test_a_tail_of_zeros_is_no_damage(lines: list[bytes], written: int) -> None:
    found = read_lines(b"".join([*lines[:-1], lines[-1][:written], b"\0" * 5000]))
    assert (requests(found), found.damaged, found.torn) == (list(range(9)), [], written)


def test_a_row_after_a_hole_or_glued_to_a_torn_one_is_kept() -> None:
    hole = [*LINES[:4], LINES[4][:50], b"\0" * 300, *LINES[6:]]
    found = read_lines(b"".join(hole))
    assert (requests(found), found.damaged) == ([0, 1, 2, 3, 6, 7, 8, 9], [LINES[4][:50]])
    glued = [*LINES[:4], LINES[4][:50], *LINES[5:]]
    found = read_lines(b"".join(glued))
    assert (requests(found), found.damaged) == ([0, 1, 2, 3, 5, 6, 7, 8, 9], [LINES[4][:50]])


def test_a_damaged_heading_costs_no_row() -> None:
    found = read_lines(HEADED[0].replace(b'"bytes"', b'"bites"') + b"".join(HEADED[1:]))
    assert requests(found) == list(range(10))
    assert len(found.damaged) == 1


def test_damaged_lines_are_kept_aside_as_they_were_and_said(retrain_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(retrain_home)
    segment = Segment.create(home.journal_dir(MODEL), NOON)
    segment.write(
        b"".join(
            [*LINES[:3], b"\xff\xfe broken\n", *LINES[3:], b'{"request_id":"torn'],
        ),
        synchronised=False,
    )
    segment.release()
    recover(home)
    assert ExposureLog(home).read_exposures(MODEL).height == 10
    assert segment.path.with_suffix(".damaged").read_bytes() == b"\xff\xfe broken\n"
    assert not segment.path.exists()
    assert "1 damaged lines of the journal were put aside" in caplog.text
