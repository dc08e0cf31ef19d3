"""Tables: as wide as they are in a pipe, and readable on a terminal that is narrower."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from retrain_assets.cli import show

COLUMNS = ("retrain", "reason", "file")
ROWS = [("2024-04-01", "why " * 30, "/srv/retrain/reports/churn/2024-04-01.html"), ("2024-04-02", None, "/srv/b.html")]


def printed_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: list[Any]) -> list[str]:
    """What a terminal of 100 columns is given, without its colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    show.say_table(COLUMNS, rows, or_records=True)
    return re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()


def test_a_row_that_does_not_fit_is_a_block_with_whole_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed_on_a_terminal(monkeypatch, capsys, ROWS)
    assert lines[0].startswith("── 1 of 2 ")
    assert lines[3] == "file     /srv/retrain/reports/churn/2024-04-01.html"
    assert lines[5:] == ["retrain  2024-04-02", "file     /srv/b.html"], "what has no value takes no line"


def test_a_table_that_fits_stays_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_on_a_terminal(monkeypatch, capsys, ROWS[1:])[0].split() == list(COLUMNS)


def test_in_a_pipe_a_row_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.say_table(COLUMNS, ROWS, or_records=True)
    assert len(capsys.readouterr().out.splitlines()) == 3
