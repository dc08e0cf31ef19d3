"""The ramp as a strip: one box a stage, as wide as it lasted, with its units; what is to come is hollow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import GLYPH, Canvas

WIDTH, HEIGHT = 760.0, 74.0
TOP, BOTTOM = 20.0, 44.0
GAP = 3.0
LEAST = 92.0
"""Width of the narrowest box, so that its units can be read."""


def ramp_strip(stages: Sequence[Mapping[str, Any]], ramp: Sequence[str], until: str) -> Markup | None:
    """The strip; None before the first stage.

    Args:
        stages: of the ramp as :func:`retrain_assets.reports.ramp.ramp_of` gives them.
        ramp: labels of all stages, ``100`` among them.
        until: ISO time up to which a stage that is still on has lasted.
    """
    boxes = _boxes(stages, ramp, until)
    if not stages:
        return None
    canvas = Canvas(WIDTH, HEIGHT, _alternative(boxes))
    left = 0.0
    for box, width in zip(boxes, _widths(boxes), strict=True):
        middle = left + width / 2
        canvas.rect(left, TOP, width - GAP, BOTTOM - TOP, f"stage {box['style']}")
        canvas.text(middle, TOP - 6, words.stage(box["stage"]), "tick", anchor="middle")
        canvas.text(middle, TOP + 16.5, _kept(box["units"], width), "stage-label", anchor="middle")
        canvas.text(middle, BOTTOM + 14, _kept(box["lasted"], width), "tick", anchor="middle")
        left += width
    canvas.text(0, HEIGHT - 2, "units matured: champion / challenger; below, how long the stage lasted", "tick")
    return canvas.markup()


def _boxes(stages: Sequence[Mapping[str, Any]], ramp: Sequence[str], until: str) -> list[dict[str, Any]]:
    boxes = []
    for one in stages:
        champion_now = one["stage"] == "100"
        lasted = timedelta(0) if champion_now else _moment(one["end"] or until) - _moment(one["start"])
        units = one["units"]
        matured = (
            f"{words.number(units['champion']['matured'])} / {words.number(units['challenger']['matured'])}" if units else ""
        )
        on = one["end"] is None and not champion_now
        ended = one["ended_by"] in ("rolled_back", "rejected")
        boxes.append(
            {
                "stage": one["stage"],
                "days": lasted / timedelta(days=1),
                "lasted": "champion"
                if champion_now
                else words.lasted(one["start"], one["end"] or until) + (" so far" if on else ""),
                "units": matured,
                "style": "broken" if ended else "now" if on else "done",
            }
        )
    reached = [one["stage"] for one in stages]
    if boxes and boxes[-1]["style"] != "broken":
        boxes += [
            {"stage": label, "days": 0.0, "lasted": "to come", "units": "", "style": "ahead"}
            for label in ramp[ramp.index(reached[-1]) + 1 if reached[-1] in ramp else len(ramp) :]
        ]
    return boxes


def _widths(boxes: Sequence[Mapping[str, Any]]) -> list[float]:
    """Widths that share the room by time, none too narrow."""
    least = min(LEAST, WIDTH / len(boxes))
    room = WIDTH - least * len(boxes)
    total = sum(box["days"] for box in boxes)
    return [least + (room * box["days"] / total if total else room / len(boxes)) for box in boxes]


def _kept(label: str, width: float) -> str:
    return label if len(label) * GLYPH <= width else label.split(" ", 1)[0]


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _alternative(boxes: Sequence[Mapping[str, Any]]) -> str:
    said = [
        f"{words.stage(box['stage'])}: {box['lasted']}" + (f", {box['units']} units" if box["units"] else "") for box in boxes
    ]
    ended = " The ramp ended there." if boxes and boxes[-1]["style"] == "broken" else ""
    return (
        "Stages of the ramp in their order, with how long each lasted and its matured units, champion / challenger: "
        f"{'; '.join(said)}.{ended}"
    )
