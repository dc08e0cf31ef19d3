"""What a tick says of all models, readable for a hundred: what is worth a line, then counts of what the others share. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from retrain_assets.automation.memory import Remembered

LISTED = 5
"""Most models a tick names for each reason."""
LETTERS = 300
"""Letters of what is said of one of several models."""


def said_of(
    sensor: str, models: Mapping[str, Remembered], faults: Mapping[str, str], left: Sequence[str], did: Mapping[str, str]
) -> str:
    """What a tick says.

    Args:
        sensor: the kind.
        models: what is remembered of each model, those looked at in earlier ticks included.
        faults: why the sensor failed for some, by model.
        left: the models it did not come to.
        did: what it did in this tick, by model.
    """
    lines = _listed({model: f"the {sensor} sensor failed for {model}: {why}" for model, why in faults.items()}, "failed")
    if left:
        many = f"{len(left)} of {len(models.keys() | faults.keys() | set(left))} models"
        lines.append(f"no time was left for {many}; the next tick begins with {left[0]}")
    well = {model: one for model, one in models.items() if model not in faults}
    if len(well) == 1 and not faults:
        return "; ".join([*lines, *(did.get(model) or one.said or one.about for model, one in well.items())])
    lines += _listed({model: f"{model}: {_cut(what)}" for model, what in did.items()}, "of which something was done")
    lasting = {model: one for model, one in well.items() if model not in did}
    lines += _listed({model: f"{model}: {_cut(one.said)}" for model, one in lasting.items() if one.matters}, "like these")
    alike = Counter(one.about for one in lasting.values() if not one.matters)
    lines += [f"{number} of {len(models)} models: {about}" for about, number in alike.most_common()]
    return "; ".join(lines) or "no model is served"


def _listed(lines: Mapping[str, str], what: str) -> list[str]:
    found = list(lines.values())
    more = [f"and {len(found) - LISTED} more {what}"] if len(found) > LISTED else []
    return [*found[:LISTED], *more]


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "…"
