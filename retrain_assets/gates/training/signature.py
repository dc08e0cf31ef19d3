"""Does the bundle ask for the features that the feature snapshot has: the same names, order and kinds?"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed
from retrain_assets.gates.training.evidence import Columns, TrainingEvidence

CHECK = "signature_matches_features"
OTHERS = {
    "hold-out": "feature snapshot's hold-out",
    "bundle": "bundle loaded in a clean process",
}
"""Who has to agree with the training window of the snapshot, in words."""


def signature_matches_features(evidence: TrainingEvidence) -> Verdict:
    """``pass`` when everyone names the same features, in the same order, of the same kinds; a table shows where they differ."""

    def verdict(outcome: Outcome, message: str, **details: Any) -> Verdict:
        return Verdict(Gate.TRAINING, CHECK, outcome, message, evidence=details)

    expected = evidence.signatures.get("snapshot")
    if not expected:
        return verdict(Outcome.NO_DATA, "the features of the snapshot are not recorded")
    if missing := [words for who, words in OTHERS.items() if who not in evidence.signatures]:
        return verdict(Outcome.NO_DATA, f"the features of the {listed(missing)} were not read")
    wrong = [row for who in OTHERS for row in _differences(expected, evidence.signatures[who], who)]
    details = {"features": len(expected), "differences": wrong[:TABLE_ROWS], "places_that_differ": len(wrong)}
    if not wrong:
        return verdict(
            Outcome.PASS, f"{counted(len(expected), 'feature')}: names, order and kinds are the snapshot's everywhere", **details
        )
    first = wrong[0]
    message = (
        f"{OTHERS[first['who']]} has {first['there']} at position {first['position']} where the feature snapshot has "
        f"{first['snapshot']}; {counted(len(wrong), 'place')} differ"
    )
    return verdict(Outcome.FAIL, message + "s" * (len(wrong) == 1), **details)


def _differences(expected: Columns, found: Columns, who: str) -> list[dict[str, Any]]:
    return [
        {"who": who, "snapshot": _words(left), "there": _words(right), "position": position}
        for position, (left, right) in enumerate(zip_longest(expected, found), start=1)
        if left != right
    ]


def _words(column: tuple[str, str] | None) -> str:
    return "nothing" if column is None else f"{column[0]} ({column[1]})"
