"""What of a release contract serving goes by: limits, deadlines, attributes that are logged and as what, outcomes that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retrain_assets.compute.logged_attributes import AttributeReader, attribute_kinds, cohort_kinds
from retrain_assets.contract import Contract
from retrain_assets.contract.serving import Serving

__all__ = ["NO_TERMS", "AttributeReader", "LiveTerms", "cohort_kinds"]


@dataclass(frozen=True, slots=True)
class LiveTerms:
    """The terms in force for one model.

    Args:
        digest: the contract's digest.
        serving: limits, deadlines, durability.
        attributes: what is logged beside every exposure, by name: ``text``, ``number``, ``boolean``, ``list`` or, for what only a
            segment is made of, ``label``.
        outcomes: measures that outcomes may report.
        champion_scores_all: whether the champion also scores what the challenger answered.
    """

    digest: str
    serving: Serving
    attributes: Mapping[str, str]
    outcomes: frozenset[str]
    champion_scores_all: bool = False

    @classmethod
    def of(cls, contract: Contract) -> LiveTerms:
        """The terms of a contract."""
        experiment = contract.experiment
        return cls(
            digest=contract.digest,
            serving=contract.serving,
            attributes=attribute_kinds(experiment),
            outcomes=frozenset(experiment.outcomes),
            champion_scores_all=experiment.adjust_for is not None and experiment.adjust_for.champion_score,
        )


NO_TERMS = LiveTerms("", Serving(), {}, frozenset())
"""Of a model whose contract is not known yet; it answers nothing."""
