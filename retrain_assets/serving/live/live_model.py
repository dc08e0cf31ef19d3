"""One model as it is served now: rule, router, terms and loaded bundles in one value that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retrain_assets.bundle import Bundle
from retrain_assets.routing import Arm, Router, RoutingRule, VersionRef, compile_rule
from retrain_assets.serving.live.scoring_threads import ScoringThreads
from retrain_assets.serving.live.terms import NO_TERMS, AttributeReader, LiveTerms, cohort_kinds
from retrain_assets.serving.live.vouching import Vouched

Key = tuple[str, VersionRef]
"""Model and version."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A loaded bundle and the threads it scores in."""

    bundle: Bundle
    threads: ScoringThreads


@dataclass(frozen=True, slots=True)
class Known:
    """What a process knows besides the flag document.

    Args:
        seats: loaded bundles.
        vouched: what the ledger said last, by model.
        sequence: ledger sequence of the last flag document that the ledger holds, too, as a whole.
        confirmed: the last rule of each model that the ledger holds, too.
        refused: rules that stood in a flag document and not in the ledger.
        unloadable: why a version the ledger vouches for is not loaded.
        unreadable: why the contract in force of a model cannot be read.
        fault: why the ledger does not answer; None when it does.
    """

    seats: Mapping[Key, Seat] = field(default_factory=dict)
    vouched: Mapping[str, Vouched] = field(default_factory=dict)
    sequence: int = 0
    confirmed: Mapping[str, RoutingRule] = field(default_factory=dict)
    refused: Mapping[str, RoutingRule] = field(default_factory=dict)
    unloadable: Mapping[Key, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One model as it is served now.

    Args:
        rule: how its traffic is divided.
        assign: the compiled rule.
        terms: the contract in force.
        seats: the loaded bundle of each arm.
        unavailable: why an arm's bundle is not loaded.
        attributes: takes what is logged, and routed by, from a row.
        features: names a row may have: those of every loaded bundle of the model, so that a flip makes no row wrong.
    """

    rule: RoutingRule
    assign: Router
    terms: LiveTerms
    seats: Mapping[Arm, Seat]
    unavailable: Mapping[Arm, str]
    attributes: AttributeReader
    features: frozenset[str]

    @property
    def champion(self) -> Bundle | None:
        """The champion's bundle; None where it is not loaded."""
        seat = self.seats.get("champion")
        return seat.bundle if seat else None

    @property
    def challenger(self) -> Bundle | None:
        """The challenger's bundle; None where there is none, or it is not loaded."""
        seat = self.seats.get("challenger")
        return seat.bundle if seat else None


def live_model(rule: RoutingRule, known: Known, before: LiveModel | None) -> LiveModel:
    """A model served by a rule, or as before while it is not known yet whether and with what the rule may be served.

    Args:
        rule: of the flag document.
        known: what is known besides.
        before: how the model was served until now.
    """
    model, unavailable = rule.model, dict[Arm, str]()
    if known.refused.get(model) == rule:
        good = known.confirmed.get(model)
        rule = good or RoutingRule(model=model, champion=None)
        if good is None:
            unavailable["champion"] = "the ledger does not hold how flags.json routes it; run: retrain reconcile"
    seats = dict[Arm, Seat]()
    for arm, version in versions_of(rule).items():
        if (seat := known.seats.get((model, version))) is not None:
            seats[arm] = seat
        else:
            why = known.unloadable.get((model, version)) or known.unreadable.get(model) or known.fault
            unavailable[arm] = why or "is being loaded"
    missing = rule.champion is not None and "champion" not in seats and (model, rule.champion) not in known.unloadable
    if missing and before is not None and before.champion is not None:
        return before
    vouched = known.vouched.get(model)
    terms = vouched.terms if vouched else NO_TERMS
    return LiveModel(
        rule=rule,
        assign=before.assign if before is not None and before.rule == rule else compile_rule(rule),
        terms=terms,
        seats=seats,
        unavailable=unavailable,
        attributes=AttributeReader({**terms.attributes, **cohort_kinds(rule.cohort)}),
        features=frozenset(name for (one, _), seat in known.seats.items() if one == model for name in seat.bundle.encoding.names),
    )


def versions_of(rule: RoutingRule) -> dict[Arm, VersionRef]:
    """The version of each arm that a rule needs; the challenger's only while it is routed."""
    found = dict[Arm, VersionRef]()
    if rule.champion is not None:
        found["champion"] = rule.champion
    if rule.is_routed and rule.challenger is not None:
        found["challenger"] = rule.challenger
    return found
