"""The release board as a picture: a row a model, a dot a gate of its last retrain: full open, red closed, hollow not reached."""

from __future__ import annotations

from collections.abc import Sequence

from retrain_assets.assets.board_lines import BoardLine
from retrain_assets.contract import Gate, Outcome
from retrain_assets.reports.standalone import markdown_image
from retrain_assets.reports.svg import Canvas

LEFT, STEP, ROW, TOP = 220.0, 92.0, 26.0, 34.0
SHOWN = 25
"""Models in the picture, the worst."""


def board_picture(lines: Sequence[BoardLine]) -> str:
    """The picture as Markdown.

    Args:
        lines: the models, the worst first.
    """
    shown = lines[:SHOWN]
    canvas = Canvas(LEFT + STEP * len(Gate) + 210, TOP + ROW * len(shown) + 8, f"{len(shown)} models and their last retrain")
    for place, gate in enumerate(Gate):
        canvas.text(LEFT + STEP * place, 16, gate.value, "tick", anchor="middle")
    for number, line in enumerate(shown):
        _row(canvas, line, TOP + ROW * number)
    key = "full: open, red: closed, hollow: not reached"
    facts = f"({key}; {len(lines) - SHOWN} more are not drawn)" if len(lines) > SHOWN else f"({key})"
    return markdown_image("How far the last retrain of each model came", canvas.markup(), facts)


def _row(canvas: Canvas, line: BoardLine, y: float) -> None:
    canvas.text(LEFT - 24, y + 4, line.model, "tick", anchor="end")
    canvas.line(LEFT, y, LEFT + STEP * (len(Gate) - 1), y, "grid")
    for place, gate in enumerate(Gate):
        outcome = line.outcomes.get(gate)
        x = LEFT + STEP * place
        style = "mark hollow" if outcome is None else "mark" if outcome is Outcome.PASS else "mark above"
        canvas.dot(x, y, 3 if outcome is None else 6, style)
    canvas.text(LEFT + STEP * (len(Gate) - 1) + 24, y + 4, line.standing.words.partition(" ")[2], "tick")
