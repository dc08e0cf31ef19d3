"""Does the candidate beat what a person could say without a model?"""

from __future__ import annotations

import math
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import at_least, counted, number
from retrain_assets.gates.training.evidence import TrainingEvidence

CHECK = "beats_baseline"
CONSTANT, RECENT = "constant: share or mean of the training window", "last known rate: share or mean of its latest rows"


def beats_baseline(evidence: TrainingEvidence, required: float) -> Verdict:
    """``pass`` when the candidate's loss is below that of both naive baselines by the required share.

    Args:
        evidence: losses on the hold-out.
        required: smallest relative gain ``(baseline - loss) / baseline`` over the better baseline; 0 asks for any gain at all.
    """
    loss, baselines = evidence.loss, {CONSTANT: evidence.baseline_loss, RECENT: evidence.recent_loss}
    gains = {name: _gain(loss, other) for name, other in baselines.items()}
    ordered = sorted(gains, key=lambda name: (gains[name] is not None, gains[name] or 0.0))
    details: dict[str, Any] = {
        "baselines": [{"baseline": name, "loss": baselines[name], "gain": gains[name]} for name in ordered],
        "loss": loss,
        "rows": evidence.loss_rows,
        "rows_of_last_known_rate": evidence.recent_rows,
    }
    hardest = ordered[0]
    gain, what = gains[hardest], f"relative gain over the {hardest}"
    on = f" on {counted(evidence.loss_rows, 'hold-out row')} (loss {number(loss)} against {number(baselines[hardest])})"
    if gain is not None and math.isfinite(gain) and required <= gain <= 0:
        return Verdict(
            Gate.TRAINING, CHECK, Outcome.FAIL, f"{what} is {number(gain)}{on}; it must be above 0", gain, required, details
        )
    return at_least(Gate.TRAINING, CHECK, gain, required, what=what + (on if gain is not None else ""), evidence=details)


def _gain(loss: float | None, baseline: float | None) -> float | None:
    return None if loss is None or baseline is None or baseline == 0 else (baseline - loss) / baseline
