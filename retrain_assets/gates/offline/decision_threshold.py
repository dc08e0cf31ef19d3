"""Where the decision threshold would lie on the hold-out, so that a wrong threshold can be told from a weak model."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrain_assets.gates.limits import number
from retrain_assets.gates.offline.evaluation import Decision

Array = np.ndarray


def decision_of(labels: Array, candidate: Array, champion: Array | None, threshold: float) -> Decision:
    """Cost of the contract's threshold and of the cheapest one, for both models; arguments as :func:`cheapest_threshold`."""
    cheapest, cheapest_cost, cost = cheapest_threshold(labels, candidate, threshold)
    positive = float(labels.astype(bool).mean())
    theirs = cheapest_threshold(labels, champion, threshold) if champion is not None else (None, None, None)
    return Decision(
        threshold,
        cost,
        cheapest,
        cheapest_cost,
        trivial_cost=min(threshold * (1 - positive), (1 - threshold) * positive),
        champion_cost=theirs[2],
        champion_holdout_threshold=theirs[0],
        champion_holdout_cost=theirs[1],
    )


def cheapest_threshold(labels: Array, scores: Array, threshold: float) -> tuple[float, float, float]:
    """The threshold the hold-out itself would choose, for the costs that the contract's threshold implies.

    Deciding at or above t is right for a calibrated score when a false alarm costs t and a miss costs 1 - t (Elkan, The
    foundations of cost-sensitive learning, IJCAI 2001, section 2). A cheapest threshold far from t means that scores
    near the decision are off.

    Args:
        labels: 0/1, one a row, at least one.
        scores: probability of 1, one a row.
        threshold: the contract's threshold t, between 0 and 1.

    Returns:
        Cheapest threshold, its cost a row, and the cost a row at ``threshold``, costs in units of one false alarm
        plus one miss. Above every score (nothing selected) the threshold is reported as 1.
    """
    positive = labels.astype(bool)
    hits, others = np.sort(scores[positive]), np.sort(scores[~positive])
    candidates = np.append(np.sort(scores), 1.0)

    def cost(misses: Array, spared: Array) -> Array:
        return np.asarray((threshold * (len(others) - spared) + (1 - threshold) * misses) / len(labels))

    costs = cost(np.searchsorted(hits, candidates), np.searchsorted(others, candidates))
    costs[-1] = cost(np.array(len(hits)), np.array(len(others)))
    lowest = np.flatnonzero(costs <= costs.min() + 1e-15)
    best = lowest[np.argmin(np.abs(candidates[lowest] - threshold))]
    here = cost(np.searchsorted(hits, [threshold]), np.searchsorted(others, [threshold]))[0]
    return float(candidates[best]), float(costs[best]), float(here)


def decision_rows(decision: Decision) -> list[dict[str, Any]]:
    """The costs as a table: what of the cost is the model's, and what is the threshold's."""

    def row(name: str, candidate: float | None, champion: float | None) -> dict[str, Any]:
        change = None if candidate is None or champion is None else candidate - champion
        return {"per_row": name, "candidate": candidate, "champion": champion, "change": change}

    regret, champion_regret = regrets(decision)
    compared = decision.champion_cost is not None
    return [
        row(f"cost at the contract's threshold {number(decision.threshold)}", decision.cost, decision.champion_cost),
        row("of it the model: cost at the cheapest threshold", decision.holdout_cost, decision.champion_holdout_cost),
        row("of it the threshold: regret", regret, champion_regret),
        row("cheapest threshold on these rows", decision.holdout_threshold, decision.champion_holdout_threshold),
        row("cost of one decision for every row", decision.trivial_cost, decision.trivial_cost if compared else None),
    ]


def decision_words(decision: Decision) -> str:
    """The same in a sentence."""
    regret, champion_regret = regrets(decision)
    said = (
        f"A row costs {number(decision.cost)} at the contract's threshold {number(decision.threshold)} and "
        f"{number(decision.holdout_cost)} at the cheapest threshold of these rows, {number(decision.holdout_threshold)}: "
        f"the threshold costs {number(regret)}, the model the rest."
    )
    if decision.champion_cost is None or decision.champion_holdout_cost is None or champion_regret is None:
        return said
    model, threshold = decision.holdout_cost - decision.champion_holdout_cost, regret - champion_regret
    return (
        f"{said} Against the champion it is {_change(decision.cost - decision.champion_cost)}: the model {_change(model)}, "
        f"the threshold {_change(threshold)}."
    )


def regrets(decision: Decision) -> tuple[float, float | None]:
    """What candidate and champion pay a row for the contract's threshold not being the cheapest of the hold-out."""
    champion = None
    if decision.champion_cost is not None and decision.champion_holdout_cost is not None:
        champion = decision.champion_cost - decision.champion_holdout_cost
    return decision.cost - decision.holdout_cost, champion


def _change(value: float) -> str:
    return "unchanged" if abs(value) < 5e-7 else f"{number(abs(value))} {'cheaper' if value < 0 else 'dearer'}"
