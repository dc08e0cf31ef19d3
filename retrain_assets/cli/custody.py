"""Whether everything is still what was recorded: chain, evidence, bundles, what is derived from them. Reads; repairs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import NoResultFound

from retrain_assets.cli.opening import is_recorded, registry_of, require_record
from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventKind, EvidenceStore, Ledger
from retrain_assets.registry import Registry
from retrain_assets.release import ModelState, PlatformState, fold, fold_platform, recorded_evidence
from retrain_assets.release.access import fold_tokens, token_fault, tokens_path
from retrain_assets.release.projection import aliases, flag_bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the record.

    Args:
        name: chain, evidence, bundles, flags, tokens or aliases.
        counted: what was checked, in words with counts.
        faults: what is not as recorded, one sentence each.
        unchecked: why it could not be checked; empty when it was.
    """

    name: str
    counted: str
    faults: tuple[str, ...] = ()
    unchecked: str = ""

    @property
    def verdict(self) -> str:
        """One line: what was checked and whether it holds."""
        if self.unchecked:
            return f"NOT CHECKED: {self.unchecked}"
        return f"BROKEN: {self.counted}, {len(self.faults)} of them not" if self.faults else f"holds: {self.counted}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; ``holds`` is None where nothing could be checked."""
        holds = None if self.unchecked else not self.faults
        checked = self.unchecked or self.counted
        return {"part": self.name, "holds": holds, "checked": checked, "faults": list(self.faults)}


def parts_of(home: Home) -> list[Part]:
    """Verify every part of a home.

    Raises:
        CustodyError: when flags or evidence are here and the ledger is gone.
        RetrainError: when nothing is here at all.
    """
    if not is_recorded(home) and (home.flags_path.exists() or home.evidence_dir.exists()):
        raise CustodyError(
            "the ledger is gone, its flag document or evidence is still here",
            where=home.ledger_url,
            remedy="restore the ledger from a backup",
        )
    require_record(home)
    ledger = Ledger(home.ledger_url)
    chain = _chain(ledger)
    events = _readable(ledger)
    if isinstance(events, str):
        return [chain, *(Part(name, "", unchecked=events) for name in ("evidence", "bundles", "flags", "tokens", "aliases"))]
    parts = [chain, _evidence(home, events)]
    recorded = _recorded_versions(events)
    registry = _opened(home, recorded)
    if isinstance(registry, Registry):
        parts.append(_part("bundles", lambda: _bundles(home, registry, recorded)))
    else:
        parts.append(registry)
    if chain.faults:
        return [*parts, *(Part(name, "", unchecked="the chain is broken") for name in ("flags", "tokens", "aliases"))]
    states = fold(events)
    parts += [_flags(home, states, fold_platform(events)), _tokens(home, events)]
    if isinstance(registry, Registry):
        parts.append(_part("aliases", lambda: _aliases(registry, states)))
    return parts


def _chain(ledger: Ledger) -> Part:
    broken = tuple(link.message for link in ledger.verify())
    try:
        sequence, head = ledger.head()
    except NoResultFound:
        return Part("chain", "head", broken)
    return Part("chain", f"{sequence} events, head {head[:12]}…", broken)


def _readable(ledger: Ledger) -> list[Event] | str:
    try:
        return ledger.events()
    except CustodyError as error:
        return error.line


def _evidence(home: Home, events: list[Event]) -> Part:
    """Everything the ledger names is there, and everything there is what its name says."""
    try:
        named = recorded_evidence(events) | {
            event.payload["evidence"] for event in events if event.kind is EventKind.AUDIT_RECORDED
        }
    except (KeyError, TypeError) as error:
        return Part("evidence", "", unchecked=f"an event does not name its evidence any more ({error})")
    store = EvidenceStore(home.evidence_dir)
    stored = sum(1 for _ in home.evidence_dir.glob("*/*.json"))
    faults = (*(fault.message for fault in store.verify(named)), *_packs(home, events))
    return Part("evidence", f"{len(named)} digests named by the ledger, {stored} files", faults)


def _packs(home: Home, events: list[Event]) -> list[str]:
    """Packs below ``reports`` that are not the ones the ledger holds; one that is gone is no fault, its evidence is kept."""
    faults = []
    held = {(event.model, event.retrain): event.payload["evidence"] for event in events if event.kind is EventKind.AUDIT_RECORDED}
    for (model, retrain), digest in held.items():
        document = home.reports_dir(model) / f"{retrain}.json"
        try:
            if document.exists() and "sha256:" + sha256_hex(document.read_bytes()) != digest:
                faults.append(f"{document} is not the evidence pack the ledger holds, {digest[:19]}…")
        except OSError as error:
            faults.append(f"{document}: cannot be read ({error.strerror})")
    return faults


def _recorded_versions(events: Iterable[Event]) -> dict[tuple[str, str], str]:
    """Bundle digest by model and version, as the ledger has it."""
    return {
        (event.model, str(event.payload["version"])): str(event.payload["bundle"])
        for event in events
        if event.kind is EventKind.CANDIDATE_REGISTERED and {"version", "bundle"} <= set(event.payload)
    }


def _opened(home: Home, recorded: Mapping[tuple[str, str], str]) -> Registry | Part:
    """The registry; a part that says why there is none to look at."""
    file = home.mlflow_uri.removeprefix("sqlite:///")
    if file != home.mlflow_uri and not Path(file).exists():
        gone = (f"the registry is gone: {file} does not exist",) if recorded else ()
        return Part("bundles", f"{len(recorded)} versions", gone)
    return registry_of(home)


def _part(name: str, check: Callable[[], Part]) -> Part:
    try:
        return check()
    except CustodyError as error:
        return Part(name, "versions of the registry", (error.line,))
    except RetrainError as error:
        return Part(name, "", unchecked=error.line)


def _bundles(home: Home, registry: Registry, recorded: Mapping[tuple[str, str], str]) -> Part:
    """The files of every registered version are what its digest says, and the digest is the ledger's.

    A version that cannot be read leaves the part unchecked, and does not hide what is broken of the others.
    """
    faults, unread, files, seen, outside = [], [], 0, set(), set()
    for model in sorted({model for model, _ in recorded}):
        for version in registry.list_versions(model):
            key = (model, version.version)
            seen.add(key)
            where = f"{model} version {version.version}"
            if key in recorded and version.bundle != recorded[key]:
                faults.append(f"{where} is tagged with bundle {version.bundle}, the ledger has {recorded[key]}")
            try:
                folder = registry.download(model, version.version)
                files += sum(1 for _ in folder.iterdir())
                if home.mlflow_uri.startswith("sqlite:") and not folder.is_relative_to(home.root.absolute()):
                    outside.add(where)
            except CustodyError as error:
                faults.append(f"{where}: {error.line}")
            except RegistryUnavailable as error:
                unread.append(f"{where}: {error.line}")
    faults += [f"{model} version {version} is not in the registry" for model, version in sorted(set(recorded) - seen)]
    unknown = [f"{model} version {version}" for model, version in sorted(seen - set(recorded))]
    more = f"; not in the ledger and never active: {', '.join(unknown)}" if unknown else ""
    more += f"; read outside this home: {', '.join(sorted(outside))}" if outside else ""
    text = f"{len(seen)} registered versions, {files} files{more}"
    return Part("bundles", text, (*faults, *unread)) if faults else Part("bundles", text, unchecked="; ".join(unread))


def _flags(home: Home, states: Mapping[str, ModelState], platform: PlatformState) -> Part:
    """The flag document is, byte by byte, what the ledger says."""
    routed = sum(1 for state in states.values() if state.activation_sequence)
    counted = f"{routed} models in {home.flags_path.name}"
    present = home.flags_path.read_bytes() if home.flags_path.is_file() else None
    if present == (flag_bytes(states, platform) if routed else None):
        return Part("flags", counted)
    fault = "it is missing" if present is None else "it is not what the ledger says"
    return Part("flags", counted, (f"{fault}; retrain reconcile writes it again",))


def _tokens(home: Home, events: list[Event]) -> Part:
    """What the gateway knows of tokens is, byte by byte, what the ledger says, and readable for its owner alone."""
    path = tokens_path(home)
    counted = f"{len(fold_tokens(events))} tokens in {path.name}"
    try:
        fault = token_fault(path, events)
    except OSError as error:
        return Part("tokens", "", unchecked=f"{path}: cannot be read ({error.strerror})")
    return Part("tokens", counted, (f"{fault}; retrain reconcile writes it again",) if fault else ())


def _aliases(registry: Registry, states: Mapping[str, ModelState]) -> Part:
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
    return Part("aliases", f"{counted} aliases of {len(states)} models", tuple(faults))
