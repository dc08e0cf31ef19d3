"""Sample ratio: did the arms get the shares they were meant to get? A sequential test that may be read at every look.

Source: Lindon, Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the Bayes factor of a Dirichlet
against the point null is a martingale under the null, so 1 / e is a p-value valid at any time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CONCENTRATION = 100.0
"""Weight of the Dirichlet prior on the expected shares: tuned for deviations of some per cent."""


def log_e_value(counts: Sequence[int], shares: Sequence[float], prior: Sequence[float] | None = None) -> float:
    """Natural logarithm of the e-value against the expected shares.

    Args:
        counts: units per arm so far.
        shares: expected shares, in the same order, summing to 1.
        prior: Dirichlet parameters; ``CONCENTRATION * share`` by default.

    Raises:
        ValueError: for negative counts or shares that do not sum to 1.
    """
    if len(counts) != len(shares) or any(count < 0 for count in counts):
        raise ValueError(f"counts {list(counts)} must be one non-negative number per share")
    if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9) or min(shares) < 0:
        raise ValueError(f"shares {list(shares)} must not be negative and must sum to 1")
    if any(count and not share for count, share in zip(counts, shares, strict=True)):
        return math.inf
    possible = [index for index, share in enumerate(shares) if share]
    if len(possible) < 2:
        return 0.0
    parameters = prior if prior is not None else [CONCENTRATION * share for share in shares]
    total = math.fsum(parameters[i] for i in possible)
    value = math.lgamma(total) - math.lgamma(total + sum(counts))
    for i in possible:
        value += math.lgamma(parameters[i] + counts[i]) - math.lgamma(parameters[i]) - counts[i] * math.log(shares[i])
    return value


def p_value(log_e: float) -> float:
    """The p-value of one look, min(1, 1 / e); the minimum over all looks so far is valid at any time."""
    return math.exp(-max(log_e, 0.0))
