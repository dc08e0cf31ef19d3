"""An error told in one line."""

from __future__ import annotations

import pytest

from retrain_assets.contract import StageError, first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("what is wrong\nand much more"), "what is wrong"),
        (OSError(), "OSError"),
        (ValueError(" \n "), "ValueError"),
        (StageError("no rows", where="a.parquet", remedy="write it again"), "a.parquet: no rows; write it again"),
    ],
    ids=["several lines", "no message", "blank", "ours"],
)
def test_every_error_has_one_line_also_one_without_a_message(error: Exception, line: str) -> None:
    assert first_line(error) == line
