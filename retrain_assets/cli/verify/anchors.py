"""The anchors: heads of the chain that were kept outside its database, each of which the chain has to contain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from retrain_assets.cli.verify.dagster_anchors import dagster_anchors, dagster_folder
from retrain_assets.cli.verify.derived import watermark_faults
from retrain_assets.cli.verify.part import Part
from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, Event, Ledger
from retrain_assets.registry import HEAD_TAG, Registry
from retrain_assets.release import ModelState
from retrain_assets.release.anchoring import ANCHORS, DECISIONS, Anchor, version_anchors


def anchors_part(
    home: Home, ledger: Ledger, registry: Registry | None, events: list[Event], states: Mapping[str, ModelState]
) -> Part:
    """The chain contains every head that versions and materialisations carry, and every decided version carries its own.

    Args:
        home: whose.
        ledger: for how far anchoring has come.
        registry: where the tags are; None when it cannot be looked at.
        events: the whole chain.
        states: every model after it; empty when they are not known: then only what is carried is looked at.
    """
    chain = {event.sequence: event.hash for event in events}
    decisions = [event for event in events if event.kind in DECISIONS]
    due = version_anchors(decisions, states) if states else {}
    models = sorted({event.model for event in events if event.model != EVERY_MODEL})
    unchecked: list[str] = []
    carried: dict[tuple[str, str], str] = {}
    materialised: list[tuple[str, str]] = []
    folder = dagster_folder(home)
    try:
        if folder is not None:
            materialised = dagster_anchors(folder, models)
    except RetrainError as error:
        unchecked.append(error.line)
    try:
        carried = carried_tags(registry, models) if registry is not None else {}
    except RetrainError as error:
        registry = None
        unchecked.append(error.line)
    places = [(text, f"the materialisation of {where}") for where, text in materialised]
    places += [(text, f"{model} version {version}") for (model, version), text in carried.items()]
    faults = [fault for text, where in sorted(places, key=_sequence) if (fault := unknown_to(chain, text, where))]
    if registry is None and models and not unchecked:
        unchecked.append("the registry cannot be looked at")
    if decisions and not carried and not ledger.projection(ANCHORS) and registry is not None:
        return Part("anchors", "", tuple(faults), unchecked="nothing is anchored yet; retrain reconcile anchors the decisions")
    faults += _tags_behind(carried, due if registry is not None else {}, chain)
    if states and not unchecked:
        faults += watermark_faults(ledger, ANCHORS, decisions[-1].sequence if decisions else 0)
    where = f"and {len(materialised)} in {folder}" if folder else "and no Dagster instance here"
    counted = f"{len(carried)} head{'s'[: len(carried) != 1]} in the registry {where}"
    return Part("anchors", counted, tuple(faults), unchecked="; ".join(unchecked), begins=_begins(places, chain))


def carried_tags(registry: Registry, models: Iterable[str]) -> dict[tuple[str, str], str]:
    """The head each version carries, by model and version; those that carry none are left out."""
    return {
        (model, version.version): version.tags[HEAD_TAG]
        for model in models
        for version in registry.list_versions(model)
        if HEAD_TAG in version.tags
    }


def unknown_to(chain: Mapping[int, str], text: str, where: str) -> str | None:
    """What is wrong with an anchor: it is none, or the chain does not contain it; None where it does."""
    anchor = Anchor.parse(text)
    if anchor is None:
        return f"{where} carries {text!r}, which is no place in a chain"
    stored, end = chain.get(anchor.sequence), max(chain, default=0)
    carries = f"{where} carries event {anchor.sequence} as {anchor.hash[:12]}…"
    if stored is None:
        return f"{carries}, the ledger ends at event {end}: its tail was taken away"
    if stored != anchor.hash:
        return f"{carries}, in the ledger it is {stored[:12]}…: event {anchor.sequence} or one before it was rewritten"
    return None


def _begins(places: list[tuple[str, str]], chain: Mapping[int, str]) -> str:
    """Where a history that was rewritten differs first: after the last anchor before it that fits."""
    found = sorted({anchor.sequence: anchor for text, _ in places if (anchor := Anchor.parse(text))}.items())
    wrong = next((sequence for sequence, anchor in found if chain.get(sequence) != anchor.hash), None)
    if wrong is None:
        return ""
    fits = max((sequence for sequence, _ in found if sequence < wrong), default=0)
    still = f"event {fits} still fits" if fits else "nothing before it is anchored"
    return f"the first change lies in events {fits + 1} to {wrong}: {still}"


def _sequence(place: tuple[str, str]) -> int:
    """Where an anchor is, so that the first one that does not fit is told first."""
    anchor = Anchor.parse(place[0])
    return anchor.sequence if anchor else 0


def _tags_behind(
    carried: Mapping[tuple[str, str], str], due: Mapping[tuple[str, str], Anchor], chain: Mapping[int, str]
) -> list[str]:
    """Versions that carry no head, or one from before their last decision."""
    faults = []
    for (model, version), wanted in sorted(due.items()):
        text = carried.get((model, version))
        last = f"its last decision is event {wanted.sequence}; retrain reconcile --everything sets it"
        if text is None:
            faults.append(f"{model} version {version} carries no head, {last}")
        elif not unknown_to(chain, text, "") and _sequence((text, "")) < wanted.sequence:
            faults.append(f"{model} version {version} carries event {text.partition(':')[0]}, {last}")
    return faults
