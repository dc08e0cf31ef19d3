"""What of a model's split Databricks Model Serving can express: registered versions and whole per cent of all requests.

Databricks draws the served version anew for every request. So nothing about such a split is sticky: an experiment on it cannot be
analysed per unit, and a cohort cannot be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from retrain_assets.contract import Refused
from retrain_assets.release import ModelState, VersionRef
from retrain_assets.release.projection import routing_rule

NOT_STICKY = "Databricks draws the version anew for every request: not sticky per unit, so no experiment can be analysed on it"


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version of the model that the endpoint is to serve, with its part of the requests in whole per cent."""

    version: VersionRef
    per_cent: int


@dataclass(frozen=True, slots=True)
class Split:
    """What an endpoint is to serve.

    Args:
        model: the model, as the ledger names it.
        entity: the registered model, as Databricks names it.
        toggle: the toggle that divides the traffic; None without one.
        revision: revision of the split; 0 without a toggle.
        served: the champion, and the version that is kept beside it, if any.
    """

    model: str
    entity: str
    toggle: str | None
    revision: int
    served: tuple[ServedVersion, ...]


def split_of(state: ModelState, entity: str, now: datetime, *, ignore_cohort: bool = False) -> Split:
    """The split of a model's traffic as Databricks can express it.

    The challenger of a toggle that is armed, in shadow, rolled back or past its expiry is served with 0 per cent, so that a step
    needs no deployment; after a promotion the previous champion is, so that a rollback needs none. Once the toggle is retired,
    neither is.

    Args:
        state: the model's state.
        entity: the registered model, as Databricks names it.
        now: the time, for the toggle's expiry.
        ignore_cohort: whether requests from outside the cohort may get the challenger too.

    Raises:
        Refused: where there is no champion, a cohort would not be kept, or the share is not in whole per cent.
    """
    rule = routing_rule(state)
    if rule.champion is None:
        raise Refused("there is no champion to serve", where=state.model, remedy=f"run: retrain bootstrap {state.model} RETRAIN")
    if rule.toggle is None:
        return Split(state.model, entity, None, 0, (ServedVersion(rule.champion, 100),))
    toggle = state.toggles[rule.toggle]
    expired = rule.expires_at is not None and now >= rule.expires_at
    share = 0.0 if expired else rule.effective_share
    if share and rule.cohort and not ignore_cohort:
        raise Refused(
            f"the cohort ({', '.join(rule.cohort)}) cannot be kept: Databricks divides all requests",
            where=rule.toggle,
            remedy="add --ignore-cohort if requests from outside the cohort may get the challenger, too",
        )
    per_cent = round(share * 100)
    if abs(share * 100 - per_cent) > 1e-9:
        raise Refused(
            f"a share of {share * 100:g} % cannot be expressed: Databricks takes whole per cent",
            where=rule.toggle,
            remedy="step to a stage of whole per cent",
        )
    beside = toggle.challenger if toggle.challenger != rule.champion else toggle.previous_champion
    served = (ServedVersion(rule.champion, 100 - per_cent), ServedVersion(beside, per_cent))
    return Split(state.model, entity, rule.toggle, rule.revision, served)
