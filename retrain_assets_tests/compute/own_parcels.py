"""Own checks and metrics of the synthetic parcels: some as they should be, some that do each thing wrong that one can."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from retrain_assets.contract import Contract
from retrain_assets.contract.paths import in_module
from retrain_assets.gates.own import DataRows, Gate, Outcome, ScoredHoldout, TrainedCandidate, Verdict

if TYPE_CHECKING:
    from retrain_assets_tests.compute.conftest import Road

HERE = "retrain_assets_tests.compute.own_parcels"


def own(gate: str, name: str, **parameters: Any) -> dict[str, Any]:
    return {"check": f"own_{name}", "gate": gate, "function": f"{HERE}.{name}", "parameters": parameters}


def contract_with(road: Road, *checks: dict[str, Any], **offline: Any) -> dict[str, Any]:
    """The road's contract with own checks and metrics, as it is loaded."""
    values = deepcopy(road.contract)
    values["gates"]["own"] = list(checks)
    values["gates"]["offline"] |= offline
    return in_module(Contract.model_validate(values), HERE).to_json()


def depots_are_covered(evidence: DataRows, *, least: int = 3) -> Verdict:
    return evidence.at_least(evidence.training["depot"].n_unique(), least, what="depots in training")


def rows_and_windows(evidence: DataRows) -> list[Verdict]:
    first, last = evidence.holdout["sent_at"].min(), evidence.training["sent_at"].max()
    return [
        evidence.passes("the hold-out comes later", observed=float(first > last)),
        evidence.fails(f"{evidence.contract.model} {evidence.retrain} until {evidence.cutoff:%Y-%m-%d}", threshold="a text"),
    ]


def scores_spread(evidence: TrainedCandidate, *, at_least: float) -> Verdict:
    scores = evidence.bundle.score(evidence.holdout.to_native())
    names = evidence.bundle.manifest.feature_names
    more = {"features": list(names), "metrics": dict(evidence.record.metrics or {}), "seconds": evidence.record.duration_s}
    return evidence.at_least(float(scores.std()), at_least, what="spread of the scores", evidence=more)


def heavy_parcels_are_served(evidence: ScoredHoldout, *, above: float) -> Verdict:
    heavy = evidence.rows.filter(nw.col("weight") > above)
    said = {
        "columns": sorted(evidence.rows.columns),
        "auc": evidence.metrics["roc_auc"].candidate,
        "champion": evidence.has_champion,
    }
    late = heavy.filter(nw.col("candidate_decision"))
    return evidence.at_least(len(late) / len(heavy), 0.1, what="share of heavy parcels warned of", evidence=said)


def raises(evidence: DataRows) -> Verdict:
    first = evidence.training["parcel_id"][0]
    raise KeyError(f"parcel {first} is odd")


def says_true(evidence: DataRows) -> Any:
    return True


def says_nothing(evidence: DataRows) -> Any:
    return []


def says_another(evidence: DataRows) -> Verdict:
    return Verdict(Gate.DATA, "fresh_enough", Outcome.PASS, "as fresh as can be")


def says_nan(evidence: DataRows) -> Verdict:
    return evidence.passes("all is well", observed=float("nan"))


def says_a_text(evidence: DataRows) -> Verdict:
    return Verdict(evidence.gate, evidence.check, "pass", "all is well")  # type: ignore[arg-type]


def says_what_is_no_json(evidence: DataRows) -> Verdict:
    return evidence.passes("all is well", evidence={"rows": evidence.training})


def cost(labels: Any, decisions: Any, *, miss: float, alarm: float = 1.0) -> Any:
    """Cost of each row."""
    return np.where(decisions & (labels == 0), alarm, 0.0) + np.where(~decisions & (labels == 1), miss, 0.0)


def cost_by_weight(labels: Any, decisions: Any, rows: Any) -> float | None:
    """Cost a kilogram: a ratio, no mean over rows."""
    weight = rows["weight"].to_numpy()
    return float((weight * (decisions != labels)).sum() / weight.sum()) if len(weight) else None


def broken_metric(scores: Any) -> float:
    return float(scores[0]) / 0.0 if len(scores) == 0 else [][0]  # type: ignore[return-value]
