"""Ways to settle what waits for a person, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def way_lines(ways: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ways to settle something, a line each, ready for a shell; what else a person has to know is a comment.

    Args:
        ways: as :func:`~retrain_assets.release.debt_view` has them, ``{"commands", "by"}``.
    """
    lines = []
    for number, way in enumerate(ways):
        notes = [*(["or this"] if number else []), *([f"by {way['by']}"] if way["by"] else [])]
        lines.append(" && ".join(way["commands"]) + (f"  # {', '.join(notes)}" if notes else ""))
    return lines
