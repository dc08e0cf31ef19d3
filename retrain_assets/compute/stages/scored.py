"""The hold-out with both models' scores, and the team's own checks of gate offline on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import narwhals
import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle
from retrain_assets.compute.own_code import own_verdicts
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract import Contract, Gate, StageError, Verdict
from retrain_assets.gates import OfflineEvaluation
from retrain_assets.gates.own import ScoredHoldout

Floats = npt.NDArray[np.float64]


class ChampionFeatures(Enum):
    """Where the features that the champion is scored on are from, in the order in which they are preferred."""

    SAME = "same feature pipeline"
    OWN = "champion's own feature pipeline"
    CANDIDATES = "candidate's features, which have all the champion's columns"
    CHANGED = "champion's feature function, changed since"

    @property
    def of_snapshot(self) -> bool:
        """Whether they are those of the snapshot; otherwise they are built anew from the hold-out rows."""
        return self in (ChampionFeatures.SAME, ChampionFeatures.CANDIDATES)


@dataclass(frozen=True, slots=True)
class Scored:
    """The hold-out with both models' scores.

    Args:
        rows: one a score, with the contract's label, unit, slice and fairness columns.
        candidate: the candidate.
        champion: the champion; None in a bootstrap.
        scores: the candidate's, (n,) or (n, classes).
        champion_scores: the champion's; None without one.
        champion_features: where the champion's features are from; None without one.
    """

    rows: pl.DataFrame
    candidate: Bundle
    champion: Bundle | None
    scores: Floats
    champion_scores: Floats | None
    champion_features: ChampionFeatures | None


def own_offline_verdicts(
    request: StageRequest, contract: Contract, scored: Scored, evaluation: OfflineEvaluation
) -> list[Verdict]:
    """The team's own checks of gate offline, on the rows whose label is known.

    Raises:
        StageError: when a column of the rows has a name that the scores take.
    """

    def evidence() -> ScoredHoldout:
        slices = contract.gates.offline.slices
        return ScoredHoldout(
            gate=Gate.OFFLINE,
            check="",
            contract=contract,
            retrain=request.retrain,
            names=request.unit_names,
            rows=narwhals.from_native(_with_scores(scored, contract), eager_only=True),
            metrics={one.metric: one for one in evaluation.metrics},
            slice_columns=tuple(slices.columns) if slices else (),
            has_champion=scored.champion is not None,
        )

    return own_verdicts(contract, Gate.OFFLINE, evidence, lambda: scored.rows)


def _with_scores(scored: Scored, contract: Contract) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for who, scores in (("candidate", scored.scores), ("champion", scored.champion_scores)):
        if scores is not None:
            columns |= _columns(who, scores, scored.candidate.manifest.classes, contract)
    if taken := [name for name in columns if name in scored.rows.columns]:
        what = f"a column of the rows is called {taken[0]}, as the scores are"
        raise StageError(what, where="gates.own", remedy="give the column another name")
    rows = scored.rows.with_columns(**columns)
    return rows.filter(pl.col(contract.source.label).is_not_null())


def _columns(who: str, scores: Floats, classes: tuple[str | int, ...], contract: Contract) -> dict[str, pl.Series]:
    if scores.ndim == 2:
        found = {f"{who}_score_{label}": pl.Series(scores[:, place]) for place, label in enumerate(classes)}
        return found | {f"{who}_decision": pl.Series([classes[place] for place in scores.argmax(axis=1)])}
    found = {f"{who}_score": pl.Series(scores)}
    if contract.decision is not None:
        found[f"{who}_decision"] = pl.Series(scores >= contract.decision.threshold)
    return found
