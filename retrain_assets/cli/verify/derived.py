"""What is derived from the ledger, compared with what the ledger gives: flag document, tokens, aliases, and how far each is."""

from __future__ import annotations

from collections.abc import Mapping

from retrain_assets.cli.verify.part import Part
from retrain_assets.home import Home
from retrain_assets.ledger import Event, Ledger
from retrain_assets.registry import Registry
from retrain_assets.release import ModelState, PlatformState
from retrain_assets.release.access import fold_tokens, token_fault, tokens_path
from retrain_assets.release.projection import aliases, flag_bytes, shown_sequence


def flags_part(home: Home, ledger: Ledger, states: Mapping[str, ModelState], platform: PlatformState) -> Part:
    """The flag document is, byte by byte, what the ledger says."""
    routed = sum(1 for state in states.values() if state.activation_sequence)
    counted = f"{_number_of(routed, 'model')} in {home.flags_path.name}"
    present = home.flags_path.read_bytes() if home.flags_path.is_file() else None
    faults = watermark_faults(ledger, "flags", shown_sequence(states, platform))
    if present != (flag_bytes(states, platform) if routed else None):
        fault = "it is missing" if present is None else "it is not what the ledger says"
        faults = [f"{fault}; retrain reconcile writes it again", *faults]
    return Part("flags", counted, tuple(faults))


def tokens_part(home: Home, events: list[Event]) -> Part:
    """What the gateway knows of tokens is, byte by byte, what the ledger says, and readable for its owner alone."""
    path = tokens_path(home)
    fault = token_fault(path, events)
    counted = f"{_number_of(len(fold_tokens(events)), 'token')} in {path.name}"
    return Part("tokens", counted, (f"{fault}; retrain reconcile writes it again",) if fault else ())


def aliases_part(ledger: Ledger, registry: Registry, states: Mapping[str, ModelState]) -> Part:
    """The registry's aliases are the ledger's champions and challengers."""
    faults, counted = [], 0
    for model, state in states.items():
        shown = registry.aliases(model)
        for alias, version in aliases(state).items():
            counted += version is not None
            if shown.get(alias) != version:
                said = f"version {shown[alias]}" if alias in shown else "nothing"
                meant = f"version {version}" if version else "nothing"
                faults.append(f"{model}@{alias} is {said}, the ledger says {meant}; retrain reconcile --everything sets it again")
    faults += watermark_faults(ledger, "registry", max((state.registry_sequence for state in states.values()), default=0))
    return Part("aliases", f"{counted} alias{'' if counted == 1 else 'es'} of {_number_of(len(states), 'model')}", tuple(faults))


def watermark_faults(ledger: Ledger, name: str, due: int) -> list[str]:
    """How far something derived is said to be: not behind what it has to show, and not beyond it, where nothing was."""
    noted = ledger.projection(name)
    if noted == due:
        return []
    if not isinstance(noted, int) or noted > due:
        return [
            f"the database notes that {name} shows event {noted}, the last one it could show is {due}: the note was changed, or "
            "events were taken away"
        ]
    return [f"the database notes that {name} shows event {noted}, not yet event {due}; retrain reconcile brings it up"]


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
